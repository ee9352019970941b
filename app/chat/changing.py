"""What slash commands would change: proposals, each with what it will do in words.

Nothing here posts anything. What is wrong for certain is refused at once; the loop checks again.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from querist.app.chat.parts import Here, Look, Outcome, Reply, cut
from querist.app.terminal.inputs import amount_of
from querist.app.terminal.screen import dollars, plural
from querist.memory.errors import InvalidInput
from querist.memory.records import Job
from querist.memory.workspace.chat import Cite, Proposal, Table
from querist.memory.workspace.jobs import Jobs
from querist.tools.strategies import STRATEGIES
from querist.tools.wording import listed, quoted, suggest

_MOST_JOBS = 10
_Arguments = Mapping[str, Any]


def _pause(look: Look, _here: Here, _arguments: _Arguments) -> Outcome:
    if not look.is_driven:
        raise InvalidInput(f"{look.id} is not running, so nothing can pause")
    return Proposal("pause", {}, "The run pauses at its next step; /resume goes on.")


def _resume(look: Look, _here: Here, _arguments: _Arguments) -> Outcome:
    if look.is_driven:
        raise InvalidInput(f"{look.id} is running already")
    return Proposal("resume", {}, "The run goes on where it stopped.", to="driver")


def _stop(look: Look, _here: Here, _arguments: _Arguments) -> Outcome:
    if look.row.status == "finished":
        raise InvalidInput(f"{look.id} is finished already")
    return Proposal(
        "stop",
        {},
        "The run ends at its next step, with what there is by then. It cannot be undone.",
    )


def _proceed(look: Look, _here: Here, _arguments: _Arguments) -> Outcome:
    if look.row.status == "finished":
        raise InvalidInput(f"{look.id} is finished already")
    return Proposal(
        "proceed", {}, "The run goes on without the answers of people that are missing."
    )


def _budget(look: Look, _here: Here, arguments: _Arguments) -> Outcome:
    usd = amount_of(str(arguments["usd"]).lstrip("$"))
    now = look.ledger.balance()
    words = f"The budget becomes {dollars(usd)} instead of {dollars(now.cap)}; "
    return Proposal("budget", {"usd": str(usd)}, words + f"{dollars(now.settled)} are spent.")


def _rounds(look: Look, _here: Here, arguments: _Arguments) -> Outcome:
    count = int(arguments["rounds"])
    if count < 1:
        raise InvalidInput("a run has a round at least")
    now = look.config.loop.rounds
    words = f"The run has {plural(count, 'round')} at most, instead of {now}."
    return Proposal("set", {"key": "loop.rounds", "value": count}, words)


def _strategy(look: Look, _here: Here, arguments: _Arguments) -> Outcome:
    name = str(arguments["name"])
    if name != "auto":
        STRATEGIES.read(name)
    now = look.config.loop.strategy
    words = f"Items are selected by {name} from the next round on, instead of {now}."
    return Proposal("strategy", {"name": name}, words)


def _guideline(look: Look, _here: Here, arguments: _Arguments) -> Outcome:
    said = look.config.task.guidelines
    if "remove" in arguments:
        number = int(arguments["remove"])
        if not 1 <= number <= len(said) or said[number - 1].until is not None:
            raise InvalidInput(f"there is no guideline {number} to take back; see /guideline")
        words = f"Guideline {number} is taken back: {cut(said[number - 1].text)!r}."
        return Proposal("guideline", {"remove": number}, words)
    text = str(arguments["text"])
    words = (
        f"Guideline {len(said) + 1} goes into the prompts from the next chunk on: {cut(text)!r}. "
        "What was annotated before stands; /relabel has it annotated anew."
    )
    return Proposal("guideline", {"text": text}, words)


def _relabel(look: Look, here: Here, arguments: _Arguments) -> Outcome:
    given: dict[str, Any] = dict(arguments)
    if "examples" in given:
        given["examples"] = [look.item(name, here) for name in given["examples"]]
        what = plural(len(given["examples"]), "item")
    elif "label" in given:
        what = f"all labels of {_label(look, given['label'])}"
    else:
        what = f"all labels of round {given['round']}"
    words = (
        f"The machines' answers are put aside ({what}), and the items are annotated anew in the "
        "next round, within its money. What people answered stays."
    )
    return Proposal("relabel", given, words)


def _label_command(look: Look, _here: Here, arguments: _Arguments) -> Outcome:
    given: dict[str, Any] = dict(arguments)
    do = given.pop("do")
    after = "Labels, answers and open questions follow, and the model is trained anew."
    if do == "add":
        if given["name"] in look.task.names:
            raise InvalidInput(f"there is a label {given['name']!r} already")
        means = f" ({given['description']})" if given.get("description") else ""
        return Proposal("label_add", given, f"{given['name']}{means} becomes a label. {after}")
    if do == "rename":
        _label(look, given["old"])
        words = f"{given['old']} is called {given['new']} from then on. {after}"
        return Proposal("label_rename", given, words)
    for name in given["old"]:
        _label(look, name)
    words = f"{listed(given['old'])} become one label, {given['into']}. {after}"
    return Proposal("label_merge", given, f"{words} It cannot be undone.")


def _ask(look: Look, here: Here, arguments: _Arguments) -> Outcome:
    if look.config.people.kind == "none":
        raise InvalidInput("nobody answers in this run (people.kind is none)")
    examples = [look.item(name, here) for name in arguments["examples"]]
    price = look.config.budget.human_label_usd * len(examples)
    words = (
        f"People are asked about {listed(examples)}, before all others; that sets {dollars(price)} "
        "aside."
    )
    return Proposal("ask", {"examples": examples}, words)


def _job(look: Look, _here: Here, arguments: _Arguments) -> Outcome:
    jobs = Jobs(look.store)
    do, name = arguments.get("do", ""), arguments.get("job")
    if name is None:
        return _list_jobs(jobs.all())
    job = jobs.get(str(name))
    if not do:
        reason = f": {job.reason}" if job.reason else ""
        text = (
            f"Job {job.id} ({job.kind}, {job.name}) is {job.status.value}{reason}. Run: {job.run}"
        )
        return Reply(text, (Cite("job", job.id), Cite("run", job.run)))
    ends = "ends for good; what it made is kept" if do == "cancel" else f"is {do}d"
    return Proposal(f"job_{do}", {"job": job.id}, f"Job {job.id} ({job.name}) {ends}.", to="job")


PROPOSERS: Mapping[str, Callable[[Look, Here, _Arguments], Outcome]] = {
    "pause": _pause,
    "resume": _resume,
    "stop": _stop,
    "proceed": _proceed,
    "budget": _budget,
    "rounds": _rounds,
    "strategy": _strategy,
    "guideline": _guideline,
    "relabel": _relabel,
    "label": _label_command,
    "ask": _ask,
    "job": _job,
}
"""By the name of the slash command."""


def _list_jobs(found: list[Job]) -> Reply:
    if not found:
        return Reply("There are no jobs.")
    shown = found[:_MOST_JOBS]
    rows = tuple((job.id, job.kind, job.name, job.status.value) for job in shown)
    cites = tuple(Cite("job", job.id) for job in shown)
    table = Table(("job", "kind", "name", "status"), rows)
    return Reply(f"{plural(len(found), 'job')}.", cites, table)


def _label(look: Look, name: str) -> str:
    names = look.task.names
    if name not in names:
        raise InvalidInput(
            f"there is no label {name!r}.{suggest(name, names)} There are: {quoted(names)}"
        )
    return name
