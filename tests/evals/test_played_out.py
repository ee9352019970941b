"""The bench of states that were played out: what a ruling is counted against."""

import json
from dataclasses import asdict

import numpy as np
import pytest

from querist.evals.minds.played_out import Outcome
from querist.evals.minds.playing import Table


def write(out, outcomes, *, sets=("trec6",), agents=("budget_controller", "selector")):
    for dataset in sets:
        for agent in agents:
            (out / "states" / f"{dataset}-0" / "at" / f"{agent}-1").mkdir(parents=True)
        (out / "states" / f"{dataset}-0" / "done").touch()
    lines = [json.dumps(asdict(outcome)) for outcome in outcomes]
    (out / "outcomes.jsonl").write_text("\n".join(lines) + "\n")


def outcome(situation, name, right, usd=0.0):
    return Outcome(situation, {"name": name}, (name,), usd, tuple(map(int, right)), 1.0)


def selector(table, dataset="trec6"):
    return next(
        one for one in table.situations if (one.agent, one.dataset) == ("selector", dataset)
    )


def test_a_ruling_is_counted_against_stopping_and_against_the_best(tmp_path):
    before, here = "trec6-0-budget_controller-1", "trec6-0-selector-1"
    write(
        tmp_path,
        [
            outcome(before, "stop", [1, 1, 0, 0, 0, 0, 0, 0]),
            outcome(here, "rules", [1, 1, 1, 1, 0, 0, 0, 0], usd=2.0),
            outcome(here, "margin", [1, 1, 1, 1, 1, 1, 0, 0], usd=1.0),
        ],
    )
    table = Table(tmp_path, worth=1.0)
    situation = selector(table)
    rules, margin = table.options(situation)
    assert table.gain(situation, rules) == pytest.approx(25)
    assert table.best(situation) == (pytest.approx(50), pytest.approx(1.0))
    assert table.ruled(situation, rules).regret == pytest.approx((50 - 1) - (25 - 2))
    assert table.ruled(situation, margin).regret == pytest.approx(0)


def test_luck_does_not_make_the_best_of_like_options_better_than_they_are(tmp_path):
    """Every option is right on half of the texts; the luckiest of seven looks 2 points better."""
    rng, found = np.random.default_rng(0), []
    sets = [f"set{number}" for number in range(60)]
    for name in sets:
        found.append(outcome(f"{name}-0-budget_controller-1", "stop", rng.random(500) < 0.5))
        found += [
            outcome(f"{name}-0-selector-1", f"option {n}", rng.random(500) < 0.5) for n in range(7)
        ]
    write(tmp_path, found, sets=sets)
    table = Table(tmp_path, worth=0.0)
    chosen = [one for one in table.situations if one.agent == "selector"]
    naive = [max(table.gain(one, each) for each in table.options(one)) for one in chosen]
    honest = [table.best(one)[0] for one in chosen]
    assert np.mean(naive) > 2
    assert abs(np.mean(honest)) < 1.2


def test_elsewhere_is_the_option_that_was_best_on_the_other_sets(tmp_path):
    def played(name, *, margin, rules):
        flat = [1] * 5 + [0] * 5
        return [
            outcome(f"{name}-0-budget_controller-1", "stop", flat),
            outcome(f"{name}-0-selector-1", "rules", [1] * rules + [0] * (10 - rules)),
            outcome(f"{name}-0-selector-1", "margin", [1] * margin + [0] * (10 - margin)),
        ]

    rows = played("a", margin=9, rules=6) + played("b", margin=6, rules=8)
    write(tmp_path, rows, sets=("a", "b"))
    table = Table(tmp_path, worth=1.0)
    assert table.elsewhere(selector(table, "a")).names == ("rules",)
    assert table.elsewhere(selector(table, "b")).names == ("margin",)


def test_a_situation_whose_round_was_never_stopped_before_is_left_out(tmp_path):
    here = "trec6-0-selector-1"
    write(tmp_path, [outcome(here, "rules", [1, 0]), outcome(here, "margin", [1, 1])])
    assert Table(tmp_path, worth=1.0).situations == []
