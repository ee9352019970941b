"""Questions out to another tool and answers back: CSV, and Label Studio's JSON.

An answer finds its question by the question's id, else by the example's, else by the text. One that
cannot be used is told with its row; what was answered here meanwhile stays.
"""

from __future__ import annotations

import csv
import json
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from querist.app.answers.answering import valid_name
from querist.app.answers.kinds import Answering, answering_of
from querist.app.terminal.place import Place, opened_run, user_name
from querist.app.terminal.screen import Screen, plural
from querist.memory.asking.inbox import Inbox
from querist.memory.errors import InvalidInput, NotOpen
from querist.memory.records import Question
from querist.memory.run.runs import Runs
from querist.tools.data.annotation.label_studio import write_interface
from querist.tools.data.cells import as_text, clean
from querist.tools.data.encoding import AUTO
from querist.tools.data.formats import open_table
from querist.tools.data.places import refuse_target, replacing
from querist.tools.data.table import Row
from querist.tools.kinds.names import match_label
from querist.tools.wording import listed, places, shorten

_QUESTION, _ANSWER = "querist_question", "answer"
_ANSWER_COLUMNS = (_ANSWER, "label", "querist_label", "choice", "gold")
_SHOWN = 5

Form = Literal["csv", "label-studio"]


def hand_out(
    place: Place, name: str | None, *, output: Path, form: Form | None, force: bool
) -> None:
    """Write the open questions to a file that people fill in elsewhere."""
    form = form or ("label-studio" if output.suffix.lower() == ".json" else "csv")
    refuse_target(output, is_folder=False, force=force)
    screen = Screen()
    with opened_run(place, name) as run:
        task = run.view().task
        # Who settles a dispute sees both answers, which a file does not show.
        every = Inbox(run.store, run.id).all(status="open")
        questions = [question for question in every if question.checks != "adjudication"]
        if not questions:
            raise InvalidInput(
                f"Run {run.id} has no open questions. See where it stands: "
                f"{place.command(f'status {run.id}')}"
            )
        rows = [_asked(question) for question in questions]
        with replacing(output) as draft:
            if form == "csv":
                _write_csv(rows, draft)
            else:
                _write_tasks(rows, draft)
        if form == "label-studio":
            interface = output.with_suffix(".config.xml")
            write_interface(task, interface, fields=task.fields)
            screen.line(f"The labelling interface for Label Studio is in {interface}")
        screen.line(f"Wrote {plural(len(rows), 'question')} to {output}")
        if form == "csv":
            screen.line(f"Fill in the column {_ANSWER!r} with one of: {listed(task.names, 20)}")
        back = place.command(f"inbox import {run.id} {output} --name WHO")
        screen.line(f"Then bring the answers back with: {back}")


@dataclass(slots=True)
class TakenIn:
    """What became of the rows of a file of answers."""

    answered: int = 0
    empty: int = 0
    closed: list[int] = field(default_factory=list)
    """Rows whose question was answered or taken by somebody else meanwhile."""
    unknown: list[int] = field(default_factory=list)
    """Rows about nothing that is asked."""
    unreadable: dict[str, list[int]] = field(default_factory=lambda: defaultdict(list))
    """Answers that are none of the labels, with their rows."""
    disagreeing: list[int] = field(default_factory=list)


def take_in(
    place: Place,
    name: str | None,
    source: str,
    *,
    who: str,
    column: str | None,
    encoding: str | None,
) -> None:
    """Read answers from a file and give them, as far as their questions are open."""
    screen = Screen()
    who = valid_name(who or user_name())
    with opened_run(place, name) as run:
        inbox, answering = Inbox(run.store, run.id), answering_of(run.view().task.kind)
        table = open_table(source, encoding=encoding or AUTO)
        reading = _Reading(_Finder(inbox), _answer_column(table.columns, column, table.name))
        for number, row in table.rows(table.columns):
            reading.take(row, number)
        for question, votes in reading.votes.items():
            _give(inbox, question, votes, who=who, answering=answering, taken=reading.taken)
        for note in table.remarks.notes:
            screen.line(note)
        _tell(screen, reading.taken, table.unit, source=table.name)
        if reading.taken.answered:
            driven = Runs(run.store).is_driven(run.row)
            words = f"Let the run use them with: {place.command(f'resume {run.id}')}"
            screen.line("The run takes them in by itself." if driven else words)


# ---------------------------------------------------------------- out


def _asked(question: Question) -> dict[str, str]:
    return {_QUESTION: question.id, **question.payload.fields}


def _write_csv(rows: Sequence[Mapping[str, str]], path: Path) -> None:
    columns = [*dict.fromkeys(column for row in rows for column in row), _ANSWER]
    # With a byte-order mark Excel reads it as UTF-8.
    with path.open("w", encoding="utf-8-sig", errors="replace", newline="") as stream:
        writer = csv.DictWriter(stream, columns, restval="")
        writer.writeheader()
        writer.writerows(rows)


def _write_tasks(rows: Sequence[Mapping[str, str]], path: Path) -> None:
    tasks = [{"data": dict(row)} for row in rows]
    text = json.dumps(tasks, ensure_ascii=False, indent=1)
    path.write_text(text, encoding="utf-8", errors="replace")


# ---------------------------------------------------------------- back


class _Finder:
    """Finds the question that a row is about."""

    def __init__(self, inbox: Inbox) -> None:
        self._by_id: dict[str, Question] = {}
        self._by_example: dict[str, Question] = {}
        self._by_text: dict[str, Question] = {}
        # Of several about one example, the open one is meant.
        for question in sorted(inbox.all(), key=lambda question: question.status != "open"):
            self._by_id[question.id] = question
            self._by_example.setdefault(question.example, question)
            self._by_text.setdefault(_text(_asked(question)), question)

    def find(self, row: Row) -> Question | None:
        """Look by the question's id, the example's id, the text."""
        for column in (_QUESTION, "question"):
            if (named := str(row.get(column) or "").strip()) in self._by_id:
                return self._by_id[named]
        for column in ("querist_id", "id"):
            if (named := str(row.get(column) or "").strip()) in self._by_example:
                return self._by_example[named]
        texts = (_words(clean(as_text(value))) for value in row.values() if isinstance(value, str))
        found = next((self._by_text[text] for text in texts if text in self._by_text), None)
        return found or self._by_text.get(_text(row))


def _text(row: Mapping[str, object]) -> str:
    ours = {_QUESTION, _ANSWER}
    return _words("\n".join(str(value) for name, value in row.items() if name not in ours))


def _words(text: str) -> str:
    return " ".join(text.split()).casefold()


def _answer_column(columns: Sequence[str], given: str | None, name: str) -> str:
    if given is not None:
        if given not in columns:
            raise InvalidInput(f"{name} has no column {given!r}. Its columns: {listed(columns)}.")
        return given
    found = next((column for column in _ANSWER_COLUMNS if column in columns), None)
    if found is None:
        raise InvalidInput(
            f"{name} has no column {_ANSWER!r} with the answers. Name the one that has them with "
            f"--column. Its columns: {listed(columns)}."
        )
    return found


@dataclass(slots=True)
class _Reading:
    """A file of answers, row by row."""

    finder: _Finder
    column: str
    taken: TakenIn = field(default_factory=TakenIn)
    votes: dict[str, list[tuple[int, str]]] = field(default_factory=lambda: defaultdict(list))
    """By question: rows with the label that they give it."""

    def take(self, row: Row, number: int) -> None:
        """Put a row's answer to its question, or note why that cannot be."""
        value = row.get(self.column)
        if isinstance(value, list) and len(value) == 1:
            value = value[0]
        said = clean(as_text(value)).strip() if value is not None else ""
        if not said:
            self.taken.empty += 1
            return
        question = self.finder.find(row)
        if question is None:
            self.taken.unknown.append(number)
            return
        allowed = question.answer_schema.get("enum")
        names = [str(name) for name in allowed] if isinstance(allowed, list) else []
        label = match_label(said, names)
        if label is None:
            self.taken.unreadable[said].append(number)
            return
        self.votes[question.id].append((number, label))


def _give(
    inbox: Inbox,
    question: str,
    votes: Sequence[tuple[int, str]],
    *,
    who: str,
    answering: Answering,
    taken: TakenIn,
) -> None:
    """Answer a question as most rows do; rows that are split leave it open."""
    ranked = Counter(label for _, label in votes).most_common(2)
    if len(ranked) > 1 and ranked[0][1] == ranked[1][1]:
        taken.disagreeing += [number for number, _ in votes]
        return
    try:
        inbox.answer(question, answering.answer(ranked[0][0]), who=who)
    except NotOpen:
        taken.closed += [number for number, _ in votes]
        return
    taken.answered += 1


def _tell(screen: Screen, taken: TakenIn, unit: str, *, source: str) -> None:
    screen.line(f"{source}: {plural(taken.answered, 'answer')} taken in")
    if taken.empty:
        screen.line(f"  {plural(taken.empty, 'row')} without an answer; their questions stay open")
    if taken.closed:
        where = places(unit, taken.closed)
        screen.line(
            f"  {len(taken.closed)} about questions that were answered before, or that somebody "
            f"has on the screen: the earlier answer stays {where}"
        )
    if taken.disagreeing:
        where = places(unit, taken.disagreeing)
        screen.line(f"  {len(taken.disagreeing)} contradict each other: left open {where}")
    if taken.unknown:
        where = places(unit, taken.unknown)
        screen.line(f"  {len(taken.unknown)} about nothing that this run asks {where}")
    for said, numbers in list(taken.unreadable.items())[:_SHOWN]:
        screen.line(f"  {shorten(said)} is no label of the task {places(unit, numbers)}")
    if len(taken.unreadable) > _SHOWN:
        screen.line(f"  and {len(taken.unreadable) - _SHOWN} more that are no labels")
