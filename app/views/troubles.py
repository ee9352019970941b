"""Texts that were looked at and got no label, with why, and what was learnt about a provider."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from querist.app.terminal.screen import plural
from querist.memory.asking.inbox import Inbox
from querist.memory.events import Notice
from querist.memory.records import Action, Annotation, ExampleId
from querist.memory.run.journal import Journal
from querist.memory.run.labelling import Labelling
from querist.tools.wording import shorten

_LONGEST = 160
_LOOKED_AT, _QUOTED = 200, 2
_STATUS_WORDS = {
    "refused": "Refused",
    "failed": "Failed",
    "unparsable": "Unread",
    "truncated": "Cut off",
}
_PREFIX = "refused by the provider: "


@dataclass(frozen=True, slots=True)
class LostRow:
    """Texts without a label for one kind of reason: no usable answer, or too little belief."""

    word: str
    count: int
    reasons: Sequence[tuple[str, int]]
    """In the provider's or the verifier's words, with how many texts each holds for; the most
    common first."""

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
    unanswered = newest.keys() - answered
    for example in unanswered:
        said = newest[example]
        reasons[said.status][_reason(said)] += 1
    rows = [
        LostRow(_STATUS_WORDS.get(status, status), counts.total(), counts.most_common())
        for status, counts in reasons.items()
    ]
    if dropped := _dropped(labelling, unanswered.union(labelled)):
        rows.append(LostRow("Dropped", dropped.total(), dropped.most_common()))
    return sorted(rows, key=lambda row: -row.count)


def _dropped(labelling: Labelling, others: Collection[ExampleId]) -> Counter[str]:
    """Count texts that the verifier dropped at last by why; `others` are none of them."""
    newest = {verdict.example: verdict for verdict in labelling.verdicts()}
    # What stands before the colon, how sure it was, is another number for each text.
    return Counter(
        verdict.reason.partition(": ")[2] or verdict.reason
        for example, verdict in newest.items()
        if verdict.action is Action.DROP and example not in others
    )


def notices(journal: Journal) -> list[str]:
    """What was learnt about an endpoint or left out, each once, in the order that it came."""
    said = dict.fromkeys(notice.text for notice in journal.bodies(Notice))
    return [text for text in said if text]


def misfits(inbox: Inbox) -> list[str]:
    """Say how many questions people put aside because no label fits, and what some of them said."""
    count = inbox.unfit()
    if not count:
        return []
    aside = inbox.page(status="skipped", limit=_LOOKED_AT)
    said = [
        shorten(question.rationale, _LONGEST)
        for question in aside
        if question.is_unfit and question.rationale
    ]
    quoted = "".join(f" “{words}”" for words in said[:_QUOTED])
    where = f"{plural(count, 'question')} put aside by people because no label fits"
    return [f"{where}: the set of labels may be wrong.{quoted}"]


def _reason(said: Annotation) -> str:
    words = " ".join(said.rationale.split()).removeprefix(_PREFIX)
    return (
        words if len(words) <= _LONGEST else f"{words[: _LONGEST - 1]}…"
    ) or "no reason was given"
