"""`auto` asks where it may matter, and goes by what a mind's rulings gained."""

from decimal import Decimal

import pytest

from querist.graph.minds.occasions import occasion
from querist.graph.minds.records import Place
from querist.graph.minds.trust import Standing, standing_of
from querist.memory.events import CommandClosed, Consulted
from querist.memory.records import Decision, Round
from querist.memory.run.journal import Journal


@pytest.mark.parametrize(
    ("standing", "trust", "is_trusted"),
    [
        (Standing((), (), failed=0), 0.5, True),
        (Standing((0.03, 0.02), (0.01,), failed=0), 0.75, True),
        (Standing((-0.01, -0.02, 0.0), (0.02, 0.03), failed=0), 0.2, False),
        (Standing((), (0.01,), failed=3), 0.2, False),
        (Standing((-0.01,), (0.01,), failed=0), 1 / 3, True),  # one round tells little
    ],
)
def test_trust_is_the_share_of_rulings_that_gained_more_than_the_rules(standing, trust, is_trusted):
    assert standing.trust == pytest.approx(trust)
    assert standing.is_trusted == is_trusted
    assert "no ruling" in standing.words or "trust" in standing.words


def measured(number, metric, *, low=None, high=None):
    given = {"phase": "select", "measured_on": "validation"}
    low, high = low or metric - 0.02, high or metric + 0.02
    return Round(number, 40 + 20 * number, 20, Decimal(number), metric, low, high, given)


def consulted(number, *, turn, agent="selector"):
    return Consulted(
        number, turn=turn, agent=agent, step="select", model="m", speech="tools", why="first",
        page="", usd=Decimal(0), calls=8, tokens=100,
    )  # fmt: skip


@pytest.fixture
def asked(scripted):
    """Give a run's context that may write, and its selector's next decision."""
    run, _ = scripted(loop={"rounds": 20})

    async def use(check):
        async with run.borrowed() as context:
            check(context)

    def make(check):
        import asyncio

        asyncio.run(use(check))

    return make


def place(number, turn):
    return Place("selector", step="select", turn=turn, number=number)


def test_the_first_open_decision_is_asked_about_and_the_next_is_not(asked):
    def check(context):
        assert occasion(context, place(1, 2)) == "the first decision that is open"
        context.emit(consulted(1, turn=2))
        assert not occasion(context, place(2, 3))
        assert occasion(context, place(2, 3)) == ""
        assert "5 rounds have passed" in occasion(context, place(6, 7))

    asked(check)


def test_a_persons_command_and_a_surprise_are_occasions(asked):
    def check(context):
        context.emit(consulted(1, turn=2))
        context.journal.round_done(measured(1, 0.70))
        context.journal.round_done(measured(2, 0.71))
        assert occasion(context, place(3, 4)) == ""
        context.journal.round_done(measured(3, 0.60))
        assert "below the interval" in occasion(context, place(4, 5))
        context.emit(CommandClosed("budget", "ann", status="done", result="", cap=Decimal(9)))
        assert "a person gave a command" in occasion(context, place(4, 5))

    asked(check)


def test_what_a_mind_gained_is_measured_beside_the_rules(asked):
    def decided(journal: Journal, number, mind, fell_back=""):
        journal.decided(
            Decision("selector", number, mind, {}, "because", step="select", turn=number,
                     fell_back=fell_back)
        )  # fmt: skip

    def check(context):
        for number, metric in enumerate((0.60, 0.65, 0.66, 0.70)):
            context.journal.round_done(measured(number, metric))
        decided(context.journal, 1, "rules")
        decided(context.journal, 2, "llm")
        decided(context.journal, 3, "rules", fell_back="the deliberation failed: too slow")
        standing = standing_of(context, "selector")
        assert standing.mind == pytest.approx((0.01,))
        assert standing.rules == pytest.approx((0.05, 0.04))
        assert standing.failed == 1
        assert standing.trust == pytest.approx(0.25)
        assert "gained +1.0 points a round" in standing.words

    asked(check)
