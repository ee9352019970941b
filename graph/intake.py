"""Bringing a run's data into the store."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from querist.agents.models.catalogue import check_reachable
from querist.graph.config import RunConfig, api_key
from querist.memory.errors import InvalidInput
from querist.memory.pool import keep_dataset
from querist.memory.records import Example, ExampleId, Split, content_id
from querist.memory.store import Store
from querist.tools.data.load import ColumnMap, Imported, dataset_id, load_examples
from querist.tools.prices import PriceList

Tell = Callable[[str], None]


def import_data(config: RunConfig, store: Store, *, tell: Tell) -> tuple[str, RunConfig]:
    """Import pool, test and validation files once; return the data set's id and final columns.

    `tell` gets a summary of each file in words. Nothing is written when any file is bad.
    """
    pool = _load(config, config.data.pool, Split.POOL, gold=_pool_gold(config))
    tell(pool.summary())
    fixed = config.model_copy(
        update={"data": config.data.model_copy(update={"text": list(pool.columns.fields)})}
    )
    examples = list(pool.examples)
    known = {one.id for one in examples}
    texts = {one.words for one in examples}
    for name, split in (("test", Split.TEST), ("validation", Split.VALIDATION)):
        source = getattr(config.data, name)
        if source is None:
            continue
        held_out = _load(fixed, source, split, gold=config.data.gold or "label")
        tell(held_out.summary())
        overlap = sum(one.words in texts for one in held_out.examples)
        if overlap:
            tell(f"Warning: {overlap} {name} texts are in the pool too; scores will flatter.")
        examples += [_apart(one, split, known) for one in held_out.examples]
    return _store(store, examples, config.data.pool), fixed


def _load(config: RunConfig, source: str, split: Split, *, gold: str | None) -> Imported:
    data = config.data
    fields = (data.text,) if isinstance(data.text, str) else tuple(data.text or ())
    identity = None if data.id in ("none", None) else data.id
    return load_examples(
        source,
        columns=ColumnMap(fields=fields, id=identity, gold=gold),
        split=split,
        labels=tuple(config.task.labels),
        encoding=data.encoding,
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
    parts = [dataset_id([one for one in examples if one.split is split]) for split in Split]
    dataset = content_id(*parts)
    keep_dataset(store, dataset, examples, name=name)
    return dataset


def check_models(config: RunConfig) -> None:
    """Refuse what would fail at the first call: no price, no key, an address that is none."""
    prices = PriceList.load(config.prices)
    if not config.annotator.enabled:
        return
    names = {config.models.annotator}
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
