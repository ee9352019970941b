"""Two agents that want different things: a short exchange settles it, or the rules do.

Whoever decides by rules does not speak: it keeps to what it ruled, and the other may give in.
Whoever decides by a language model says in turn which of the two rulings is to hold, and why. It
ends as soon as both say the same, after so many turns each, or with the allowance.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from pydantic import BaseModel, ConfigDict, Field

from querist.agents.deliberation.allowance import Account
from querist.agents.deliberation.brief import MANNERS, Fact, as_data
from querist.agents.deliberation.grounding import check_grounded
from querist.agents.mind import DeliberationFailed
from querist.agents.models.port import ChatRequest, Message
from querist.agents.models.structured import parse
from querist.memory.errors import LeaseLost, QueristError, StoreError
from querist.memory.records import Turn

_DUTY = (
    "You speak for the {agent} of a labelling loop. It and the {other} want different things, and "
    "only one of the two can hold. Say which one is to hold (agree_to), and why. Give in where the "
    "other's reason weighs more by the facts; keep to your own where it does not. If you do not "
    "come to agree, rules decide."
)
_LONGEST = 400
_MOST_TOKENS = 300


@dataclass(frozen=True, slots=True)
class Wish:
    """What one of the two wants."""

    agent: str
    words: str
    reason: str
    """Of its ruling, which a model may have written: data to the other."""
    speaks: bool
    """A language model takes its decisions."""


@dataclass(frozen=True, slots=True)
class Dispute:
    """What two agents do not agree on; the first ruled last, and speaks first."""

    about: str
    wishes: tuple[Wish, Wish]

    def page(self, facts: Sequence[Fact], *, number: int) -> str:
        """Write down what both of them are shown."""
        lines = [f"Round {number}. {self.about}"]
        lines += [
            f"- The {_spoken(wish.agent)} wants {wish.words}. Its reason: "
            f"{as_data(wish.reason, longest=_LONGEST)}"
            for wish in self.wishes
        ]
        return "\n".join([*lines, "The facts:", *(f"- {fact.words}" for fact in facts)])


@dataclass(frozen=True, slots=True)
class Outcome:
    """How an exchange ended."""

    agreed: str
    """Whose wish holds; "" where they did not agree."""
    why: str
    turns: tuple[Turn, ...]


class _Position(BaseModel):
    model_config = ConfigDict(extra="ignore")

    reason: str = Field(min_length=1, max_length=2_000)
    agree_to: str


async def confer(
    dispute: Dispute, page: str, *, facts: Sequence[Fact], account: Account, rounds: int
) -> Outcome:
    """Let both speak, `rounds` times each at most; it always ends, and never raises for a mind."""
    turns: list[Turn] = []
    try:
        async with asyncio.timeout(account.allowance.seconds):
            return await _confer(dispute, page, facts, account=account, rounds=rounds, turns=turns)
    except TimeoutError:
        why = f"they did not agree within {account.allowance.seconds:g} s"
    except (LeaseLost, StoreError):
        raise
    except (QueristError, ValueError) as error:
        why = str(error)[:300]
    return Outcome("", why, tuple(turns))


async def _confer(
    dispute: Dispute,
    page: str,
    facts: Sequence[Fact],
    *,
    account: Account,
    rounds: int,
    turns: list[Turn],
) -> Outcome:
    stands = {wish.agent: wish.agent for wish in dispute.wishes}
    for _ in range(rounds):
        for wish in dispute.wishes:
            if not wish.speaks:
                continue
            other = next(
                other_wish.agent for other_wish in dispute.wishes if other_wish is not wish
            )
            agreed, reason = await _speak(wish.agent, other, page, facts, account, turns)
            stands[wish.agent] = agreed
            turns.append(Turn(wish.agent, f"For the {_spoken(agreed)}'s wish: {reason}"))
            if len(set(stands.values())) == 1:
                return Outcome(agreed, f"the {_spoken(wish.agent)} agreed: {reason}", tuple(turns))
    return Outcome("", f"they did not agree in {len(turns)} turns", tuple(turns))


async def _speak(  # noqa: PLR0917 - what a turn is made of
    agent: str,
    other: str,
    page: str,
    facts: Sequence[Fact],
    account: Account,
    turns: Sequence[Turn],
) -> tuple[str, str]:
    """Ask one of them; raises for what is no answer, or stands on nothing."""
    said = "".join(f"\nThe {_spoken(t.who)} said: {as_data(t.text, longest=500)}" for t in turns)
    duty = f"{_DUTY.format(agent=_spoken(agent), other=_spoken(other))} {MANNERS}"
    schema = _Position.model_json_schema()
    schema["properties"]["agree_to"] |= {"enum": [agent, other]}
    schema["properties"]["reason"] |= {"minLength": 20, "maxLength": _LONGEST}
    request = ChatRequest(
        (Message("system", duty), Message("user", f"{page}{said}\nAnswer with JSON.")),
        max_tokens=_MOST_TOKENS,
        schema=schema,
    )
    reply = await account.complete(request)
    if reply.finish == "refused":
        raise DeliberationFailed(f"the {_spoken(agent)}'s model refused: {reply.text[:120]}")
    position = parse(_Position, reply.text)
    if position.agree_to not in (agent, other):
        raise ValueError(
            f"the {_spoken(agent)} agreed to {position.agree_to[:40]!r}, which is none"
        )
    check_grounded(position.reason, facts=facts, shown=[page, said], instructions=duty)
    return position.agree_to, position.reason


def _spoken(agent: str) -> str:
    return agent.replace("_", " ")
