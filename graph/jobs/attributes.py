"""Attributes found in the seeds of a create job, with shares counted over a sample of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal

import numpy as np

from querist.agents.generator.attributes import (
    Attribute,
    ask_for_attributes,
    ask_for_values,
    read_attributes,
    read_values,
)
from querist.agents.models.metered import MeteredReply
from querist.agents.models.port import ChatModel
from querist.graph.jobs.request import CreateRequest
from querist.graph.jobs.submitting import complete, create_run
from querist.graph.jobs.workbench import Workbench
from querist.memory.errors import BudgetExceeded, InvalidInput, QueristError
from querist.memory.records import RunId
from querist.memory.run.runs import Heartbeat, Runs
from querist.memory.store import Store
from querist.tools.compute.arrays import share_out
from querist.tools.wording import quoted

_FEWEST = 5
"""Seeds that nothing can be counted over."""


@dataclass(frozen=True, slots=True)
class FoundAttributes:
    """What seeds vary in; a table `[attributes]` of a job file."""

    attributes: Mapping[str, Mapping[str, list[str] | list[float]]]
    """By name: `values` and their `shares`."""
    sample: int
    """Seeds that were looked at."""
    placed: Mapping[str, int]
    """How many of them have a value of each attribute."""
    usd: Decimal
    run: RunId


async def find_attributes(
    request: CreateRequest,
    store: Store,
    *,
    sample: int = 24,
    most: int = 3,
    usd: Decimal = Decimal("0.10"),
    models: Mapping[str, ChatModel] | None = None,
    tell: Callable[[str], None] = lambda _: None,
    is_stopped: Callable[[], bool] = lambda: False,
) -> FoundAttributes:
    """Ask the writer what a sample of the seeds varies in, and which values each of them has.

    It takes one call and one more a seed, metered in a run of its own, for `usd` at most. Raises
    `InvalidInput` for too few seeds or where nothing was found, and what models raise. When
    `is_stopped`, what is under way is paid and nothing more is asked.
    """
    if not request.seeds.has_rows:
        raise InvalidInput("Attributes are found in seeds: name them in seeds.file.")
    request = complete(request, store, tell=tell)
    run = create_run(request, store, tell=tell, cap=usd)
    runs = Runs(store)
    held = runs.take(run)
    with Heartbeat(runs, held):
        bench = Workbench(store, run, held, request=request, models=models)
        try:
            found = await _find(bench, run, sample=sample, most=most, is_stopped=is_stopped)
        except BaseException:
            runs.set_status(held, "failed")
            raise
        finally:
            await bench.models.aclose()
        runs.set_status(held, "finished", "Attributes were found.")
    return found


async def _find(
    bench: Workbench, run: RunId, *, sample: int, most: int, is_stopped: Callable[[], bool]
) -> FoundAttributes:
    rows = bench.seeds.rows
    if len(rows) < _FEWEST:
        raise InvalidInput(
            f"{bench.request.name} has {len(rows)} seeds, and attributes are counted over "
            f"{_FEWEST} at least."
        )
    order = np.random.default_rng(bench.request.seed).permutation(len(rows))[:sample]
    texts = [rows[int(place)].text for place in order]
    attributes = await _name(bench, texts, most=most)
    counts, looked_at = await _count(bench, texts, attributes, is_stopped)
    kept = [attribute for attribute in attributes if len(counts[attribute.name]) > 1]
    if not kept:
        told = [f"{name}: {quoted(list(had)) or 'no value'}" for name, had in counts.items()]
        raise InvalidInput(
            f"The {looked_at} seeds vary in nothing that was named: {'; '.join(told)}. Look at "
            "more of them (--sample), name another writer (models.generator), or write the table "
            "[attributes] yourself."
        )
    return FoundAttributes(
        {attribute.name: _table(attribute, counts[attribute.name]) for attribute in kept},
        sample=looked_at,
        placed={attribute.name: counts[attribute.name].total() for attribute in kept},
        usd=bench.ledger.balance().settled,
        run=run,
    )


async def _name(bench: Workbench, texts: Sequence[str], *, most: int) -> list[Attribute]:
    asked = ask_for_attributes(texts, task=bench.task, most=most)
    reply = await bench.writer(0).complete(asked)
    try:
        return read_attributes(reply.reply.text, most=most)
    except ValueError as error:
        raise InvalidInput(
            f"{bench.request.models.writer} found no attributes: {error}. Name another writer "
            "(models.generator) or another seed, or write the table [attributes] yourself."
        ) from None


async def _count(
    bench: Workbench,
    texts: Sequence[str],
    attributes: Sequence[Attribute],
    is_stopped: Callable[[], bool],
) -> tuple[dict[str, Counter[str]], int]:
    """Count values over the texts, and tell how many were looked at."""
    asked = [ask_for_values(text, attributes) for text in texts]
    replies: list[MeteredReply | QueristError] = []
    at_once = bench.request.models.in_flight
    for start in range(0, len(asked), at_once):
        # A call that is broken off may be billed all the same, so that one is waited for.
        if is_stopped():
            raise InvalidInput(
                f"It was stopped after {len(replies)} of {len(asked)} seeds. Ask again, and it "
                "goes on from there."
            )
        replies += await bench.writer(0).complete_all(asked[start : start + at_once])
    read = [reply.reply.text for reply in replies if isinstance(reply, MeteredReply)]
    errors = [reply for reply in replies if not isinstance(reply, MeteredReply)]
    # Shares of what the money happened to pay for would be shares of no sample.
    for trouble in errors:
        if isinstance(trouble, BudgetExceeded) or not read:
            raise trouble
    counts: dict[str, Counter[str]] = {attribute.name: Counter() for attribute in attributes}
    for text in read:
        for name, value in read_values(text, attributes).items():
            counts[name][value] += 1
    return counts, len(read)


def _table(attribute: Attribute, counts: Counter[str]) -> dict[str, list[str] | list[float]]:
    """Give the values that occur, with shares in hundredths that add up to 1."""
    values = [value for value in attribute.values if counts[value]]
    shares = share_out(100, [counts[value] for value in values])
    return {"values": values, "shares": [share / 100 for share in shares]}
