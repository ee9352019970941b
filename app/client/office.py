"""What can be asked of a server about the workspace: money, lessons, people."""

from __future__ import annotations

from decimal import Decimal
from typing import Literal

from querist.app.client.asks import Ask, Course, Give, get, nothing, path_of, post
from querist.app.client.methods import Listing, Route
from querist.app.web.api.caps import CapView, CapWish
from querist.app.web.api.lessons import Judgement, LessonView
from querist.app.web.api.people import Invitation, Invited, Me, PersonView
from querist.app.web.api.spend import Lines, LineView, SpendView
from querist.memory.workspace.caps import CapName
from querist.memory.workspace.lessons import LessonKind, State
from querist.memory.workspace.people import Role


class Office:
    """The methods of both clients about what runs share."""

    @Route
    def spend(self, run: str) -> Ask[SpendView]:
        """Tell where a run's budget stands, and who spent what."""
        return get(SpendView, "runs", run, "spend")

    @Route
    def caps(self) -> Ask[list[CapView]]:
        """List the caps over all runs and jobs, with what is left of them."""
        return get(list[CapView], "caps")

    @Route
    def put_cap(self, name: CapName, usd: Decimal | None) -> Ask[list[CapView]]:
        """Set a cap over all runs and jobs, together or a day (UTC); None takes it away."""
        return post(list[CapView], "caps", name, body=CapWish(usd=usd))

    @Listing
    def spend_lines(self, run: str, *, after: int = 0) -> Course[LineView]:
        """Give a run's account line by line, oldest first, read a page at a time."""
        last: int | None = after
        while last is not None:
            page: Lines = yield get(Lines, "runs", run, "spend", "lines", after=last, limit=500)
            for line in page.lines:
                yield Give(line)
            last = page.next

    @Route
    def lessons(
        self, *, kind: LessonKind | None = None, state: State | None = None, run: str | None = None
    ) -> Ask[list[LessonView]]:
        """List the newest version of every lesson, or of those that a run learnt."""
        return get(list[LessonView], "lessons", kind=kind, state=state, run=run)

    @Route
    def judge_lesson(
        self, lesson: str, verdict: Literal["approve", "reject", "retire"], *, version: int
    ) -> Ask[LessonView]:
        """Take a lesson into use, put a proposed one aside, or take one out of use.

        `version` is the one that was read; a newer one is refused.
        """
        body = Judgement(verdict=verdict, version=version)
        return post(LessonView, "lessons", lesson, "decision", body=body)

    @Route
    def me(self) -> Ask[Me]:
        """Tell who is asking."""
        return get(Me, "me")

    @Route
    def people(self) -> Ask[list[PersonView]]:
        """List who may use the pages, and who might once."""
        return get(list[PersonView], "people")

    @Route
    def invite(self, name: str, role: Role = "annotator") -> Ask[Invited]:
        """Make a link for somebody; one that they had before ends."""
        return post(Invited, "people", body=Invitation(name=name, role=role))

    @Route
    def revoke(self, name: str) -> Ask[None]:
        """Shut somebody out at once."""
        return Ask("DELETE", path_of("people", name), nothing)
