"""Which rounds of a run are compared before it is stopped, and row by row on what."""

import asyncio
from decimal import Decimal

import numpy as np
import pytest
from tests_graph_support import EXAMPLE

from querist.graph.round.stopping import judge_curve
from querist.memory.records import Round
from querist.tools.opinions.quality import SAMPLE, VALIDATION


@pytest.fixture
def curve(make_run):
    """Write rounds and their hits into a run; give what its rule says of them."""

    async def judge(rounds):
        run = make_run()
        async with run.borrowed() as context:
            for number, (hits, more) in enumerate(rounds):
                metric = 0.8 if hits is None else float(np.mean(list(hits.values())))
                detail = {"measured_on": SAMPLE, "n": len(hits or range(100)), **more}
                done = Round(
                    number=number, labelled=40, human_labels=40, usd=Decimal(0), metric=metric,
                    metric_low=metric - 0.06, metric_high=metric + 0.06, detail=detail,
                )  # fmt: skip
                context.journal.round_done(done)
                if hits is not None:
                    arrays = {"ids": np.array(list(hits)), "hits": np.array(list(hits.values()))}
                    key = f"hits/round-{number:04d}.npz"
                    context.files.write_arrays(key, arrays, what="hits")
            return judge_curve(context)

    return lambda rounds: asyncio.run(judge(rounds))


def hits(right=80, rows=100):
    return {f"row{row:04d}": row < right for row in range(rows)}


def test_a_flat_curve_is_stopped_after_six_rounds(curve):
    verdict = curve([(hits(), {})] * 6)
    assert verdict.reached
    assert "paired over 100 rows" in verdict.reason


def test_rounds_are_compared_on_the_rows_that_they_share(curve):
    verdict = curve([(hits(rows=100 + number), {}) for number in range(6)])
    assert "paired over 100 rows" in verdict.reason
    assert verdict.gain == 0


def test_a_round_that_generates_is_left_out(curve):
    rounds = [(hits(), {})] * 3 + [(hits(20), {"phase": "generate"})] + [(hits(), {})] * 2
    assert "5 of the 6 rounds" in curve(rounds).reason
    assert curve([*rounds, (hits(), {})]).reached


@pytest.mark.parametrize("before", [(hits(), {"measured_on": VALIDATION}), (hits(rows=10), {})])
def test_a_changed_measure_begins_the_curve_anew(curve, before):
    assert "5 of the 6 rounds" in curve([before] * 4 + [(hits(), {})] * 5).reason


def test_old_rounds_without_hits_are_judged_more_carefully(curve):
    verdict = curve([(None, {})] * 3 + [(hits(), {})] * 3)
    assert not verdict.reached
    assert "taken as independent" in verdict.reason


@pytest.mark.parametrize("validates", [True, False])
def test_a_run_keeps_the_hits_of_its_rounds(make_run, validates):
    data = {"validation": str(EXAMPLE / "test.jsonl"), "test": None} if validates else {}
    run = make_run(data=data, annotator={"enabled": False}, people={"audit": 0})
    asyncio.run(run.drive())
    context = run.view()
    rounds = context.journal.rounds()
    assert rounds[-1].detail["measured_on"] == (VALIDATION if validates else SAMPLE)
    for done in rounds:
        kept = context.files.read_arrays(
            f"hits/round-{done.number:04d}.npz", what="hits", without=""
        )
        assert len(kept["ids"]) == done.detail["n"]
        assert kept["hits"].mean() == pytest.approx(done.metric)
