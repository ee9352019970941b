"""A run's labels as rows of an export."""

from __future__ import annotations

from collections import defaultdict
from decimal import Decimal

from querist.graph.workplace.context import Context
from querist.memory.records import Annotation, ExampleId, Split
from querist.tools.data.export import ExportRow


def label_rows(context: Context, *, everything: bool) -> list[ExportRow]:
    """Give what is labelled in the order of the pool; with `everything` the rest of it, too."""
    labels = {label.example: label for label in context.labelling.labels()}
    said: dict[ExampleId, list[Annotation]] = defaultdict(list)
    for annotation in context.labelling.annotations():
        said[annotation.example].append(annotation)
    wanted = context.pool.ids(Split.POOL) if everything else []
    # In the pool's order, whatever order labels came in: two exports of one run are alike.
    ids = wanted or [
        example_id for example_id in context.pool.ids(Split.POOL) if example_id in labels
    ]
    return [
        ExportRow(
            example,
            labels.get(example.id),
            usd=sum((opinion.usd for opinion in said[example.id]), Decimal(0)),
            annotators=tuple(dict.fromkeys(opinion.who for opinion in said[example.id])),
            rationale=next(
                (opinion.rationale for opinion in said[example.id] if opinion.rationale), ""
            ),
        )
        for example in context.pool.get(ids)
    ]
