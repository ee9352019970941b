"""Handing a job in: everything that can be refused is refused here, before anything is spent."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

from querist.agents.models.catalogue import check_reachable
from querist.agents.verifier.gates.port import MODEL_GATES
from querist.graph.config import api_key
from querist.graph.intake import check_models
from querist.graph.jobs.request import CreateRequest, LabelRequest, cap_of
from querist.graph.jobs.workbench import PASSAGE, config_of
from querist.memory.answers import name_of
from querist.memory.errors import InvalidInput
from querist.memory.jobs import Jobs, NewJob
from querist.memory.pool import keep_dataset
from querist.memory.records import Example, ExampleId, Job, Origin, RunId, Split, content_id
from querist.memory.runs import Runs
from querist.memory.store import Store
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
    body = request.model_dump(mode="json", by_alias=True)
    if key is not None and (known := jobs.known(key, body)):
        return known
    if isinstance(request, LabelRequest):
        # LangGraph takes seconds to load, and only jobs that label need it.
        from querist.graph.run import Run

        check_models(request.config)
        run = Run.create(request.config, store, tell=tell).id
    else:
        run = _create_run(request, store, tell=tell)
    deadline = store.now() + timedelta(minutes=request.minutes) if request.minutes else None
    return jobs.submit(
        NewJob(
            request.kind,
            request.name,
            body,
            run,
            priority=request.priority,
            key=key,
            deadline=deadline,
        )
    )


def _create_run(request: CreateRequest, store: Store, *, tell: Tell) -> RunId:
    check_creation_models(request)
    examples = read_seeds(request, tell=tell)
    dataset = content_id("seeds", [(one.id, dict(one.fields), str(one.split)) for one in examples])
    keep_dataset(store, dataset, examples, name=request.seeds.file or "no seeds")
    run = RunId(f"create-{uuid.uuid4().hex[:12]}")
    Runs(store).create(
        run,
        task=request.as_task(),
        dataset=dataset,
        config=config_of(request).model_dump(mode="json"),
        cap=cap_of(request),
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
    prices = PriceList.load(request.prices)
    for name in sorted(names):
        prices.price_of(name)
        check_reachable(name, base_url=request.models.base_url, key=api_key(config))


def read_seeds(request: CreateRequest, *, tell: Tell = lambda _: None) -> list[Example]:
    """Read seeds, passages and the texts of tests."""
    found: dict[ExampleId, Example] = {}
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
    if lacking := [name for name in request.labels if name not in have]:
        raise InvalidInput(
            f"{request.seeds.file}: no seed has the label {listed(lacking)}. Add some, or leave "
            "seeds.label out, so that rows are written from the labels' descriptions."
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
