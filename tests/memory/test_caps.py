"""Caps of the workspace and of the day hold over all runs, on both databases."""

import random
import threading
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from querist.memory.errors import BudgetExceeded, CapReached
from querist.memory.records import CallKey, LabelClass, RunId, Task
from querist.memory.run.ledger import Bill, Hold, Ledger, Request
from querist.memory.run.runs import Runs
from querist.memory.workspace.caps import Caps

TASK = Task("t", "classification", (LabelClass("a"), LabelClass("b")))
NOON = datetime(2026, 11, 27, 12, tzinfo=UTC)


def want(key, usd):
    return Request(CallKey(key), Decimal(usd), "annotator")


@pytest.fixture
def ledgers(store):
    """Ledgers of several runs of ten dollars each, on one clock that can be moved."""
    now = [NOON]

    def make(count, *, cap="10"):
        runs, found = Runs(store), []
        for number in range(count):
            run = RunId(f"run-{number}")
            runs.create(run, task=TASK, dataset="d", config={}, cap=Decimal(cap))
            lease = runs.take(run)
            found.append(Ledger(store, run, lease=lease, clock=lambda: now[0]))
        return found

    make.now = now
    make.caps = Caps(store, clock=lambda: now[0])
    return make


def test_runs_share_what_the_workspace_may_spend(ledgers):
    first, second = ledgers(2)
    ledgers.caps.put("workspace", Decimal(5), who="ann")
    (hold,) = first.reserve([want("a", "3")])
    held, refused, small = second.reserve([want("b", "1"), want("c", "2"), want("d", "1")])
    assert isinstance(held, Hold)
    assert isinstance(small, Hold)
    assert isinstance(refused, CapReached)
    for part in ("1 USD are left of the 5 USD", "querist workspace cap --usd", "annotator"):
        assert part in str(refused)
    first.settle([Bill(hold, Decimal("0.5"))])
    (cap,) = ledgers.caps.all()
    assert (cap.settled, cap.reserved, cap.remaining) == (Decimal("0.5"), 2, Decimal("2.5"))
    # The run's own cap comes first, and ends a run where the workspace's pauses it.
    (error,) = first.reserve([want("e", "11")])
    assert not isinstance(error, CapReached)
    ledgers.caps.put("workspace", None, who="ann")
    assert isinstance(second.reserve([want("f", "6")])[0], Hold)


def test_a_new_day_in_utc_frees_the_days_cap(ledgers):
    (ledger,) = ledgers(1)
    ledgers.caps.put("day", Decimal(2), who="ann")
    (hold,) = ledger.reserve([want("a", "2")])
    ledger.settle([Bill(hold, Decimal("1.5"))])
    (refused,) = ledger.reserve([want("b", "1")])
    assert isinstance(refused, CapReached)
    assert "midnight UTC" in str(refused)
    ledgers.now[0] = datetime(2026, 11, 28, 0, 30, tzinfo=UTC).astimezone()
    assert [cap.remaining for cap in ledgers.caps.all()] == [2]
    (hold,) = ledger.reserve([want("b", "1")])
    # What is set aside and not paid counts for the day on which it will be paid.
    ledgers.now[0] += timedelta(days=1)
    assert [cap.remaining for cap in ledgers.caps.all()] == [1]
    ledger.settle([Bill(hold, Decimal(1))])
    ledgers.now[0] += timedelta(days=1)
    assert [cap.remaining for cap in ledgers.caps.all()] == [2]


def test_a_cap_below_what_is_spent_stops_all_that_costs(ledgers):
    (ledger,) = ledgers(1)
    (hold,) = ledger.reserve([want("a", "3")])
    ledger.settle([Bill(hold, Decimal(3))])
    ledgers.caps.put("workspace", Decimal(1), who="ann")
    paid, free = ledger.reserve([want("b", "0.01"), want("c", "0")])
    assert isinstance(paid, CapReached)
    assert paid.remaining == 0
    assert isinstance(free, Hold)


@pytest.mark.parametrize("seed", range(3))
def test_concurrent_runs_never_pass_a_cap(ledgers, store, seed):
    """Random reservations, bills and releases of four runs at once."""
    found = ledgers(4)
    caps = {"workspace": Decimal(6), "day": Decimal(4)}
    for name, usd in caps.items():
        ledgers.caps.put(name, usd, who="ann")
    most, refused = [], []

    def spend(ledger, rng):
        for step in range(12):
            ceilings = [Decimal(rng.randint(1, 60)) / 100 for _ in range(3)]
            results = ledger.reserve([want(f"{step}-{i}", c) for i, c in enumerate(ceilings)])
            refused.extend(r for r in results if isinstance(r, BudgetExceeded))
            most.extend(ledgers.caps.all())
            holds = [result for result in results if isinstance(result, Hold)]
            paid = [hold for hold in holds if rng.random() < 0.8]
            share = Decimal(rng.randint(0, 100)) / 100
            if paid:
                ledger.settle([Bill(hold, hold.request.ceiling * share) for hold in paid])
            if rest := [hold for hold in holds if hold not in paid]:
                ledger.release(rest)

    threads = [
        threading.Thread(target=spend, args=(ledger, random.Random(f"{seed}:{i}")))
        for i, ledger in enumerate(found)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert any(isinstance(error, CapReached) for error in refused)
    assert all(cap.settled + cap.reserved <= caps[cap.name] for cap in most)
    total = sum(ledger.balance().settled for ledger in found)
    assert {cap.settled for cap in ledgers.caps.all()} == {total}
