"""Bringing a run's data into the store."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from querist.agents.models.catalogue import check_reachable
from querist.graph.config import RunConfig, api_key
from querist.memory.errors import InvalidInput
from querist.memory.records import Example, ExampleId, Origin, Split, content_id
from querist.memory.run.pool import keep_dataset
from querist.memory.store import Store
from querist.tools.data.load import ColumnMap, Imported, dataset_id, load_examples
from querist.tools.kinds import find_kind
from querist.tools.money.prices import PriceList
from querist.tools.wording import counted, listed

Tell = Callable[[str], None]
# The test set first: what it holds, nothing may be steered by.
_HELD_OUT = {"test": Split.TEST, "validation": Split.VALIDATION}


def import_data(config: RunConfig, store: Store, *, tell: Tell) -> tuple[str, RunConfig]:
    """Import pool, test and validation files once; return the data set's id and final columns.

    `tell` gets a summary of each file in words. Nothing is written when any file is bad. Held-out
    texts that the pool has too would flatter every figure: they are left out, and the
    configuration says how many (`data.left_out`).
    """
    pool = _load(config, config.data.pool, Split.POOL, gold=_pool_gold(config))
    tell(pool.summary())
    _check_simulated(config, pool, tell)
    try:
        find_kind(config.task.kind).check_fields(pool.columns.fields)
    except InvalidInput as error:
        raise InvalidInput(f"{pool.source}: {error}") from None
    columns = {"text": list(pool.columns.fields)}
    fixed = config.model_copy(update={"data": config.data.model_copy(update=columns)})
    examples = list(pool.examples)
    known = {example.id for example in examples}
    seen = {example.words for example in examples}
    left_out: dict[str, int] = {}
    for name, split in _HELD_OUT.items():
        source = getattr(config.data, name)
        if source is None:
            continue
        fresh = _held_out(fixed, source, split, seen=seen, tell=tell)
        left_out[name] = fresh.left_out
        seen |= {example.words for example in fresh.examples}
        examples += [_apart(example, split, known) for example in fresh.examples]
    # What only imports write, whatever a task file says.
    counts = {"left_out": {name: n for name, n in left_out.items() if n}, "parts": ()}
    fixed = fixed.model_copy(update={"data": fixed.data.model_copy(update=counts)})
    return _store(store, examples, config.data.pool), fixed


def load_more(
    config: RunConfig, source: str, present: Mapping[Split, Sequence[Example]], *, tell: Tell
) -> list[Example]:
    """Read rows that a run's pool lacks, by its own columns; say which are left out, and why.

    Left out is what `present` has: a pool's text or id again, and texts that are measured on.
    Raises `InvalidInput` where the file is bad or has nothing new.
    """
    more = _load(config, source, Split.POOL, gold=_pool_gold(config))
    tell(more.summary())
    imported = [e for e in present[Split.POOL] if e.origin is not Origin.GENERATED]
    texts = {tuple(example.fields.values()) for example in imported}
    ids = {example.id for example in imported}
    held_out = {e.words for split in _HELD_OUT.values() for e in present[split]}
    fates: Counter[str] = Counter()
    new = []
    for example in more.examples:
        if tuple(example.fields.values()) in texts:
            fates["in the pool already"] += 1
        elif example.id in ids:
            fates["with the id of another text of the pool"] += 1
        elif example.words in held_out:
            fates["among the texts that the model is measured on"] += 1
        else:
            new.append(example)
    words = listed([f"{count:,} {fate}" for fate, count in fates.items()])
    if not new:
        raise InvalidInput(f"{more.source} has no new rows: {words}. Nothing was changed.")
    tell(f"{counted(len(new), 'new row')}{f'; left out: {words}' if words else ''}.")
    _check_simulated(config, more, tell)
    return new


@dataclass(frozen=True, slots=True)
class _HeldOut:
    examples: list[Example]
    left_out: int


def _held_out(
    config: RunConfig, source: str, split: Split, *, seen: set[str], tell: Tell
) -> _HeldOut:
    """Read labelled texts to measure on, without those that were `seen` before."""
    imported = _load(config, source, split, gold=config.data.gold or "label")
    tell(imported.summary())
    if not imported.n_gold:
        raise InvalidInput(
            f"{imported.source}: no row has a label in column {imported.columns.gold!r}, so there "
            f"is nothing to measure on. Name its column (--gold, data.gold), or leave out "
            f"data.{split.value}."
        )
    kept = [example for example in imported.examples if example.words not in seen]
    count = len(imported.examples) - len(kept)
    places = "the pool or the test set" if split is Split.VALIDATION else "the pool"
    if not any(example.gold for example in kept):
        raise InvalidInput(
            f"{imported.source}: of {len(imported.examples):,} {split.value} texts {count:,} are "
            f"in {places} too, and no labelled one is left to measure on. Take them out of the "
            f"pool, or leave out data.{split.value}{' (--test)' if split is Split.TEST else ''}."
        )
    if count:
        tell(
            f"{count:,} of {len(imported.examples):,} {split.value} texts are in {places} too: "
            "they are left out, as they would flatter the figure."
        )
    return _HeldOut(kept, count)


def _check_simulated(config: RunConfig, pool: Imported, tell: Tell) -> None:
    """A simulated person knows no more than the file says."""
    if config.people.kind != "simulated":
        return
    missing = len(pool.examples) - pool.n_gold
    column = pool.columns.gold
    if not pool.n_gold:
        raise InvalidInput(
            f"{pool.source}: no row has a label in column {column!r}, so a simulated person could "
            "answer nothing. Name the column of known labels (data.gold, or people.gold), or let "
            "real people answer (--people inbox) or nobody (--people none)."
        )
    if missing:
        tell(
            f"The simulated person knows {pool.n_gold:,} of {len(pool.examples):,} answers; "
            f"{missing:,} rows have no label in column {column!r}, and questions about them are "
            "skipped."
        )


def _load(config: RunConfig, source: str, split: Split, *, gold: str | None) -> Imported:
    data = config.data
    fields = (data.text,) if isinstance(data.text, str) else tuple(data.text or ())
    identity = None if data.id in ("none", None) else data.id
    return load_examples(
        source,
        columns=ColumnMap(fields=fields, id=identity, gold=gold),
        split=split,
        labels=(*config.task.labels, *config.task.renamed),
        kind=find_kind(config.task.kind),
        encoding=data.encoding,
        header=data.header,
    )


def _pool_gold(config: RunConfig) -> str | None:
    if config.people.kind == "simulated":
        return config.people.gold or config.data.gold or "label"
    return config.data.gold


def _apart(example: Example, split: Split, known: set[ExampleId]) -> Example:
    """Keep an id of a test example that a pool example has too."""
    if example.id in known:
        example = replace(example, id=ExampleId(f"{split.value}-{example.id}"))
    known.add(example.id)
    return example


def _store(store: Store, examples: list[Example], name: str) -> str:
    # Splits and gold belong to the identity: the same texts split anew are other data.
    parts = [
        dataset_id([example for example in examples if example.split is split]) for split in Split
    ]
    dataset = content_id(*parts)
    keep_dataset(store, dataset, examples, name=name)
    return dataset


def check_models(config: RunConfig) -> None:
    """Refuse what would fail at the first call: no price, no key, an address that is none."""
    prices = PriceList.load(config.prices)
    if not config.annotator.enabled:
        return
    names = {config.models.annotator, *config.annotator.models}
    if config.generator.enabled:
        names.add(config.generator_model)
    for name in sorted(names):
        prices.price_of(name)
        check_reachable(name, base_url=config.models.base_url, key=api_key(config))


def check_labels(config: RunConfig) -> None:
    """Refuse a run that nobody could label."""
    if not config.annotator.enabled and config.people.kind == "none":
        raise InvalidInput(
            "Nobody would label anything: annotator.enabled is false and people.kind is 'none'. "
            "Switch one of them on."
        )
