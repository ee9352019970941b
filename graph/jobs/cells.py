"""Cells: combinations of a label and attributes' values, and how many rows each is to have."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Protocol

from querist.tools.compute.arrays import share_out

_MOST = 20_000
_LABEL = "label"


class Attribute(Protocol):
    """What is known of an attribute: values, and their shares or None."""

    @property
    def values(self) -> Sequence[str]:
        """What it can be."""

    @property
    def shares(self) -> Sequence[float] | None:
        """How often, or equally often."""


@dataclass(frozen=True, slots=True)
class Cell:
    """A label and a value of each attribute."""

    label: str | None
    attributes: tuple[tuple[str, str], ...]
    share: float
    """Of all rows."""

    @property
    def name(self) -> str:
        """Name it for people and accounts."""
        parts = [*([self.label] if self.label else []), *(value for _, value in self.attributes)]
        return " / ".join(parts) or "all"


def cells_of(
    labels: Sequence[str],
    shares: Mapping[str, float],
    attributes: Mapping[str, Attribute],
    never: Collection[Mapping[str, str]],
) -> list[Cell]:
    """List the cells whose share is above 0, those that are never written left out.

    Attributes are taken to be independent: a cell's share is the product of its values'; what is
    left out is spread over the rest. Raises `ValueError` where nothing is left, or too much.
    """
    axes: list[list[tuple[str, str, float]]] = []
    if labels:
        equal = 1 / len(labels)
        given = {name: shares.get(name, 0.0) if shares else equal for name in labels}
        axes.append([(_LABEL, name, share) for name, share in given.items() if share > 0])
    for name, attribute in attributes.items():
        parts = attribute.shares or [1 / len(attribute.values)] * len(attribute.values)
        pairs = zip(attribute.values, parts, strict=True)
        axes.append([(name, value, share) for value, share in pairs if share > 0])
    size = 1
    for axis in axes:
        size *= len(axis)
    if size > _MOST:
        raise ValueError(
            f"labels and attributes make {size:,} combinations, and at most {_MOST:,} can be "
            "planned for; name fewer values"
        )
    cells = []
    for parts_ in product(*axes):
        values = {name: value for name, value, _ in parts_}
        if any(rule.items() <= values.items() for rule in never):
            continue
        share = 1.0
        for _, _, part in parts_:
            share *= part
        label = values.pop(_LABEL, None)
        cells.append(Cell(label, tuple(values.items()), share))
    total = sum(cell.share for cell in cells)
    if not cells or total <= 0:
        raise ValueError("never excludes every combination of labels and attributes")
    return [Cell(cell.label, cell.attributes, cell.share / total) for cell in cells]


def check_cells(
    labels: Sequence[str],
    shares: Mapping[str, float],
    attributes: Mapping[str, Attribute],
    never: Collection[Mapping[str, str]],
) -> None:
    """Refuse what contradicts itself; raises `ValueError`."""
    known = {name: set(attribute.values) for name, attribute in attributes.items()}
    if _LABEL in known:
        raise ValueError("no attribute can be called label: labels are those of the task")
    known[_LABEL] = set(labels)
    for rule in never:
        for name, value in rule.items():
            if value not in known.get(name, set()):
                raise ValueError(f"never names {name} = {value!r}, which there is not")
    cells = cells_of(labels, shares, attributes, never)
    wanted = {
        (name, value)
        for name, attribute in attributes.items()
        for place, value in enumerate(attribute.values)
        if attribute.shares is None or attribute.shares[place] > 0
    }
    wanted |= {(_LABEL, name) for name in labels if not shares or shares.get(name, 0) > 0}
    found = {pair for cell in cells for pair in cell.attributes}
    found |= {(_LABEL, cell.label) for cell in cells if cell.label}
    if lost := sorted(wanted - found):
        name, value = lost[0]
        raise ValueError(
            f"{name} = {value!r} is to be written, but never excludes every combination with it"
        )


def quotas(cells: Sequence[Cell], rows: int) -> list[int]:
    """Share out rows by largest remainder (Hamilton); they add up to `rows`."""
    return share_out(rows, [cell.share for cell in cells])
