"""A decision tells who took it, what was looked up for it and what it cost, also when it failed."""

import asyncio
from dataclasses import dataclass
from decimal import Decimal

import pytest
import sqlalchemy as sa

from querist.agents.mind import (
    LONGEST,
    AgentSpec,
    Deliberated,
    DeliberationFailed,
    Ruling,
    decide,
    recall,
)
from querist.memory import schema
from querist.memory.errors import ModelUnavailable
from querist.memory.records import ToolCall, utc_now
from querist.memory.run.journal import Journal
from querist.memory.store import open_store


@dataclass(frozen=True, slots=True)
class Evidence:
    batch: int = 10
    gain: float = float("nan")


class Batch(Ruling):
    count: int


def refuse_more(evidence, ruling):
    if ruling.count > evidence.batch:
        raise ValueError(f"at most {evidence.batch} are allowed")


SPEC = AgentSpec(
    name="selector",
    rule=lambda evidence: Batch(count=evidence.batch, reason="as configured"),
    ruling=Batch,
    check=refuse_more,
)
LOOKED = (ToolCall("pool_summary", {"slice": "all"}, "160 texts"), ToolCall("decisions"))
USD = Decimal("0.0012")


def take(deliberate, spec=SPEC):
    where = {"turn": 1, "number": 2, "step": "select"}
    return asyncio.run(decide(spec, Evidence(), **where, deliberate=deliberate))


def thinking(ruling, **told):
    async def deliberate(_evidence):
        return Deliberated(ruling, **told)

    return deliberate


def failing(error):
    async def deliberate(_evidence):
        raise error

    return deliberate


def test_what_was_looked_up_and_spent_is_in_the_decision():
    ruling, decision = take(
        thinking(Batch(count=3, reason="few are enough"), tool_calls=LOOKED, usd=USD)
    )
    assert ruling.count == 3
    assert (decision.mind, decision.tool_calls, decision.usd) == ("llm", LOOKED, USD)
    assert decision.fell_back == ""
    assert recall(SPEC, decision) == ruling


def test_rules_look_nothing_up_and_cost_nothing():
    _, decision = take(None)
    assert (decision.mind, decision.tool_calls, decision.usd) == ("rules", (), 0)
    assert decision.fell_back == ""


@pytest.mark.parametrize(
    ("deliberate", "words"),
    [
        (failing(DeliberationFailed("too many calls", tool_calls=LOOKED, usd=USD)), "too many"),
        (thinking(Batch(count=11, reason="x"), tool_calls=LOOKED, usd=USD), "at most 10"),
        (thinking(Ruling(reason="x"), tool_calls=LOOKED, usd=USD), "a Ruling is no Batch"),
    ],
    ids=["failed", "out of bounds", "another ruling"],
)
def test_what_a_failed_deliberation_spent_is_noted_where_the_rules_took_over(deliberate, words):
    ruling, decision = take(deliberate)
    assert ruling.count == 10
    assert (decision.mind, decision.tool_calls, decision.usd) == ("rules", LOOKED, USD)
    assert words in decision.fell_back


@pytest.mark.parametrize("error", [ModelUnavailable("no network"), ValueError("no JSON")])
def test_a_failure_that_tells_nothing_of_its_cost_falls_back_all_the_same(error):
    _, decision = take(failing(error))
    assert str(error) in decision.fell_back
    assert (decision.mind, decision.tool_calls, decision.usd) == ("rules", (), 0)


def test_what_was_looked_up_is_kept_short():
    long = "x" * 5_000
    call = ToolCall("similar", {"text": long, "of": [long] * 99, "at": float("inf")}, long)
    _, decision = take(thinking(Batch(count=3, reason="x"), tool_calls=(call,)))
    (kept,) = decision.tool_calls
    assert len(kept.result) == len(kept.arguments["text"]) == LONGEST
    assert [len(text) for text in kept.arguments["of"]] == [LONGEST] * 50
    assert kept.arguments["at"] == "inf"


def test_decisions_come_back_from_the_journal_those_of_the_first_version_too(tmp_path):
    _, decision = take(thinking(Batch(count=3, reason="x"), tool_calls=LOOKED, usd=USD))
    with open_store(tmp_path) as store:
        journal = Journal(store, "run")
        journal.decided(decision)
        assert journal.decision(turn=1, agent="selector", step="select") == decision
        body = {
            "agent": "verifier",
            "round": 3,
            "mind": "llm",
            "action": {},
            "reason": "x",
            "tool_calls": ["agreement"],
            "usd": "0.5",
        }
        row = {"run": "run", "round": 3, "agent": "verifier", "step": "", "body": body}
        with store.write() as connection:
            connection.execute(sa.insert(schema.decisions), [{**row, "at": utc_now()}])
        older = journal.decisions(agent="verifier")[0]
    assert older.tool_calls == (ToolCall("agreement"),)
    assert older.usd == Decimal("0.5")
