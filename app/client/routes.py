"""What can be asked of a server: each method once, for the sync and the async client."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any, Literal

from querist.app.client.asks import (
    ApiError,
    Ask,
    Course,
    Give,
    Pause,
    get,
    nothing,
    path_of,
    post,
    reader,
)
from querist.app.client.methods import Listing, Route, Waiting
from querist.app.client.office import Office
from querist.app.views.state.decision_view import DecisionView
from querist.app.views.state.run_view import RoundView, RunLine, RunView
from querist.app.web.api.attributes import FoundView, Search
from querist.app.web.api.chat import MessageView, Said, Word
from querist.app.web.api.checks import Agreement, DisputePage
from querist.app.web.api.examples import (
    Count,
    Examples,
    ExampleView,
    Filters,
    LikeView,
    ProvenanceView,
)
from querist.app.web.api.inbox import AlikePage, AskedPage, Handed, Served, Wanted
from querist.app.web.api.jobs import (
    Decisions,
    Extension,
    HandedIn,
    JobDetail,
    JobLine,
    More,
    QuoteView,
    RowView,
    UploadView,
)
from querist.app.web.api.runs import CommandView, Events, Wish
from querist.app.web.inbox_view import AskedView, InboxView, ReceiptView, ReplyBody

FileFormat = Literal["csv", "jsonl", "parquet", "label-studio"]
_ENDINGS: Mapping[str, FileFormat] = {".csv": "csv", ".jsonl": "jsonl", ".parquet": "parquet"}
_POLL = 0.3


class Routes(Office):
    """The methods of both clients. Times are aware, money is `Decimal` in US dollars."""

    # ------------------------------------------------------------ runs

    @Route
    def runs(self) -> Ask[list[RunLine]]:
        """List the runs, newest first."""
        return get(list[RunLine], "runs")

    @Route
    def run(self, run: str) -> Ask[RunView]:
        """Tell where a run stands."""
        return get(RunView, "runs", run)

    @Route
    def rounds(self, run: str) -> Ask[list[RoundView]]:
        """List the rounds in order: the learning curve."""
        return get(list[RoundView], "runs", run, "rounds")

    @Route
    def decisions(
        self, run: str, *, number: int | None = None, agent: str | None = None
    ) -> Ask[list[DecisionView]]:
        """List what agents decided and why, oldest first; in round `number` if asked."""
        return get(list[DecisionView], "runs", run, "decisions", round=number, agent=agent)

    @Route
    def events(self, run: str, *, after: int = 0, limit: int = 100) -> Ask[Events]:
        """List a page of events, oldest first; `follow` gives them as they happen."""
        return get(Events, "runs", run, "events", after=after, limit=limit)

    @Route
    def resume(self, run: str) -> Ask[RunLine]:
        """Drive a run in a process of its own; one that is driven already goes on."""
        return post(RunLine, "runs", run, "resume")

    @Route
    def commands(self, run: str) -> Ask[list[CommandView]]:
        """List what people wanted of a run, and what became of it."""
        return get(list[CommandView], "runs", run, "commands")

    @Route
    def command(
        self,
        run: str,
        name: str,
        arguments: Mapping[str, Any] | None = None,
        *,
        key: str | None = None,
    ) -> Ask[CommandView]:
        """Hand a command to whoever drives a run; under one `key` it is one command."""
        wish = Wish(name=name, arguments=dict(arguments or {}))
        return post(CommandView, "runs", run, "commands", body=wish, key=key)

    @Waiting
    def wait_for_command(
        self, run: str, command: int, *, seconds: float = 60
    ) -> Course[CommandView]:
        """Wait until the run took a command; after `seconds` it is given as it then stands.

        A run that nobody drives takes commands when it goes on.
        """
        left = seconds
        while True:
            every: list[CommandView] = yield Routes.commands(self, run)
            found = next((posted for posted in every if posted.id == command), None)
            if found is None:
                raise ApiError("not_found", f"There is no command {command} to {run}.", 404)
            if found.status != "queued" or left <= 0:
                yield Give(found)
                return
            yield Pause(_POLL)
            left -= _POLL

    # ------------------------------------------------------------ examples

    @Listing
    def examples(self, run: str, filters: Filters | None = None) -> Course[ExampleView]:
        """Give the examples of a run in the order of the file, read a page at a time."""
        wanted = filters or Filters()
        query = wanted.model_dump(exclude={"after", "skip"})
        after: int | None = wanted.after
        skip = wanted.skip
        while after is not None:
            page: Examples = yield get(
                Examples, "runs", run, "examples", **query, after=after, skip=skip
            )
            for example in page.examples:
                yield Give(example)
            after, skip = page.next, 0

    @Route
    def count_examples(self, run: str, filters: Filters | None = None) -> Ask[Count]:
        """Count what `examples` would give."""
        query = (filters or Filters()).model_dump()
        return get(Count, "runs", run, "example-count", **query)

    @Route
    def provenance(self, run: str, example: str) -> Ask[ProvenanceView]:
        """Tell where an example's label comes from: who chose it, who said what, for how much."""
        return get(ProvenanceView, "runs", run, "examples", example)

    @Route
    def like(self, run: str, example: str, *, limit: int = 8) -> Ask[list[LikeView]]:
        """List the examples that read like one, the likest first."""
        return get(list[LikeView], "runs", run, "alike", example=example, limit=limit)

    # ------------------------------------------------------------ chat

    @Route
    def messages(self, run: str, *, after: int = 0) -> Ask[list[MessageView]]:
        """List what was said in the chat after a message."""
        return get(list[MessageView], "runs", run, "chat", after=after)

    @Route
    def say(
        self, run: str, text: str, *, example: str = "", number: int | None = None
    ) -> Ask[list[MessageView]]:
        """Say something in the chat; `example` is what `this` means."""
        said = Said(text=text, example=example, round=number)
        return post(list[MessageView], "runs", run, "chat", body=said)

    @Route
    def decide(
        self,
        run: str,
        message: int,
        verdict: Literal["approve", "edit", "reject"],
        *,
        arguments: Mapping[str, Any] | None = None,
    ) -> Ask[MessageView]:
        """Approve, edit or reject what a message proposes."""
        word = Word(verdict=verdict, arguments=None if arguments is None else dict(arguments))
        return post(MessageView, "runs", run, "chat", message, "decision", body=word)

    @Route
    def complete(self, run: str, line: str) -> Ask[list[str]]:
        """Complete a slash command: whole lines that could be meant."""
        return get(list[str], "runs", run, "chat", "complete", line=line)

    # ------------------------------------------------------------ inbox

    @Route
    def inbox(self, run: str, *, since: datetime | None = None) -> Ask[InboxView]:
        """Count a run's questions, and tell who is at them; `since` is when today began."""
        return get(InboxView, "runs", run, "inbox", since=since)

    @Route
    def claim(
        self,
        run: str,
        *,
        count: int = 50,
        reason: str | None = None,
        have: Sequence[str] = (),
        guesses: bool = False,
    ) -> Ask[Served]:
        """Take questions on hand for ten minutes; those that you `have` are kept for you."""
        wanted = Wanted(count=count, reason=reason, have=list(have), guesses=guesses)
        return post(Served, "runs", run, "inbox", "claim", body=wanted)

    @Route
    def release(self, run: str, questions: Iterable[str]) -> Ask[None]:
        """Hand questions back."""
        path, body = path_of("runs", run, "inbox", "release"), Handed(questions=list(questions))
        return Ask("POST", path, nothing, body=body)

    @Route
    def answer(self, run: str, replies: Sequence[ReplyBody]) -> Ask[list[ReceiptView]]:
        """Answer up to 500 questions; one `client_id` counts once, however often it is sent."""
        return post(list[ReceiptView], "runs", run, "inbox", "answers", body=list(replies))

    @Listing
    def questions(
        self,
        run: str,
        *,
        status: Literal["open", "answered", "skipped"] | None = None,
        reason: str | None = None,
    ) -> Course[AskedView]:
        """Give a run's questions, the most valuable first, read a page at a time."""
        after: str | None = ""
        while after is not None:
            page: AskedPage = yield get(
                AskedPage,
                *("runs", run, "inbox", "questions"),
                status=status, reason=reason, after=after,
            )  # fmt: skip
            for question in page.questions:
                yield Give(question)
            after = page.next

    @Route
    def alike(self, run: str, question: str, *, limit: int = 24) -> Ask[AlikePage]:
        """List open questions that read like one."""
        return get(AlikePage, "runs", run, "inbox", question, "alike", limit=limit)

    @Route
    def agreement(self, run: str) -> Ask[Agreement]:
        """Tell what people did in a run and how far they agree; of others only to an owner."""
        return get(Agreement, "runs", run, "inbox", "people")

    @Route
    def disputes(self, run: str, *, limit: int = 100) -> Ask[DisputePage]:
        """List what two people answered differently, to settle it with `answer`."""
        return get(DisputePage, "runs", run, "inbox", "disputes", limit=limit)

    # ------------------------------------------------------------ jobs and files

    @Route
    def jobs(self) -> Ask[list[JobLine]]:
        """List the jobs."""
        return get(list[JobLine], "jobs")

    @Route
    def job(self, job: str) -> Ask[JobDetail]:
        """Tell where a job stands."""
        return get(JobDetail, "jobs", job)

    @Route
    def job_rows(
        self, job: str, *, status: Literal["accepted", "rejected"] = "accepted", limit: int = 20
    ) -> Ask[list[RowView]]:
        """List the newest rows that a job wrote."""
        return get(list[RowView], "jobs", job, "rows", status=status, limit=limit)

    @Listing
    def job_decisions(self, job: str) -> Course[DecisionView]:
        """Give what a job's agents decided and why, newest wave first, read a page at a time."""
        before: int | None = None
        while True:
            page: Decisions = yield get(Decisions, "jobs", job, "decisions", before=before)
            for decision in page.decisions:
                yield Give(decision)
            before = page.next
            if before is None:
                return

    @Route
    def quote_job(self, request: Mapping[str, Any]) -> Ask[QuoteView]:
        """Forecast a job; nothing is spent or kept."""
        return post(QuoteView, "jobs", "quote", body=dict(request))

    @Route
    def find_attributes(
        self,
        request: Mapping[str, Any],
        *,
        sample: int = 24,
        most: int = 3,
        usd: Decimal = Decimal("0.10"),
    ) -> Ask[FoundView]:
        """Let the writer of a job name what a sample of its seeds varies in, for `usd` at most.

        It is a call a seed: with a slow model give the client a longer `timeout`.
        """
        search = Search(request=dict(request), sample=sample, most=most, usd=usd)
        return post(FoundView, "jobs", "attributes", body=search)

    @Route
    def submit_job(self, request: Mapping[str, Any], *, key: str | None = None) -> Ask[HandedIn]:
        """Put a job into the queue; under one `key` it is one job."""
        return post(HandedIn, "jobs", body=dict(request), key=key)

    @Route
    def pause_job(self, job: str) -> Ask[JobLine]:
        """Pause a job at its next step."""
        return post(JobLine, "jobs", job, "pause")

    @Route
    def cancel_job(self, job: str) -> Ask[JobLine]:
        """End a job for good; what it made can still be taken."""
        return post(JobLine, "jobs", job, "cancel")

    @Route
    def resume_job(self, job: str, *, usd: Decimal | None = None) -> Ask[JobLine]:
        """Put a job that stopped back into the queue, with another cap if one is given."""
        return post(JobLine, "jobs", job, "resume", body=More(usd=usd))

    @Route
    def extend_job(
        self,
        job: str,
        *,
        rows: str | None = None,
        usd: Decimal | None = None,
        rounds: int | None = None,
    ) -> Ask[HandedIn]:
        """Give a job more: an upload of `rows` to label, its cap and its most rounds in all."""
        more = Extension(rows=rows, usd=usd, rounds=rounds)
        return post(HandedIn, "jobs", job, "extend", body=more)

    @Route
    def upload(self, path: Path | str, *, name: str | None = None) -> Ask[UploadView]:
        """Hand a file in; `file` of what is given names it in a job's request."""
        file = Path(path)
        query = {"name": name or file.name}
        return Ask("POST", path_of("uploads"), reader(UploadView), query=query, file=file)

    @Route
    def export(self, run: str, to: Path | str, *, form: FileFormat | None = None) -> Ask[Path]:
        """Write a run's labels to a file, whole or not at all; its ending tells the format."""
        return _file("runs", run, "export", to=Path(to), form=form)

    @Route
    def job_result(self, job: str, to: Path | str, *, form: FileFormat | None = None) -> Ask[Path]:
        """Write a job's rows to a file, as far as there are any."""
        return _file("jobs", job, "result", to=Path(to), form=form)


def _file(*parts: str, to: Path, form: FileFormat | None) -> Ask[Path]:
    chosen = form or _ENDINGS.get(to.suffix.lower())
    if chosen is None:
        raise ApiError("invalid", f"The ending of {to.name} tells no format; name one as `form`.")
    return Ask("GET", path_of(*parts), lambda _: to, query={"format": chosen}, to=to)
