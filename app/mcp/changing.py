"""Tools that change something, offered only where the person who started the server said so.

Each says in the run's chat what is wanted, and posts it to the mailbox as `mcp`: the loop takes it
at its next step, and whoever looks at the run sees who said it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import Field

from querist.app.chat import Talk
from querist.app.chat.parts import Here, Look
from querist.app.chat.slash import SLASHES, Parsed
from querist.app.mcp.reading import RunName, Tool
from querist.app.terminal.place import Place, find_run
from querist.memory.errors import InvalidInput
from querist.memory.workspace.chat import Proposal
from querist.memory.workspace.jobs import Jobs

WHO = "mcp"
Items = Annotated[list[str], Field(min_length=1, description="Ids of items.")]


class Changing:
    """What can be changed in one workspace. Each public method is a tool."""

    def __init__(self, place: Place) -> None:
        self._place = place

    def tools(self) -> dict[Tool, bool]:
        """Every tool, and whether what it does cannot be taken back."""
        return {
            self.pause: False, self.stop: True, self.proceed: True, self.budget: False,
            self.rounds: False, self.strategy: False, self.add_guideline: False,
            self.remove_guideline: False, self.relabel: True, self.add_label: True,
            self.rename_label: False, self.merge_labels: True, self.ask_people: True,
            self.steer_job: False,
        }  # fmt: skip

    def pause(self, run: RunName = "") -> str:
        """Pause a running run at its next step. It goes on with: querist resume RUN."""
        return self._change(run, "pause")

    def stop(self, run: RunName = "") -> str:
        """End a run early, with what there is by then."""
        return self._change(run, "stop")

    def proceed(self, run: RunName = "") -> str:
        """Let a run that waits for people go on without the answers that are missing."""
        return self._change(run, "proceed")

    def budget(
        self,
        usd: Annotated[float, Field(gt=0, description="US dollars for the whole run.")],
        run: RunName = "",
    ) -> str:
        """Change a run's budget. Money is spent up to it: ask your person before raising it."""
        return self._change(run, "budget", usd=str(usd))

    def rounds(self, rounds: Annotated[int, Field(ge=1)], run: RunName = "") -> str:
        """Change how many rounds a run has at most."""
        return self._change(run, "rounds", rounds=rounds)

    def strategy(
        self,
        name: Annotated[str, Field(description="As `querist strategies` lists them, or auto.")],
        run: RunName = "",
    ) -> str:
        """Select items by another strategy from the next round on."""
        return self._change(run, "strategy", name=name)

    def add_guideline(
        self, text: Annotated[str, Field(min_length=1, max_length=2_000)], run: RunName = ""
    ) -> str:
        """Tell annotators something, from the next chunk on; never a text that the pool holds."""
        return self._change(run, "guideline", text=text)

    def remove_guideline(self, number: Annotated[int, Field(ge=1)], run: RunName = "") -> str:
        """Take a guideline back, by the number that `guidelines` shows."""
        return self._change(run, "guideline", remove=number)

    def relabel(
        self,
        items: Annotated[list[str] | None, Field(description="Ids of items, or")] = None,
        label: Annotated[str, Field(description="all items of a label, or")] = "",
        round: Annotated[  # noqa: A002 - the word that an agent would use
            int | None, Field(description="all items of a round.")
        ] = None,
        run: RunName = "",
    ) -> str:
        """Put machines' answers aside and have the items annotated anew in the next round."""
        ways: Mapping[str, Any] = {"examples": items, "label": label, "round": round}
        given = {key: value for key, value in ways.items() if value not in ([], "", None)}
        if len(given) != 1:
            raise InvalidInput("Name items, or a label, or a round.")
        return self._change(run, "relabel", **given)

    def add_label(self, name: str, meaning: str = "", run: RunName = "") -> str:
        """Add a label. The learning curve begins anew, since it is another task then."""
        return self._change(run, "label", do="add", name=name, description=meaning)

    def rename_label(self, old: str, new: str, run: RunName = "") -> str:
        """Rename a label; what was answered follows."""
        return self._change(run, "label", do="rename", old=old, new=new)

    def merge_labels(self, labels: Items, into: str, run: RunName = "") -> str:
        """Merge labels into one of them or a new one. It cannot be undone."""
        return self._change(run, "label", do="merge", old=labels, into=into)

    def ask_people(self, items: Items, run: RunName = "") -> str:
        """Put items to people before all others; the price of an answer each is set aside."""
        return self._change(run, "ask", examples=items)

    def steer_job(self, job: str, do: Literal["pause", "resume", "cancel"]) -> str:
        """Pause a job, put it back into the queue, or end it for good."""
        with self._place.open() as store:
            jobs = Jobs(store)
            made = {"pause": jobs.pause, "resume": jobs.resume, "cancel": jobs.cancel}[do](
                jobs.get(job).id
            )
        return f"Job {made.id} is {made.status.value}; asked: {do}."

    def _change(self, run: str, slash: str, /, **arguments: Any) -> str:
        """Propose a slash command, approve it, and tell what became of it."""
        with self._place.open() as store:
            look = Look(store, find_run(store, run or None))
            proposal = Parsed(SLASHES[slash], arguments).act(look, Here())
            assert isinstance(proposal, Proposal)
            talk = Talk(store, look.id)
            offer = talk.say(WHO, proposal.words, "tool", outcome=proposal)
            talk.decide(offer.id, "approve", WHO)
            return f"{proposal.words}\n{talk.life(offer.id).words} See later: commands."
