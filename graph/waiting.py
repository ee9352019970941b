"""What a run waits for: the answers of its people, up to `people.patience`."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import datetime, timedelta

from querist.graph.workplace.context import Context
from querist.memory.events import Proceeded, WaitingForPeople
from querist.memory.records import utc_now
from querist.memory.run.journal import Journal
from querist.tools.opinions.reliability import OWN_CALIBRATION


@dataclass(frozen=True, slots=True)
class Waiting:
    """Answers that a run waits for after a round, or before it ends."""

    number: int
    at_end: bool
    asked: int
    closed: int
    """Answered or skipped."""
    needed: int
    """How many must be closed before the run goes on by itself."""
    since: datetime | None
    until: datetime | None
    is_told: bool
    """A person said to go on without the answers."""

    @property
    def missing(self) -> int:
        """How many answers are still waited for; 0 when there is nothing to wait for any more."""
        is_late = self.until is not None and utc_now() >= self.until
        return 0 if self.is_told or is_late else max(0, self.needed - self.closed)

    @property
    def words(self) -> str:
        """Say what is waited for."""
        what = "before it ends" if self.at_end else "to learn from them"
        if self.number == 0 and not self.at_end:
            what = "to measure the annotators"
        return (
            f"{self.closed} of {self.asked} questions are answered; {self.missing} more "
            f"{'is' if self.missing == 1 else 'are'} waited for {what}"
        )


def waiting_for(context: Context, number: int, *, at_end: bool = False) -> Waiting:
    """Tell what the run waits for after round `number`.

    The first round's answers measure everything, so they are waited for until they can be; those
    of later rounds up to a share and a time. At the end every open question counts.
    """
    people = context.config.people
    asked, closed = context.inbox.progress(None if at_end else number)
    is_patient = people.kind == "inbox" and (people.wait if at_end else people.patience.share > 0)
    needed = asked if at_end else math.ceil(people.patience.share * asked)
    if number == 0 and not at_end:
        needed = min(asked, max(needed, OWN_CALIBRATION))
    is_timed = number > 0 or at_end
    if not is_patient or (is_timed and not people.patience.minutes):
        needed = 0
    since = _since(context.journal, number, at_end=at_end)
    until = since + timedelta(minutes=people.patience.minutes) if since and is_timed else None
    told = any(said.round == number for said in context.journal.bodies(Proceeded))
    return Waiting(number, at_end, asked, closed, needed, since, until, told)


def pending(context: Context) -> Waiting:
    """Tell what a run that stopped to wait is waiting for."""
    number = context.labelling.last_round()
    after_round = waiting_for(context, number)
    return after_round if after_round.missing else waiting_for(context, number, at_end=True)


def _since(journal: Journal, number: int, *, at_end: bool) -> datetime | None:
    """Find when the waiting began."""
    for event in journal.events(kind=WaitingForPeople.kind):
        body = event.body
        if isinstance(body, WaitingForPeople) and (body.round, body.at_end) == (number, at_end):
            return event.at
    return None


def note_waiting(context: Context, waiting: Waiting) -> None:
    """Tell whoever watches what is waited for; the first note says since when."""
    context.emit(
        WaitingForPeople(
            waiting.number,
            at_end=waiting.at_end,
            asked=waiting.asked,
            closed=waiting.closed,
            missing=waiting.missing,
            reason=waiting.words,
        )
    )
