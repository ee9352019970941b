"""What a deliberation was begun with and told, kept in the journal so that a crash changes nothing.

Money that is left, and much that tools read, is otherwise after a crash than before it: a mind that
were told so would be asked other questions, and pay for them again.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from querist.agents.deliberation.toolbox import Told
from querist.graph.minds.port import Desk
from querist.memory.events import Consulted, Convened, LookedUp


@dataclass(frozen=True, slots=True)
class Place:
    """Which decision of a run is deliberated on."""

    agent: str
    step: str
    turn: int
    number: int
    """The round."""

    def is_of(self, body: Consulted | LookedUp | Convened) -> bool:
        """Tell whether an event belongs here."""
        return (body.agent, body.step, body.turn) == (self.agent, self.step, self.turn)


def begun(desk: Desk, place: Place) -> Consulted | None:
    """Find what a deliberation was begun with, if it was."""
    found = [body for body in desk.journal.bodies(Consulted) if place.is_of(body)]
    return found[-1] if found else None


class JournalMemo:
    """What tools told, as the journal has it."""

    def __init__(self, desk: Desk, place: Place) -> None:
        """For one decision."""
        self._desk = desk
        self._place = place
        told = [body for body in desk.journal.bodies(LookedUp) if place.is_of(body)]
        self._told = {_key(body.tool, body.arguments): Told(body.result, body.usd) for body in told}

    def recall(self, name: str, arguments: Mapping[str, object]) -> Told | None:
        """Give what the tool told when it was asked this before, if it was."""
        return self._told.get(_key(name, arguments))

    def keep(self, name: str, arguments: Mapping[str, object], told: Told) -> None:
        """Write down what it told."""
        self._told[_key(name, arguments)] = told
        place = self._place
        self._desk.emit(
            LookedUp(
                place.number,
                turn=place.turn,
                agent=place.agent,
                step=place.step,
                tool=name,
                arguments=dict(arguments),
                result=told.result,
                usd=told.usd,
            )
        )


def _key(name: str, arguments: Mapping[str, Any]) -> tuple[str, str]:
    return name, repr(sorted(arguments.items()))
