"""Several people's labels of one text, as annotation tools export them: the majority decides."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Hashable, Iterator, Sequence

from querist.tools.data.table import NumberedRow, Remarks

_TIED = "annotators disagree without a majority: left without a label"
_OVERRULED = "annotators disagree: the majority's label was taken"


def majority(votes: Sequence[object]) -> tuple[object, str]:
    """Give the label that most votes are for, and what to say of it; None where they are tied."""
    counts = Counter(map(_key, votes))
    ranked = counts.most_common(2)
    if not ranked:
        return None, ""
    if len(ranked) > 1 and ranked[0][1] == ranked[1][1]:
        return None, _TIED
    value = next(vote for vote in votes if _key(vote) == ranked[0][0])
    return value, _OVERRULED if len(ranked) > 1 else ""


def merge_opinions(
    rows: Iterator[NumberedRow],
    remarks: Remarks,
    *,
    same: Callable[[NumberedRow], Hashable],
    voted: Callable[[Sequence[NumberedRow]], Sequence[str]],
) -> Iterator[NumberedRow]:
    """Make one row of all that are about the `same` thing; the `voted` columns go by majority."""
    groups: dict[Hashable, list[NumberedRow]] = {}
    for numbered in rows:
        groups.setdefault(same(numbered), []).append(numbered)
    for members in groups.values():
        number, first = members[0]
        if len(members) == 1:
            yield number, first
            continue
        row = dict(first)
        for column in voted(members):
            votes = [member.get(column) for _, member in members]
            row[column], said = majority([vote for vote in votes if vote not in (None, "", [])])
            if said:
                remarks.mend(said, number)
        yield number, row


def _key(vote: object) -> str:
    """Compare labels that may be lists; their order says nothing."""
    return json.dumps(sorted(map(str, vote)) if isinstance(vote, list) else [str(vote)])
