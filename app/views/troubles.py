"""Texts that got no label because of the model's provider, and what was learnt about it."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from querist.memory.events import Notice
from querist.memory.journal import Journal
from querist.memory.labelling import Labelling
from querist.memory.records import Annotation, ExampleId

_LONGEST = 160
_STATUS_WORDS = {
    "refused": "Refused",
    "failed": "Failed",
    "unparsable": "Unread",
    "truncated": "Cut off",
}
_PREFIX = "refused by the provider: "


@dataclass(frozen=True, slots=True)
class LostRow:
    """Texts without a label that the provider gave no usable answer about, of one kind."""

    word: str
    count: int
    reasons: Sequence[tuple[str, int]]
    """In the provider's words, with how many texts each holds for; the most common first."""

    @property
    def reason(self) -> str:
        """The most common reason."""
        return self.reasons[0][0] if self.reasons else ""


def lost_rows(labelling: Labelling, labelled: Collection[ExampleId]) -> list[LostRow]:
    """Count what was lost; a text that somebody labelled in the end is not."""
    newest: dict[ExampleId, Annotation] = {}
    answered: set[ExampleId] = set(labelled)
    for annotation in labelling.annotations():
        if annotation.who.startswith("llm:"):
            newest[annotation.example] = annotation
            if annotation.answer is not None:
                answered.add(annotation.example)
    reasons: dict[str, Counter[str]] = defaultdict(Counter)
    for example, said in newest.items():
        if example not in answered:
            reasons[said.status][_reason(said)] += 1
    rows = [
        LostRow(_STATUS_WORDS.get(status, status), counts.total(), counts.most_common())
        for status, counts in reasons.items()
    ]
    return sorted(rows, key=lambda row: -row.count)


def notices(journal: Journal) -> list[str]:
    """What was learnt about an endpoint or left out, each once, in the order that it came."""
    said = dict.fromkeys(notice.text for notice in journal.bodies(Notice))
    return [text for text in said if text]


def _reason(said: Annotation) -> str:
    words = " ".join(said.rationale.split()).removeprefix(_PREFIX)
    return (
        words if len(words) <= _LONGEST else f"{words[: _LONGEST - 1]}…"
    ) or "no reason was given"
