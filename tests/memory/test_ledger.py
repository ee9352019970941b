"""The cap holds, whatever happens."""

import threading
from decimal import Decimal

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from querist.memory.errors import BudgetExceeded, LeaseLost, StoreError
from querist.memory.records import CallKey, LabelClass, RunId, SpendKind, Task
from querist.memory.run.ledger import Bill, Hold, Ledger, Request
from querist.memory.run.runs import Runs
from querist.memory.store import Lease, open_store


def want(key: str, usd: str, kind: SpendKind = SpendKind.LLM) -> Request:
    return Request(CallKey(key), Decimal(usd), "annotator", kind)


def test_of_twenty_threads_reserving_a_tenth_of_a_dollar_ten_succeed(store, run):
    ledger = Ledger(store, "run", lease=run)
    results = []

    def reserve(number):
        results.extend(ledger.reserve([want(str(number), "0.10")]))

    threads = [threading.Thread(target=reserve, args=(i,)) for i in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(isinstance(result, Hold) for result in results) == 10
    assert sum(isinstance(result, BudgetExceeded) for result in results) == 10
    assert ledger.balance().remaining == 0


def test_settling_less_than_was_reserved_frees_the_rest(store, run):
    ledger = Ledger(store, "run", lease=run)
    (hold,) = ledger.reserve([want("a", "0.50")])
    ledger.settle([Bill(hold, Decimal("0.000105"))])
    balance = ledger.balance()
    assert (balance.settled, balance.reserved) == (Decimal("0.000105"), 0)


def test_a_release_gives_everything_back(store, run):
    ledger = Ledger(store, "run", lease=run)
    holds = ledger.reserve([want("a", "0.5"), want("b", "0.5")])
    ledger.release(holds)
    assert ledger.balance().remaining == 1
    assert [line.entry for line in ledger.lines()] == ["reserve"] * 2 + ["release"] * 2


def test_closing_a_reservation_twice_is_refused_and_changes_nothing(store, run):
    ledger = Ledger(store, "run", lease=run)
    (hold,) = ledger.reserve([want("a", "0.5")])
    ledger.settle([Bill(hold, Decimal("0.25"))])
    with pytest.raises(StoreError):
        ledger.settle([Bill(hold, Decimal("0.25"))])
    assert ledger.balance().settled == Decimal("0.25")


def test_a_settled_reply_is_found_again_by_its_key(store, run):
    ledger = Ledger(store, "run", lease=run)
    (hold,) = ledger.reserve([want("key", "0.1")])
    ledger.settle([Bill(hold, Decimal("0.1"), {}, "m", {"text": "yes"})])
    assert ledger.replay([CallKey("key"), CallKey("other")]) == {"key": {"text": "yes"}}


def test_reservations_of_a_dead_process_count_as_spent_until_reconciled(store, run):
    Ledger(store, "run", lease=run).reserve([want("a", "0.4")])
    runs = Runs(store)
    runs.give_up(run)  # what the next process finds after a crash, minus the waiting
    ledger = Ledger(store, "run", lease=runs.take(RunId("run")))
    balance = ledger.balance()
    assert (balance.in_doubt, balance.remaining) == (Decimal("0.4"), Decimal("0.6"))
    (refused,) = ledger.reserve([want("b", "0.7")])
    assert isinstance(refused, BudgetExceeded)
    assert ledger.reconcile(billed=False) == 1
    assert ledger.balance().remaining == 1


def test_reconciling_as_billed_spends_the_ceiling(store, run):
    Ledger(store, "run", lease=run).reserve([want("a", "0.4")])
    runs = Runs(store)
    runs.give_up(run)
    ledger = Ledger(store, "run", lease=runs.take(RunId("run")))
    ledger.reconcile(billed=True)
    assert ledger.balance().settled == Decimal("0.4")


def test_money_for_a_question_is_never_in_doubt(store, run):
    Ledger(store, "run", lease=run).reserve([want("q", "0.05", SpendKind.HUMAN)])
    runs = Runs(store)
    runs.give_up(run)
    ledger = Ledger(store, "run", lease=runs.take(RunId("run")))
    assert ledger.balance().in_doubt == 0
    assert ledger.balance().reserved == Decimal("0.05")


def test_a_stale_lease_cannot_spend(store, run):
    with pytest.raises(LeaseLost):
        Ledger(store, "run", lease=Lease("run", run.fencing - 1)).reserve([want("a", "0.1")])
    assert Ledger(store, "run").balance().reserved == 0


def test_a_smaller_budget_stops_all_spending(store, run):
    ledger = Ledger(store, "run", lease=run)
    (hold,) = ledger.reserve([want("a", "0.8")])
    ledger.settle([Bill(hold, Decimal("0.8"))])
    ledger.set_cap(Decimal("0.5"))
    (refused,) = ledger.reserve([want("b", "0.000001")])
    assert isinstance(refused, BudgetExceeded)


def test_the_account_is_read_in_pages_and_its_tokens_are_summed(store, run):
    ledger = Ledger(store, "run", lease=run)
    for key, tokens in (("a", 100), ("b", 20)):
        [hold] = ledger.reserve([want(key, "0.2")])
        ledger.settle([Bill(hold, Decimal("0.1"), {"input_tokens": tokens, "output_tokens": 3})])
    [hold] = ledger.reserve([want("c", "0.2")])
    ledger.settle([Bill(hold, Decimal(0))])  # a replayed one tells no tokens
    first = ledger.page(limit=4)
    rest = ledger.page(after=first[-1].id, limit=4)
    assert [entry.line for entry in first + rest] == ledger.lines()
    assert len(rest) == 2
    assert all(entry.at.tzinfo is not None for entry in first)
    assert ledger.tokens() == {hold.request.agent: (120, 6)}


def test_a_free_call_is_always_allowed(store, run):
    ledger = Ledger(store, "run", lease=run)
    ledger.set_cap(Decimal("0.0"))
    (hold,) = ledger.reserve([want("a", "0")])
    assert isinstance(hold, Hold)


steps = st.lists(
    st.tuples(st.sampled_from(["reserve", "settle", "release"]), st.integers(0, 400)), max_size=40
)


@settings(
    max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(plan=steps)
def test_the_total_is_the_sum_of_the_lines_and_never_passes_the_cap(tmp_path_factory, plan):
    with open_store(tmp_path_factory.mktemp("ledger")) as store:
        runs = Runs(store)
        task = Task("t", "classification", (LabelClass("a"), LabelClass("b")))
        runs.create(RunId("run"), task=task, dataset="d", config={}, cap=Decimal(1))
        ledger = Ledger(store, "run", lease=runs.take(RunId("run")))
        open_holds = []
        for number, (step, thousandths) in enumerate(plan):
            if step == "reserve":
                amount = Decimal(thousandths) / 1000
                (result,) = ledger.reserve([want(str(number), str(amount))])
                if isinstance(result, Hold):
                    open_holds.append(result)
            elif open_holds:
                hold = open_holds.pop(thousandths % len(open_holds))
                if step == "settle":
                    ledger.settle([Bill(hold, hold.request.ceiling / 2)])
                else:
                    ledger.release([hold])
            balance = ledger.balance()
            settled = sum((x.amount for x in ledger.lines() if x.entry == "settle"), Decimal(0))
            assert balance.settled == settled
            assert balance.reserved == sum((x.request.ceiling for x in open_holds), Decimal(0))
            assert balance.remaining >= 0
