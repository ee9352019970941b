"""What a create job will take, before anything is spent."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal

from querist.agents.models.port import ChatModel, ChatRequest, Message
from querist.agents.verifier.gates.port import MODEL_GATES
from querist.graph.jobs.cells import cells_of
from querist.graph.jobs.creation.planning import Planner
from querist.graph.jobs.creation.progress import Progress
from querist.graph.jobs.request import CreateRequest
from querist.graph.jobs.submitting import Tell, check_creation_models, complete, read_seeds
from querist.graph.jobs.workbench import DECIDING, Seeds, config_of, seeds_of
from querist.memory.errors import QueristError
from querist.memory.store import Store
from querist.tools.calls import read_call
from querist.tools.money.prices import PriceList
from querist.tools.money.tokens import counter_for

_ACCEPTANCE = 0.4
"""What share of rows is taken to be accepted; nobody knows before some were written."""
_SECONDS = {"local": 4.0}
_SECONDS_A_CALL = 3.0
_CALLS_BY_GATE = {"label_check": 1, "rubric": 1, "solver": 6}
_JUDGED_OUTPUT = 60
_FREE_PASS = 0.6
"""What share of rows is taken to get past the free gates to those that ask a model."""


@dataclass(frozen=True, slots=True)
class JobQuote:
    """A forecast."""

    rows: int
    writer_calls: int
    checker_calls: int
    tokens: int
    people: Decimal
    """For a sample that people label."""
    forecast: Decimal
    """What all rows and people are expected to cost, whatever the cap."""
    cap: Decimal
    affordable: int
    """How many rows the cap is expected to pay for."""
    seconds: float
    cells: int
    minds: Decimal = Decimal(0)
    """What the agents' decisions may cost at most; within the cap, beside the forecast."""
    acceptance: float = _ACCEPTANCE


def quote_create(
    request: CreateRequest,
    *,
    store: Store | None = None,
    models: Mapping[str, ChatModel] | None = None,
    tell: Tell = lambda _: None,
) -> JobQuote:
    """Forecast a create job from its own prompts and the prices; nothing is sent.

    Seeds of a run are read from the workspace `store`. Raises `InvalidInput`, `NotFound` and
    `ModelRefused` as `submit` would.
    """
    if not models:
        check_creation_models(request)
    if store is not None:
        request = complete(request, store, tell=tell)
    seeds = seeds_of(read_seeds(request, store=store, tell=tell))
    cells = cells_of(request.labels, request.shares, request.attributes, request.never)
    calls = math.ceil(request.rows / (request.per_call * _ACCEPTANCE))
    counted = _writer_tokens(request, seeds)
    output = request.per_call * request.tokens // 2
    prices = PriceList.load(request.prices)
    asked, judged, checking = _by_gates(request, prices)
    cost = _price(prices, request.models.writer, calls, counted, output) + checking
    cap = request.budget.usd
    people = request.people.sample * request.budget.human_label_usd
    minds = _most_for_minds(request, prices)
    free = max(Decimal(0), cap - people - minds)  # what people cost is set aside first
    return JobQuote(
        rows=request.rows,
        writer_calls=calls,
        checker_calls=asked,
        tokens=calls * (counted + output) + judged,
        people=people,
        forecast=cost + people,
        cap=cap,
        affordable=request.rows if cost <= free else int(request.rows * free / cost),
        seconds=_seconds(request, calls, asked),
        cells=len(cells),
        minds=minds,
    )


def _by_gates(request: CreateRequest, prices: PriceList) -> tuple[int, int, Decimal]:
    """Count the calls of gates that ask a model, with their tokens and what they cost."""
    checked = math.ceil(request.rows / _ACCEPTANCE * _FREE_PASS)
    size = 400 + request.tokens
    calls, cost = 0, Decimal(0)
    for text in request.asking_gates:
        names = MODEL_GATES.read(text).models
        each = max(1, _CALLS_BY_GATE.get(read_call(text)[0], 1) // len(names)) * checked
        for name in names:
            cost += _price(prices, name or request.models.checker or "", each, size, _JUDGED_OUTPUT)
            calls += each
    return calls, calls * (size + _JUDGED_OUTPUT), cost


def _most_for_minds(request: CreateRequest, prices: PriceList) -> Decimal:
    """Give the share of the cap that decisions may cost, where a model that costs takes any."""
    config = config_of(request)
    if all(config.minds.of(agent) == "rules" for agent in DECIDING):
        return Decimal(0)
    if not prices.price_of(config.mind_model).cost(1_000, 1_000):
        return Decimal(0)
    return request.budget.usd * Decimal(str(config.minds.share))


def _writer_tokens(request: CreateRequest, seeds: Seeds) -> int:
    """Count the tokens of a call that the job would really make."""
    planner = Planner(request, request.as_task(), seeds)
    cells = cells_of(request.labels, request.shares, request.attributes, request.never)
    plan = planner.wave(Progress.of(cells, request.rows), in_flight=1)
    messages: tuple[Message, ...] = plan[0].ask.request.messages if plan else ()
    return _counted(request.models.writer, ChatRequest(messages, 1))


def _counted(model: str, request: ChatRequest) -> int:
    text = "\n".join(message.content for message in request.messages)
    try:
        return counter_for(model).count(text).count
    except QueristError:
        return len(text) // 3


def _price(prices: PriceList, model: str, calls: int, given: int, written: int) -> Decimal:
    return prices.price_of(model).cost(given, written) * calls


def _seconds(request: CreateRequest, calls: int, asked: int) -> float:
    total = 0.0
    for name, count in ((request.models.writer, calls), (request.models.checker or "", asked)):
        is_local = name == "local"
        each = _SECONDS.get(name, _SECONDS_A_CALL)
        total += count * each / (1 if is_local else request.models.in_flight)
    return total
