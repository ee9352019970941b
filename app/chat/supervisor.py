"""The supervisor: a language model that reads a run for people and proposes commands to them.

It has the slash commands that read as tools, and one tool that proposes. It never posts a command:
a proposal waits for a person, whatever a text of the pool, or a person's own, made the model say.
A model that cannot call tools chooses one slash command instead, which is then run as if typed.
Its calls are on the run's ledger under the name `supervisor`, up to `chat.usd`.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Awaitable, Callable
from contextvars import Context as Variables
from decimal import Decimal
from typing import TYPE_CHECKING

from querist.app.chat.parts import Here, Look, cut
from querist.app.chat.performing import SUPERVISOR, act, perform
from querist.app.chat.slash import SLASHES, parse
from querist.app.chat.talk import Talk
from querist.memory.errors import ModelRefused, QueristError
from querist.memory.run.ledger import Ledger
from querist.memory.store import Store
from querist.memory.workspace.chat import Message
from querist.memory.workspace.people import Role

if TYPE_CHECKING:
    from querist.agents.deliberation.allowance import Account
    from querist.agents.models.port import ChatModel
    from querist.graph.workplace.models import Models

_AGENT = "supervisor"
_CALLS, _TOKENS, _SECONDS = 10, 40_000, 180.0
"""The most for one question."""
_POLL = 0.05
_SETTLED = 5.0
"""Seconds that a stopped call has to be paid for; one that takes longer stays in doubt."""
_LONGEST_ARGUMENT = 120
_LONGEST_ASKED = 400
_SHOWN = (
    ("How is it going?", "status", ""),
    ("What was the money spent on?", "spend", ""),
    ("Does the model get better?", "curve", ""),
    ("Why was item 17 labelled like this?", "why", "17"),
    ("Show me items like the text no heating", "like", "no heating"),
    ("Which questions are open?", "questions", ""),
    ("What was decided in round 2?", "decisions", "2"),
    ("Please wait with everything", "pause", ""),
    ("Go on now", "resume", ""),
    ("End this for good", "stop", ""),
    ("Do not wait for the answers", "proceed", ""),
    ("Give it 7 dollars", "budget", "7"),
    ("Let it run for 12 rounds", "rounds", "12"),
    ("Tell the annotators that a deposit is billing", "guideline", "A deposit is billing."),
    ("Label round 3 once more", "relabel", "round 3"),
    ("Call noise loud noise", "label", 'rename noise "loud noise"'),
    ("Have a person look at item 9", "ask", "9"),
    ("Select by entropy", "strategy", "entropy"),
    ("What can I do here?", "help", ""),
)
"""Requests, each with its command and argument."""
_NO_MODEL = "none"
"""As `chat.model`: nobody is asked."""
_ONLY_SLASH = "Only slash commands work here (/help)"

_IsStopped = Callable[[], bool]
_OnText = Callable[[int, str], None]


async def supervise(
    store: Store,
    run_id: str,
    text: str,
    *,
    who: str,
    role: Role,
    here: Here,
    is_stopped: _IsStopped = lambda: False,
    on_text: _OnText = lambda *_: None,
    models: dict[str, ChatModel] | None = None,
) -> list[Message]:
    """Answer what a person says, as they say it; a slash command as `perform` does.

    `is_stopped` is looked at all the while; what was written by then is kept. `on_text` gets the
    id of the person's message and its answer as far as it is written, again and again. Gives what
    was said, first the person's own message, then proposals, last the answer. Nothing is changed.
    `models` replaces models by name.
    """
    if text.lstrip().startswith("/"):
        return perform(store, run_id, text, who=who, role=role, here=here)
    talk = Talk(store, run_id)
    said = [talk.say(who, text)]
    look = Look(store, talk.run)
    opened: Models | None = None
    try:
        opened = _models(look, models)
        account = _account(look, opened)
        draft = _Draft(said[0].id, on_text, is_stopped)
        answers = _answer(talk, look, account, role=role, here=here, hear=draft.hear)
        said += await _until_stopped(talk, answers, draft)
        await account.settle(_SETTLED)
    except QueristError as error:
        said.append(talk.say(SUPERVISOR, f"{_ONLY_SLASH}: {error}", "tool"))
    except Exception as error:  # noqa: BLE001 - LangChain's errors have no common base
        words = f"The model came to no answer ({cut(str(error))}). {_ONLY_SLASH}."
        said.append(talk.say(SUPERVISOR, words, "tool"))
    finally:
        if opened is not None:
            await opened.aclose()
    return said


def _models(look: Look, given: dict[str, ChatModel] | None) -> Models:
    from querist.graph.workplace.models import Models

    return Models(
        look.config,
        Ledger(look.store, look.id),
        folder=look.store.folder / "models",
        may_spend=True,
        tell=lambda _: None,
        given=given,
    )


def _account(look: Look, models: Models) -> Account:
    """Open the model with what is left of its cap; raises `QueristError` where there is none."""
    from querist.agents.deliberation.allowance import Account, Allowance

    section = look.config.chat
    name = section.model or look.config.mind_model
    if name == _NO_MODEL:
        raise ModelRefused("no model is named (chat.model is none)")
    model = models.named(name, agent=_AGENT, number=max(look.labelling.last_round(), 0))
    spent = sum(
        (usd for (agent, _), usd in look.ledger.by_agent().items() if agent == _AGENT), Decimal(0)
    )
    left = min(section.usd - spent, look.ledger.balance().remaining)
    if not model.is_free and left <= 0:
        raise ModelRefused(
            f"the supervisor's {section.usd} USD are spent; raise them with "
            f"querist resume --set chat.usd=1"
        )
    allowance = Allowance(max(left, Decimal(0)), _CALLS, _TOKENS, _SECONDS)
    return Account(allowance, model)


class _Draft:
    """An answer while it is written."""

    def __init__(self, answered: int, on_text: _OnText, is_stopped: _IsStopped) -> None:
        self.text = ""
        self.is_stopped = is_stopped
        self._answered, self._on_text = answered, on_text

    def hear(self, text: str) -> bool:
        """Take what is written so far; False where nobody wants more."""
        if text != self.text:
            self.text = text
            self._on_text(self._answered, text)
        return not self.is_stopped()


async def _answer(
    talk: Talk,
    look: Look,
    account: Account,
    *,
    role: Role,
    here: Here,
    hear: Callable[[str], bool],
) -> list[Message]:
    from querist.agents.deliberation.steps import speech_of

    if speech_of(account.model.model) != "tools":
        return [await _chosen(talk, look, account, role=role, here=here)]
    from querist.app.chat.agent import answer_with_tools

    may_propose = role == "owner"
    return await answer_with_tools(
        talk, look, account, may_propose=may_propose, here=here, hear=hear
    )


async def _chosen(talk: Talk, look: Look, account: Account, *, role: Role, here: Here) -> Message:
    """Let the model choose one command with its argument, and do it as if it was typed."""
    line = await _chosen_line(account, talk.messages(most=1)[-1].text)
    if not line:
        return talk.say(SUPERVISOR, f"I could not tell what you mean. {_ONLY_SLASH}.", "tool")
    taken = f"I took that for {line}"
    try:
        return act(talk, look.store, parse(line), role, here, said=f"{taken}.")
    except QueristError as error:
        return talk.say(SUPERVISOR, f"{taken}, and {error}", "tool")


async def _chosen_line(account: Account, asked: str) -> str:
    """Have a command chosen among their names, and its argument written to a schema; "" for none.

    Shown a few requests with their commands: a small model goes by these more than by a
    description.
    """
    from querist.agents.models.port import ChatRequest
    from querist.agents.models.port import Message as Turn
    from querist.agents.models.reading import read_object

    lines = [f"{slash.name}: {slash.help}" for slash in SLASHES.values()]
    duty = "Name the command for what a person asks.\n" + "\n".join(lines)
    turns = [Turn("system", duty)]
    for request, command, _ in _SHOWN:
        turns += [Turn("user", request), Turn("assistant", command)]
    names = tuple(SLASHES)
    turns.append(Turn("user", cut(asked, _LONGEST_ASKED)))
    reply = await account.complete(ChatRequest(tuple(turns), max_tokens=16, choices=names))
    slash = SLASHES.get(reply.text.strip())
    if slash is None:
        return ""
    if not slash.usage:
        return f"/{slash.name}"
    schema = {
        "type": "object",
        "properties": {"argument": {"type": "string", "maxLength": _LONGEST_ARGUMENT}},
        "required": ["argument"],
        "additionalProperties": False,
    }
    duty = f"Take the argument of the command out of what is asked: /{slash.name} {slash.usage}"
    turns = [Turn("system", duty)]
    for request, command, argument in _SHOWN:
        if command == slash.name:
            written = json.dumps({"argument": argument})
            turns += [Turn("user", request), Turn("assistant", written)]
    turns.append(Turn("user", cut(asked, _LONGEST_ASKED)))
    reply = await account.complete(ChatRequest(tuple(turns), max_tokens=80, schema=schema))
    argument = (read_object(reply.text) or {}).get("argument", "")
    return f"/{slash.name} {argument}".strip()


async def _until_stopped(
    talk: Talk, answers: Awaitable[list[Message]], draft: _Draft
) -> list[Message]:
    """Wait for an answer until a person has enough of it; what was written by then is kept."""

    async def run() -> list[Message]:
        return await answers

    before = talk.messages(most=1)[-1].id
    # LangGraph would take it for a part of whatever graph runs here.
    task = asyncio.create_task(run(), context=Variables())
    try:
        while not task.done() and not draft.is_stopped():
            await asyncio.wait([task], timeout=_POLL)
    finally:
        if not task.done():
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
    if not task.cancelled() and not (draft.is_stopped() and task.exception()):
        return task.result()
    if draft.text:
        talk.say(_AGENT, f"{draft.text} …", "supervisor")
    talk.say(SUPERVISOR, "Stopped.", "tool")
    return talk.messages(after=before)
