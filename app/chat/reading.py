"""What slash commands read from a run: answers in words, with what they were read from."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any

from querist.app.chat.parts import Here, Look, Reply, cut
from querist.app.chat.what_if import cost_of_a_round, try_strategies
from querist.app.terminal.place import status_of
from querist.app.terminal.screen import dollars, percent, plural, source_words, sparkline
from querist.app.views.figures import place_words
from querist.app.views.state.provenance import Provenance, Said, gather_provenance
from querist.app.views.state.workspace import caps_line
from querist.memory.answers import name_of
from querist.memory.asking.checks import Checks
from querist.memory.events import LessonsUsed
from querist.memory.questions import Check
from querist.memory.records import Annotation, Command, Question
from querist.memory.run.runs import Runs
from querist.memory.workspace.chat import Cite, Table
from querist.memory.workspace.lessons import Lessons

_MOST = 10
_MOST_LIKE = 8


def _status(look: Look, _here: Here, _arguments: Mapping[str, Any]) -> Reply:
    """Say where the run stands."""
    rounds, counts = look.journal.rounds(), look.labelling.counts()
    balance, asked = look.ledger.balance(), look.inbox.counts()
    stands = status_of(look.row, Runs(look.store))
    reason = f" ({look.row.reason.rstrip('.')})" if look.row.reason else ""
    labels = ", ".join(f"{source_words(name)} {count:,}" for name, count in counts.items())
    lines = [f"{look.id} is {stands}{reason}."]
    lines.append(
        f"{plural(len(rounds), 'round')} of {look.rounds} done; "
        f"{plural(sum(counts.values()), 'label')}{f': {labels}' if labels else ''}."
    )
    lines.append(
        f"{dollars(balance.settled)} of {dollars(balance.cap)} spent; "
        f"{plural(asked.get('open', 0), 'question')} open."
    )
    cites = [Cite("run", look.id), Cite("spend", look.id)]
    if rounds and rounds[-1].metric is not None:
        last = rounds[-1]
        where = place_words(str(last.detail.get("measured_on", "")))
        spread = f" [{percent(last.metric_low)}, {percent(last.metric_high)}]"
        lines.append(f"Quality {percent(last.metric)}{spread}, {where}.")
        cites.append(Cite("round", str(last.number)))
    waiting = [_queued(command) for command in look.mailbox.queued()]
    if waiting:
        lines.append(f"Not taken yet: {', '.join(waiting)}.")
    if aside := len(look.labelling.aside()):
        lines.append(f"{plural(aside, 'item')} put aside, to be annotated anew.")
    return Reply("\n".join(lines), tuple(cites))


def _why(look: Look, here: Here, arguments: Mapping[str, Any]) -> Reply:
    """Say where an item's label comes from."""
    example = look.item(str(arguments["item"]), here)
    if here.is_blind and Checks(look.store, look.id).under_way([example]):
        text = "Somebody is asked for an opinion of their own on it, so only owners are told more."
        return Reply(f"{example}: {text}", (Cite("example", example),))
    found = gather_provenance(look.store, look.id, example)
    rows = tuple(_said_row(said) for said in found.said)
    columns = ("who", "answer", "sure", "round", "guidelines", "prompt", "cost")
    return Reply(
        "\n".join(_why_lines(found)), _why_cites(found), Table(columns, rows) if rows else None
    )


def _spend(look: Look, _here: Here, _arguments: Mapping[str, Any]) -> Reply:
    """Say what was spent on what."""
    balance = look.ledger.balance()
    left = max(balance.remaining, Decimal(0))
    found = sorted(look.ledger.by_agent().items(), key=lambda pair: -pair[1])
    rows = tuple((agent, kind, dollars(usd)) for (agent, kind), usd in found)
    rounds = len(look.journal.rounds())
    each = f", {dollars(balance.settled / rounds)} a round" if rounds else ""
    text = (
        f"{dollars(balance.settled)} of {dollars(balance.cap)} spent{each}; "
        f"{dollars(balance.reserved)} set aside, {dollars(left)} left."
    )
    text = " ".join(part for part in (text, caps_line(look.store)) if part)
    table = Table(("agent", "for", "cost"), rows) if rows else None
    return Reply(text, (Cite("spend", look.id),), table)


def _curve(look: Look, _here: Here, _arguments: Mapping[str, Any]) -> Reply:
    """Show what each round led to."""
    rounds = look.journal.rounds()
    if not rounds:
        return Reply("No round is done yet.", (Cite("run", look.id),))
    rows = tuple(
        (
            str(done.number),
            f"{done.labelled:,}",
            f"{done.human_labels:,}",
            percent(done.metric),
            f"{percent(done.metric_low)} to {percent(done.metric_high)}",
            dollars(done.usd),
        )
        for done in rounds
    )
    drawn = sparkline([done.metric for done in rounds])
    measured = place_words(str(rounds[-1].detail.get("measured_on", "")))
    text = f"{drawn}  quality over {plural(len(rounds), 'round')}; the last, {measured}."
    cites = tuple(Cite("round", str(done.number)) for done in rounds)
    columns = ("round", "labels", "by people", "quality", "90 % interval", "spent")
    return Reply(text, cites, Table(columns, rows))


def _questions(look: Look, _here: Here, _arguments: Mapping[str, Any]) -> Reply:
    """List what people are asked, the most valuable first."""
    counts = look.inbox.counts()
    if not counts:
        return Reply("Nobody was asked anything yet.", (Cite("run", look.id),))
    said = ", ".join(f"{count:,} {status}" for status, count in sorted(counts.items()))
    found = look.inbox.first_open(_MOST)
    rows = tuple(
        (question.id, question.example, cut(question.payload.text, 80), question.reason)
        for question in found
    )
    text = f"Questions: {said}." + (f" The first {len(rows)} that are open:" if rows else "")
    table = Table(("question", "item", "text", "why"), rows) if rows else None
    return Reply(text, tuple(Cite("question", question.id) for question in found), table)


def _decisions(look: Look, here: Here, arguments: Mapping[str, Any]) -> Reply:
    """List what agents decided and why: in one round, or the last decisions."""
    number = arguments.get("round", here.round)
    found = look.journal.decisions(number=number)
    shown = found if number is not None else found[-_MOST:]
    if not shown:
        where = "" if number is None else f" in round {number}"
        return Reply(f"Nothing was decided{where} yet.", (Cite("run", look.id),))
    rows = tuple(
        (
            str(made.round),
            made.agent.replace("_", " "),
            "the rules" if made.mind == "rules" else made.model or made.mind,
            cut(made.reason),
        )
        for made in shown
    )
    text = f"{plural(len(rows), 'decision')} of {len(found):,}."
    cites = dict.fromkeys(
        Cite("decision", f"{made.round}/{made.agent}/{made.turn}/{made.step}") for made in shown
    )
    return Reply(text, tuple(cites), Table(("round", "agent", "by", "because"), rows))


def _lessons(look: Look, _here: Here, _arguments: Mapping[str, Any]) -> Reply:
    """List the lessons that the run uses, and those that it made."""
    told = look.journal.bodies(LessonsUsed)
    used = [*told[-1].guidelines, *told[-1].facts] if told else []
    made = Lessons(look.store).all(run=look.id)
    rows = [(lesson.id, "used", cut(lesson.words)) for lesson in used]
    rows += [(lesson.id, lesson.state, cut(lesson.text)) for lesson in made]
    if not rows:
        return Reply("No lessons are used, and none was learnt yet.", (Cite("run", look.id),))
    text = f"{plural(len(used), 'lesson')} in use, {len(made)} learnt in this run."
    cites = tuple(Cite("lesson", row[0]) for row in rows)
    return Reply(text, cites, Table(("lesson", "state", "says"), tuple(rows)))


def _guidelines(look: Look, _here: Here, _arguments: Mapping[str, Any]) -> Reply:
    """List the guidelines that people added, with their numbers."""
    task = look.config.task
    rows = tuple(
        (
            str(place),
            cut(said.text),
            said.who,
            f"{said.at:%Y-%m-%d %H:%M}",
            f"from version {said.since}" + (f" to {said.until - 1}" if said.until else ""),
        )
        for place, said in enumerate(task.guidelines, start=1)
    )
    text = f"Version {task.version} of the guidelines. The task says: {cut(task.instructions)!r}"
    columns = ("number", "guideline", "by", "at", "stands")
    return Reply(text, (Cite("run", look.id),), Table(columns, rows) if rows else None)


def _like(look: Look, here: Here, arguments: Mapping[str, Any]) -> Reply:
    """List the items that are most like an item or a text."""
    # The embedder and what belongs to it are loaded here, not with this module.
    from querist.graph.run import Run

    context = Run.open(look.store, look.id).view()
    view = context.view
    given = str(arguments["item"])
    if arguments.get("is_text"):
        vector, own = view.embed_texts([given])[0], ""
    else:
        own = look.item(given, here)
        vector = view.vectors[view.rows[own]]
    near = view.vectors @ vector
    order = [int(row) for row in (-near).argsort(kind="stable")[: _MOST_LIKE + 1]]
    names = [view.ids[row] for row in order if view.ids[row] != own][:_MOST_LIKE]
    labels = {label.example: label for label in context.labelling.labels()}
    rows = tuple(
        (
            example.id,
            f"{float(near[view.rows[example.id]]):.2f}",
            name_of(labels[example.id].answer) if example.id in labels else "-",
            cut(example.text, 100),
        )
        for example in view.get(names)
    )
    cites = tuple(Cite("example", name) for name in names)
    text = f"The {plural(len(rows), 'item')} most like {cut(given, 60)!r}:"
    return Reply(text, cites, Table(("item", "likeness", "label", "text"), rows))


READERS: Mapping[str, Callable[[Look, Here, Mapping[str, Any]], Reply]] = {
    "status": _status,
    "why": _why,
    "spend": _spend,
    "curve": _curve,
    "questions": _questions,
    "decisions": _decisions,
    "lessons": _lessons,
    "guideline": _guidelines,
    "like": _like,
    "try": try_strategies,
    "cost": cost_of_a_round,
}
"""By the name of the slash command."""


def _queued(command: Command) -> str:
    return f"{command.name} by {command.who}"


def _why_lines(found: Provenance) -> list[str]:
    example = found.example
    lines = [f"{example.id}: {cut(example.text)}"]
    lines += [f"It was {chosen.words}" for chosen in found.chosen]
    if not found.chosen:
        lines.append("No batch had it yet.")
    lines += [
        f"The verifier, round {verdict.round}: {verdict.action.value}, "
        f"{percent(verdict.p_correct)} likely right; {verdict.reason}"
        for verdict in found.verdicts
    ]
    lines += [_question_line(question) for question in found.questions]
    for put in found.aside:
        was = "" if put.label is None else f" ({name_of(put.label.answer)})"
        then = "waits" if put.round is None else f"was annotated anew in round {put.round}"
        lines.append(f"{put.who} had its label{was} put aside; it {then}.")
    if found.label is None:
        lines.append("It has no label now.")
    else:
        label = found.label
        sure = "" if label.source == "human" else f", {percent(label.p_correct)} likely right"
        disputed = "; two people differ on it" if found.is_disputed else ""
        lines.append(f"Its label is {name_of(label.answer)}, by {label.who}{sure}{disputed}.")
    lines.append(f"All that was said of it cost {dollars(found.usd)}.")
    return lines


_CHECKS: Mapping[Check, str] = {
    "": "",
    "second": "second opinion",
    "adjudication": "to settle a dispute",
    "gold": "to try who answers",
}


def _question_line(question: Question) -> str:
    what = _CHECKS[question.checks] or question.purpose
    asked = f"People were asked ({question.id}, {what}): {question.reason}; "
    if question.status == "answered" and question.answer is not None:
        return f"{asked}{question.answered_by} answered {name_of(question.answer)}"
    return f"{asked}it is {question.status}"


def _said_row(said: Said) -> tuple[str, ...]:
    annotation = said.annotation
    return (
        annotation.who,
        _answer_words(annotation),
        "-" if annotation.confidence is None else percent(annotation.confidence),
        str(annotation.round),
        f"version {annotation.guideline}" if annotation.guideline else "-",
        annotation.prompt_version,
        dollars(annotation.usd),
    )


def _answer_words(annotation: Annotation) -> str:
    return annotation.status if annotation.answer is None else name_of(annotation.answer)


def _why_cites(found: Provenance) -> tuple[Cite, ...]:
    cites = [Cite("example", found.example.id)]
    for chosen in found.chosen:
        cites.append(Cite("round", str(chosen.place.round)))
        if chosen.decision is not None:
            made = chosen.decision
            cites.append(Cite("decision", f"{made.round}/{made.agent}/{made.turn}/{made.step}"))
    cites += [Cite("question", question.id) for question in found.questions]
    return tuple(dict.fromkeys(cites))
