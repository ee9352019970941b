"""Handing a job in: everything that can be refused is refused here, before anything is spent."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator, Mapping
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

from querist.agents.models.catalogue import check_reachable
from querist.agents.verifier.gates.port import MODEL_GATES
from querist.graph.config import api_key
from querist.graph.intake import check_models
from querist.graph.jobs.request import CreateRequest, LabelRequest, cap_of, read_request
from querist.graph.jobs.workbench import DECIDING, PASSAGE, config_of
from querist.memory.answers import name_of
from querist.memory.errors import InvalidInput
from querist.memory.records import Example, ExampleId, Job, Origin, RunId, Split, content_id
from querist.memory.run.pool import keep_dataset
from querist.memory.run.runs import Runs
from querist.memory.store import Store
from querist.memory.workspace.jobs import Jobs, NewJob
from querist.tools.data.load import ColumnMap, load_examples
from querist.tools.kinds import DEFAULT, find_kind
from querist.tools.money.prices import PriceList
from querist.tools.wording import listed

Tell = Callable[[str], None]
_MOST_BYTES = 64_000_000


def submit(
    request: LabelRequest | CreateRequest,
    store: Store,
    *,
    key: str | None = None,
    tell: Tell = lambda _: None,
) -> Job:
    """Import what the job needs and put it into the queue; nothing is spent.

    The same `key` and request again give the job that is there. Raises `InvalidInput` for what
    cannot be, and `ModelRefused` for a model without a price or a key.
    """
    jobs = Jobs(store)
    asked = _said(request)
    if key is not None and (known := jobs.known(key, asked, again=_said_by)):
        return known
    if isinstance(request, LabelRequest):
        # LangGraph takes seconds to load, and only jobs that label need it.
        from querist.graph.run import Run

        check_models(request.config)
        run = Run.create(request.config, store, tell=tell).id
    else:
        request = complete(request, store, tell=tell)
        run = create_run(request, store, tell=tell, cap=cap_of(request))
    deadline = store.now() + timedelta(minutes=request.minutes) if request.minutes else None
    return jobs.submit(
        NewJob(
            request.kind,
            request.name,
            request.model_dump(mode="json", by_alias=True),
            run,
            asked=asked,
            priority=request.priority,
            key=key,
            deadline=deadline,
        )
    )


def _said(request: LabelRequest | CreateRequest) -> dict[str, object]:
    """What was asked for, less what is as it is by default: a later version has new keys."""
    said = request.model_dump(mode="json", by_alias=True, exclude_defaults=True)
    return {**said, "kind": request.kind}


def _said_by(kept: Mapping[str, object]) -> dict[str, object] | None:
    """What a kept request asked for; None if nothing of today can be read from it."""
    try:
        return _said(read_request(kept, source="the job"))
    except InvalidInput:
        return None


def complete(request: CreateRequest, store: Store, *, tell: Tell) -> CreateRequest:
    """Say in the request what it leaves to the run that its seeds are of."""
    if request.seeds.run is None:
        return request
    # What asks a run loads its trained model, and few jobs do.
    from querist.graph.jobs.weak_seeds import complete_weak

    return complete_weak(request, store, tell=tell)


def create_run(request: CreateRequest, store: Store, *, tell: Tell, cap: Decimal) -> RunId:
    """Read the seeds of a create job and write its run down; nothing is spent."""
    check_creation_models(request)
    examples = read_seeds(request, store=store, tell=tell)
    dataset = content_id(
        "seeds", [(seed.id, dict(seed.fields), str(seed.split)) for seed in examples]
    )
    keep_dataset(store, dataset, examples, name=request.seeds.source or "no seeds")
    run = RunId(f"create-{uuid.uuid4().hex[:12]}")
    Runs(store).create(
        run,
        task=request.as_task(),
        dataset=dataset,
        config=config_of(request).model_dump(mode="json"),
        cap=cap,
        kind="create",
    )
    return run


def check_creation_models(request: CreateRequest) -> None:
    """Refuse models without a price or a key, and a writer that would check itself unasked."""
    names = {request.models.writer}
    for text in request.asking_gates:
        gate = MODEL_GATES.read(text)
        for name in gate.models:
            if not name and request.models.checker is None:
                raise InvalidInput(
                    f"The gate {text} asks a model, and none is named. Name another one than the "
                    f"writer ({request.models.writer}) as models.checker; to let the writer check "
                    "itself, name it there."
                )
            names.add(name or str(request.models.checker))
    config = config_of(request)
    if any(config.minds.of(agent) != "rules" for agent in DECIDING):
        names.add(config.mind_model)
    prices = PriceList.load(request.prices)
    for name in sorted(names):
        prices.price_of(name)
        check_reachable(name, base_url=request.models.base_url, key=api_key(config))


def read_seeds(
    request: CreateRequest, *, store: Store | None = None, tell: Tell = lambda _: None
) -> list[Example]:
    """Read seeds, passages and the texts of tests; seeds of a run are of the workspace `store`."""
    found: dict[ExampleId, Example] = {}
    if request.seeds.run is not None:
        found |= {example.id: example for example in _seeds_of_run(request, store, tell=tell)}
    if request.seeds.file is not None:
        for example in _rows(request, request.seeds.file, label=request.seeds.label, tell=tell):
            found[example.id] = example
        _check_labels(request, list(found.values()))
    if request.seeds.passages is not None:
        passages = [
            Example(ExampleId(f"{PASSAGE}{content_id(text)}"), {"text": text}, Origin.IMPORTED)
            for text in _passages(Path(request.seeds.passages), request.seeds.characters)
        ]
        tell(f"{request.seeds.passages}: {len(passages):,} passages.")
        found |= {example.id: example for example in passages}
    for source in request.tests:
        for example in _rows(request, source, label=None, tell=tell):
            name = ExampleId(f"test-{content_id(dict(example.fields))}")
            found[name] = Example(name, example.fields, split=Split.TEST)
    return list(found.values())


def _seeds_of_run(request: CreateRequest, store: Store | None, *, tell: Tell) -> list[Example]:
    if store is None:
        raise InvalidInput(
            f"seeds.run: the seeds are of the run {request.seeds.run}, and no workspace was named "
            "to read it from."
        )
    from querist.graph.jobs.weak_seeds import read_labelled

    found = read_labelled(request, store, tell=tell)
    have = {name_of(example.gold) for example in found if example.gold is not None}
    if lacking := [name for name in request.wanted if name not in have]:
        raise InvalidInput(
            f"seeds.run: nobody has labelled a text as {listed(lacking)} there. Leave these out of "
            "the shares, or name a file with seeds."
        )
    return found


def _rows(
    request: CreateRequest, source: str, *, label: str | None, tell: Tell
) -> tuple[Example, ...]:
    text = request.seeds.text
    fields = (text,) if isinstance(text, str) else tuple(text or ())
    kind = find_kind(request.task.kind) if request.task is not None else DEFAULT
    imported = load_examples(
        source,
        columns=ColumnMap(fields=fields, id=None, gold=label),
        labels=request.labels if label else None,
        kind=kind,
    )
    tell(imported.summary())
    return imported.examples


def _check_labels(request: CreateRequest, seeds: list[Example]) -> None:
    if request.seeds.label is None:
        return
    have = {name_of(example.gold) for example in seeds if example.gold is not None}
    if lacking := [name for name in request.wanted if name not in have]:
        raise InvalidInput(
            f"{request.seeds.file}: no seed has the label {listed(lacking)}. Add some, leave these "
            "out of the shares, or leave seeds.label out, so that rows are written from the "
            "labels' descriptions."
        )


def _passages(path: Path, size: int) -> list[str]:
    """Cut a text into passages at blank lines, or else at the ends of lines and words."""
    try:
        length = path.stat().st_size
        if length > _MOST_BYTES:
            raise InvalidInput(
                f"{path} holds {length / 1e6:,.0f} MB of text, and at most "
                f"{_MOST_BYTES / 1e6:.0f} MB are cut into passages. Take the parts that matter "
                "into a file of their own."
            )
        text = path.read_text(encoding="utf-8", errors="replace")
    except OSError as error:
        raise InvalidInput(f"{path} cannot be read: {error.strerror or error}.") from error
    found = list(_cut(text, size))
    if not found:
        raise InvalidInput(f"{path} holds no text to cut into passages.")
    return found


def _cut(text: str, size: int) -> Iterator[str]:
    part = ""
    for word in text.split():
        if part and len(part) + 1 + len(word) > size:
            yield part
            part = ""
        part = f"{part} {word}".strip()[:size]
    if part:
        yield part
