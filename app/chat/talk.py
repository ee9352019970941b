"""The conversation about a run: kept, shown, and decided on by people."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from querist.app.chat.parts import Outcome
from querist.memory.errors import InvalidInput, NotOpen
from querist.memory.events import CommandClosed
from querist.memory.run.journal import Journal
from querist.memory.run.mailbox import Mailbox
from querist.memory.run.runs import Runs
from querist.memory.store import Store
from querist.memory.workspace.chat import Chat, Cite, Message, Proposal, Role, State
from querist.memory.workspace.jobs import Jobs

Verdict = Literal["approve", "edit", "reject"]
_STATES: Mapping[Verdict, State] = {"approve": "approved", "edit": "edited", "reject": "rejected"}


@dataclass(frozen=True, slots=True)
class Life:
    """What became of a proposed command."""

    stage: Literal["open", "rejected", "queued", "done", "refused"]
    words: str


class Talk:
    """The chat of one run."""

    def __init__(self, store: Store, run: str) -> None:
        """Nothing is read before it is asked for; raises `InvalidInput` for an unknown run."""
        self.store = store
        self.run = Runs(store).get(run).id
        self._chat = Chat(store, self.run)

    def say(
        self,
        who: str,
        text: str,
        role: Role = "person",
        *,
        outcome: Outcome | None = None,
        cites: Sequence[Cite] = (),
    ) -> Message:
        """Keep what was said, with the answer or the proposal that it brings."""
        if isinstance(outcome, Proposal):
            return self._chat.add(who, text, role=role, proposal=outcome)
        if outcome is None:
            return self._chat.add(who, text, role=role, citations=cites)
        return self._chat.add(
            who, text, role=role, citations=outcome.citations, table=outcome.table
        )

    def messages(self, after: int = 0, *, most: int | None = None) -> list[Message]:
        """List what was said after a message, oldest first; the last `most` if asked."""
        return self._chat.all(after=after, most=most)

    def decide(
        self,
        proposal: int,
        verdict: Verdict,
        who: str,
        *,
        arguments: Mapping[str, Any] | None = None,
    ) -> Message:
        """Approve, edit or reject what message `proposal` proposes; the same again changes nothing.

        An edit gives other `arguments` under the same names. Who may decide is the caller's to
        check. Raises `NotOpen` where it was decided otherwise, and `InvalidInput` for what is no
        proposal, or cannot be.
        """
        if verdict not in _STATES:
            raise InvalidInput(f"say approve, edit or reject, not {verdict!r}")
        found = self._chat.get(proposal)
        if found.proposal is None:
            raise InvalidInput(f"message {proposal} proposes nothing")
        decided = replace(found.proposal, by=who)
        if verdict != "reject" and found.proposal.command == "pause" and found.state == "open":
            self._refuse_late_pause()
        if verdict == "edit":
            decided = replace(decided, arguments=_edited(found.proposal, arguments))
        if not self._chat.settle(proposal, _STATES[verdict], decided):
            found = self._chat.get(proposal)
            if found.state != _STATES[verdict]:
                raise NotOpen(f"This was {found.state} by {found.proposal.by} already.")  # type: ignore[union-attr]
        kept = self._chat.get(proposal)
        if verdict != "reject":
            # Again after a crash as well: the mailbox takes a token once.
            self._send(kept)
        return kept

    def _refuse_late_pause(self) -> None:
        """A pause that waited in the mailbox would pause the next resume at once."""
        runs = Runs(self.store)
        if not runs.is_driven(runs.get(self.run)):
            raise InvalidInput(f"{self.run} is not running any more, so nothing can pause")

    def life(self, proposal: int) -> Life:
        """Tell what became of the command that message `proposal` proposes."""
        message = self._chat.get(proposal)
        if message.proposal is None:
            raise InvalidInput(f"message {proposal} proposes nothing")
        if message.state == "open":
            return Life("open", "It waits for your word: approve, edit or reject.")
        if message.state == "rejected":
            return Life("rejected", f"{message.proposal.by} rejected it.")
        if message.proposal.to == "job":
            return Life("done", "The job was told.")
        if message.proposal.to == "driver":
            is_driven = Runs(self.store).is_driven(Runs(self.store).get(self.run))
            if is_driven:
                return Life("done", "The run is being driven.")
            return Life("queued", f"It goes on with: querist resume {self.run}")
        return self._life_of(message)

    def _life_of(self, message: Message) -> Life:
        command = Mailbox(self.store, self.run).find(_token(message))
        if command is None:
            return Life("queued", "It was approved and not sent: approve it again.")
        if command.status == "queued":
            runs = Runs(self.store)
            if not runs.is_driven(runs.get(self.run)):
                return Life(
                    "queued", f"The run takes it when it goes on: querist resume {self.run}"
                )
            return Life("queued", "The run takes it at its next step, or when the round is over.")
        closed = [
            body
            for body in Journal(self.store, self.run).bodies(CommandClosed)
            if body.command == command.id
        ]
        when = f" in round {closed[-1].round}" if closed and closed[-1].round is not None else ""
        if command.status == "done":
            return Life("done", f"Taken{when}: {command.result}.")
        return Life("refused", f"Refused{when}: {command.result}.")

    def _send(self, message: Message) -> None:
        proposal = message.proposal
        assert proposal is not None
        if proposal.to == "job":
            _tell_job(Jobs(self.store), proposal)
        elif proposal.to == "run":
            Mailbox(self.store, self.run).post(
                proposal.command,
                who=proposal.by,
                token=_token(message),
                arguments=proposal.arguments,
            )


_ARGUMENTS = {
    "relabel": ("examples", "label", "round"),
    "guideline": ("text", "remove"),
}
"""Commands that say what they mean in one of several ways."""


def _token(message: Message) -> str:
    return f"chat-{message.id}"


def _edited(proposal: Proposal, arguments: Mapping[str, Any] | None) -> Mapping[str, Any]:
    given = dict(arguments or {})
    known = _ARGUMENTS.get(proposal.command, tuple(proposal.arguments))
    if not given or not given.keys() <= set(known):
        raise InvalidInput(f"an edit gives other values for {', '.join(known) or 'nothing'}")
    # One of several ways to say what is meant takes the place of another.
    return given if proposal.command in _ARGUMENTS else {**proposal.arguments, **given}


def _tell_job(jobs: Jobs, proposal: Proposal) -> None:
    name = str(proposal.arguments["job"])
    match proposal.command:
        case "job_pause":
            jobs.pause(name)
        case "job_cancel":
            jobs.cancel(name)
        case "job_resume":
            jobs.resume(name, reason=f"{proposal.by} said so")
