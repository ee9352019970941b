"""Cells of labels and attributes: shares, exclusions, whole rows."""

import pytest

from querist.graph.jobs.cells import cells_of, check_cells, quotas
from querist.graph.jobs.request import AttributeSection

TONE = {"tone": AttributeSection(values=("polite", "angry"), shares=(0.75, 0.25))}


def shares(cells):
    return {(cell.label, *dict(cell.attributes).values()): round(cell.share, 4) for cell in cells}


def test_a_cell_has_the_product_of_its_shares():
    cells = cells_of(["a", "b"], {"a": 0.6, "b": 0.4}, TONE, ())
    assert shares(cells) == {
        ("a", "polite"): 0.45, ("a", "angry"): 0.15, ("b", "polite"): 0.3, ("b", "angry"): 0.1,
    }  # fmt: skip


def test_what_is_never_written_is_spread_over_the_rest():
    cells = cells_of(["a", "b"], {}, TONE, [{"label": "a", "tone": "angry"}])
    assert shares(cells) == {
        ("a", "polite"): 0.4286, ("b", "polite"): 0.4286, ("b", "angry"): 0.1429,
    }  # fmt: skip
    with pytest.raises(ValueError, match="excludes every combination"):
        cells_of(["a"], {}, TONE, [{"tone": "polite"}, {"tone": "angry"}])
    with pytest.raises(ValueError, match="never names tone = 'sad', which there is not"):
        check_cells(["a"], {}, TONE, [{"tone": "sad"}])


def test_rows_are_whole_and_add_up():
    cells = cells_of(["a", "b"], {"a": 0.6, "b": 0.4}, TONE, ())
    assert quotas(cells, 10) == [5, 1, 3, 1]  # 4.5, 1.5, 3.0, 1.0: the first of equal remainders
    for rows in range(1, 60):
        assert sum(quotas(cells, rows)) == rows


def test_more_combinations_than_can_be_planned_for_are_refused():
    many = {name: AttributeSection(values=tuple(map(str, range(200)))) for name in ("x", "y")}
    with pytest.raises(ValueError, match="make 40,000 combinations"):
        cells_of([], {}, many, ())
