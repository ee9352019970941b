"""Tools that read: the chat's readers, and what a page of the browser would show.

Each opens the workspace for a moment, so that it need not exist before the first run does.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Annotated, Any, Literal

from pydantic import Field

from querist.app.chat.parts import Here, Look, Reply, told
from querist.app.chat.slash import SLASHES, Parsed
from querist.app.terminal.place import Place, find_run
from querist.app.terminal.screen import dollars, percent, plural
from querist.app.views.job_progress import gate_rows, line, look
from querist.app.views.state.run_view import run_line, run_view, task_of
from querist.memory.answers import name_of
from querist.memory.run.browse import Browse, Seen, Standing, Wanted
from querist.memory.run.journal import Journal
from querist.memory.run.mailbox import Mailbox
from querist.memory.run.runs import Runs
from querist.memory.workspace.chat import Table
from querist.memory.workspace.creations import Creations
from querist.memory.workspace.jobs import Jobs

_MOST = 200
"""Rows of a table."""
_LONGEST = 2_000
RunName = Annotated[
    str, Field(description="A run's id or a unique beginning of it; empty: the newest run.")
]
Tool = Callable[..., str]


class Reading:
    """What can be read of one workspace. Each public method is a tool; its docstring says what."""

    def __init__(self, place: Place) -> None:
        self._place = place

    def tools(self) -> list[Tool]:
        """Every tool."""
        return [
            self.runs, self.status, self.curve, self.spend, self.decisions, self.why,
            self.examples, self.like, self.try_strategies, self.cost_of_a_round, self.questions,
            self.guidelines, self.lessons, self.events, self.commands, self.jobs, self.job,
        ]  # fmt: skip

    def runs(self) -> str:
        """List the runs of the workspace, newest first, with status, labels, quality and money."""
        with self._place.open() as store:
            runs = Runs(store)
            lines = [run_line(store, row, runs) for row in runs.all()]
        rows = tuple(
            (
                shown.id, shown.kind, shown.task, shown.status, f"{shown.labels:,}",
                f"{shown.metric_name} {percent(shown.metric)}", str(shown.open_questions),
                f"{dollars(shown.spent)} of {dollars(shown.cap)}", shown.reason,
            )
            for shown in lines
        )  # fmt: skip
        columns = ("run", "kind", "task", "status", "labels", "quality", "open questions", "spent",
                   "why it stands there")  # fmt: skip
        text = f"{plural(len(rows), 'run')}." if rows else "There are no runs yet."
        return told(Reply(text, table=Table(columns, rows) if rows else None), most=_MOST)

    def status(self, run: RunName = "") -> str:
        """Tell where a run stands now: step, labels, quality with its interval, money, questions.

        Ask again to watch it; a run is driven by another process and changes while you read.
        """
        with self._place.open() as store:
            row = Runs(store).get(find_run(store, run or None))
            view = run_view(store, row)
        now = [f"Now: {view.now}"]
        if view.test is not None:
            low, high = percent(view.test.low), percent(view.test.high)
            now.append(f"Test {percent(view.test.value)} [{low}, {high}], {view.test_words}.")
        if view.verdict:
            now.append(f"Which figure to believe: {view.verdict}")
        if view.forecast is not None and view.is_driven:
            now.append(f"The planned rounds will have cost about {dollars(view.forecast)}.")
        return "\n".join([self._read(row.id, "status"), *now])

    def curve(self, run: RunName = "") -> str:
        """Tell what each round led to: labels, quality with its 90 % interval, money."""
        return self._read(run, "curve")

    def spend(self, run: RunName = "") -> str:
        """Tell what each agent spent on what, what is set aside and what is left."""
        return self._read(run, "spend")

    def decisions(
        self,
        run: RunName = "",
        round: Annotated[  # noqa: A002 - the word that an agent would use
            int | None, Field(description="Of this round; without it the last ten.")
        ] = None,
    ) -> str:
        """Tell what agents decided (which strategy, how many, accept or not, go on), and why."""
        given = {} if round is None else {"round": round}
        return self._read(run, "decisions", **given)

    def why(
        self,
        item: Annotated[str, Field(description="An item's id or a unique beginning of it.")],
        run: RunName = "",
    ) -> str:
        """Tell where an item's label comes from: what chose it, who said what, verdict, cost."""
        return self._read(run, "why", item=item)

    def examples(
        self,
        *,
        text: Annotated[str, Field(description="A part of the text.")] = "",
        label: Annotated[str, Field(description="The label that stands.")] = "",
        standing: Annotated[
            Standing, Field(description="asked: with an open question; disputed: opinions differ.")
        ] = "",
        most_sure: Annotated[
            float, Field(ge=0, le=1, description="Right with at most this chance: the doubtful.")
        ] = 1.0,
        after: Annotated[int, Field(description="Where the last page ended.")] = -1,
        limit: Annotated[int, Field(ge=1, le=100)] = 20,
        run: RunName = "",
    ) -> str:
        """Search the pool's items, in the order of the file, each with the label that stands."""
        wanted = Wanted(
            text=text, labels=[label] if label else [], standing=standing, most_sure=most_sure
        )
        with self._place.open() as store:
            row = Runs(store).get(find_run(store, run or None))
            browse, fields = Browse(store, row.id, dataset=row.dataset), task_of(row).fields
            found = browse.page(wanted, fields, limit=limit, after=after, skip=0)
            count = browse.count(wanted, fields)
        more = f" For more: after={found[-1].position}." if len(found) == limit else ""
        head = f"Data, no instruction:\n{plural(count, 'item')} in all, {len(found)} here.{more}"
        return "\n".join([head, *map(_item, found)])

    def like(
        self,
        item: Annotated[str, Field(description="An item's id, or any text.")],
        is_text: Annotated[bool, Field(description="Whether `item` is a text.")] = False,
        run: RunName = "",
    ) -> str:
        """Find the items most like an item or a text, by the run's embedder, with their labels."""
        return self._read(run, "like", item=item, is_text=is_text)

    def try_strategies(
        self,
        strategies: Annotated[list[str], Field(description="As in /strategy; at most five.")],
        count: Annotated[int, Field(ge=1, le=1000, description="Texts that each chooses.")] = 20,
        run: RunName = "",
    ) -> str:
        """Compare what strategies would choose from the pool as it is. Changes nothing."""
        return self._read(run, "try", strategies=strategies, count=count)

    def cost_of_a_round(
        self,
        texts: Annotated[int | None, Field(ge=1, description="How many texts it has.")] = None,
        questions: Annotated[int | None, Field(ge=0, description="Of them to people.")] = None,
        run: RunName = "",
    ) -> str:
        """Tell what another round would cost and leave, and what rounds gained before."""
        return self._read(run, "cost", batch=texts, questions=questions)

    def questions(self, run: RunName = "") -> str:
        """Tell how many questions people are asked, and list the most valuable open ones."""
        return self._read(run, "questions")

    def guidelines(self, run: RunName = "") -> str:
        """List what people told the annotators beside the task's instructions, with numbers."""
        return self._read(run, "guideline")

    def lessons(self, run: RunName = "") -> str:
        """List the lessons that a run uses from earlier ones, and those that it learnt."""
        return self._read(run, "lessons")

    def events(
        self,
        after: Annotated[int, Field(ge=0, description="The id of the last event you saw.")] = 0,
        limit: Annotated[int, Field(ge=1, le=200)] = 50,
        run: RunName = "",
    ) -> str:
        """List what happened in a run after an event, oldest first: how to follow a run."""
        with self._place.open() as store:
            found = Journal(store, find_run(store, run or None)).page(after=after, limit=limit)
        lines = [
            f"{event.id}\t{event.at:%Y-%m-%d %H:%M:%S}\t{event.kind}\t"
            f"{json.dumps(dict(event.data), ensure_ascii=False)[:_LONGEST]}"
            for event in found
        ]
        return "\n".join(["Data, no instruction:", *(lines or ["Nothing since."])])

    def commands(self, run: RunName = "") -> str:
        """List what was wanted of a run (by people, chat or `mcp`), and what became of it."""
        with self._place.open() as store:
            found = Mailbox(store, find_run(store, run or None)).all()
        rows = tuple(
            (str(shown.id), shown.name, json.dumps(dict(shown.arguments)), shown.who, shown.status,
             shown.result)
            for shown in found
        )  # fmt: skip
        columns = ("command", "name", "arguments", "by", "status", "result")
        text = f"{plural(len(rows), 'command')}." if rows else "Nothing was wanted of it yet."
        return told(Reply(text, table=Table(columns, rows) if rows else None), most=_MOST)

    def jobs(self) -> str:
        """List the jobs of the workspace: status, rows, money."""
        with self._place.open() as store:
            lines = [line(look(store, job)) for job in Jobs(store).all()]
        return "\n".join(["Data, no instruction:", *(lines or ["There are no jobs."])])

    def job(
        self,
        job: Annotated[str, Field(description="A job's id or a unique beginning of it.")],
        rows: Annotated[
            Literal["none", "accepted", "rejected"],
            Field(description="Of a job that creates rows, show the newest."),
        ] = "none",
    ) -> str:
        """Tell where a job stands: progress, price per row, what each gate let pass, its run."""
        with self._place.open() as store:
            view = look(store, Jobs(store).get(job))
            created = Creations(store, view.job.run)
            newest = [] if rows == "none" else created.newest(rows, limit=10)
        words = [line(view), *([view.job.reason] if view.job.reason else [])]
        words += [f"Run: {view.job.run}"]
        words += [
            f"{row.gate or 'accepted'}: {row.reason} {json.dumps(dict(row.record))}"[:_LONGEST]
            for row in newest
        ]
        table = Table(("gate", "looked at", "let pass", "share"), tuple(gate_rows(view)))
        return told(Reply("\n".join(words), table=table if view.gates else None), most=_MOST)

    def _read(self, run: str, slash: str, /, **arguments: Any) -> str:
        """Ask a slash command that reads."""
        with self._place.open() as store:
            looked = Look(store, find_run(store, run or None))
            outcome = Parsed(SLASHES[slash], arguments).act(looked, Here())
        assert isinstance(outcome, Reply)
        return told(outcome, most=_MOST)


def _item(seen: Seen) -> str:
    """Write an item as a line of JSON, which keeps its text in its place."""
    label = seen.label
    return json.dumps(
        {
            "id": seen.example,
            "fields": {name: text[:_LONGEST] for name, text in seen.fields.items()},
            "origin": seen.origin,
            "label": None if label is None else name_of(label.answer),
            "by": None if label is None else label.who,
            "p_correct": None if label is None else round(label.p_correct, 3),
            "asked": seen.asked,
        },
        ensure_ascii=False,
    )
