"""The experiments on create jobs: their statistics, on cases whose truth is known."""

import random
from collections import Counter
from decimal import Decimal

import numpy as np
import pytest

from querist.agents.models.port import ChatRequest, Message
from querist.evals.creation.known_skills import judge, paired, run_world
from querist.evals.creation.one_job import Ran, mean_interval
from querist.evals.creation.plans import BestKnown, InTurn, run_plan
from querist.evals.creation.planted_faults import FAULTS, GOOD, Plot, caught, plot
from querist.evals.creation.scripted_questions import Questions, is_hard, is_sound
from querist.evals.creation.scripted_world import LABELS, METHODS, World
from querist.memory.workspace.creations import CreatedRow
from querist.tools.arms.thompson import Tries


def row(text, status, *, label="alpha"):
    return CreatedRow("id", {"text": text}, label, {}, "conditioned", status, usd=Decimal(0))


def ask(system, user="Write 4.", *, choices=(), sample=0):
    turns = (Message("system", system), Message("user", user))
    return ChatRequest(turns, 100, choices=choices, sample=sample)


def test_the_interval_holds_the_true_mean_about_as_often_as_it_says():
    rng = np.random.default_rng(0)
    held = 0
    for _ in range(400):
        _, low, high = mean_interval(rng.normal(1.0, 2.0, size=8).tolist())
        held += low <= 1.0 <= high
    assert 0.92 <= held / 400 <= 0.98


def test_precision_loss_and_tries_are_those_of_the_rows():
    rows = (
        *[row("right", "accepted")] * 3,
        row("wrong", "accepted"),
        *[row("right", "rejected")] * 2,
        *[row("wrong", "rejected")] * 3,
        row("right", "spare"),
    )
    found = judge(Ran(rows, 0.02, "rows"), lambda one: one["text"] == "right")
    assert found == pytest.approx((0.75, 2 / 6, 10 / 4, 5.0))


def test_differences_are_paired_by_seed():
    few = [Ran((row("x", "accepted"),) * 2, usd, "rows") for usd in (0.02, 0.04)]
    many = [Ran((*one.rows, *[row("x", "rejected")] * 2), 2 * one.usd, "rows") for one in few]
    tries, usd = paired(many, few)
    assert tries == [1.0, 1.0]
    assert usd == pytest.approx([50, 50])


def test_the_writer_hits_as_often_as_it_is_said_to():
    world = World.drawn(3)
    system = "Write. The class 'beta'. Say the same as the row given"
    hits = []
    for sample in range(300):
        reply = world._write(ask(system, sample=sample))
        hits += [world.truth(text) == "beta" for text in _texts(reply)]
    assert np.mean(hits) == pytest.approx(world.hits["paraphrase", "beta"], abs=0.04)


def _texts(reply):
    import json

    return json.loads(reply.text)["texts"]


async def _complete(model, requests):
    return [await model.complete(request) for request in requests]


def test_the_checker_is_right_as_often_as_it_is_sure():
    import asyncio

    world = World.drawn(5)
    rng = random.Random(0)
    texts = [world.text(rng.choice(LABELS), rng) for _ in range(1500)]
    checker = world.checker("c", low=0.4, high=1.0)
    replies = asyncio.run(_complete(checker, [ask("x", text, choices=LABELS) for text in texts]))
    right = np.array([r.text == world.truth(t) for r, t in zip(replies, texts, strict=True)])
    # What is likeliest may be another than what it says, below one half.
    sure = np.array([max(reply.probabilities.values()) for reply in replies])
    for low, high in ((0.5, 0.75), (0.75, 1.0)):
        part = (sure >= low) & (sure < high)
        assert right[part].mean() == pytest.approx(sure[part].mean(), abs=0.06)


def test_written_answers_are_right_and_questions_hard_as_often_as_said():
    world = Questions(1, {"rents": 0.8, "repairs": 0.5})
    rows = []
    for sample in range(250):
        reply = world._write(ask("x", "topic: rents", sample=sample))
        rows += _rows(reply)
    assert np.mean([is_sound(one) for one in rows]) == pytest.approx(0.8, abs=0.04)
    assert np.mean([is_hard(one) for one in rows]) == pytest.approx(0.6, abs=0.05)


def _rows(reply):
    import json

    return json.loads(reply.text)["rows"]


def test_the_fixed_plan_takes_turns_within_a_class_and_the_best_known_never():
    rng = np.random.default_rng(0)
    plan = InTurn()
    for label in ("alpha", "beta"):
        arms = [(method, label) for method in METHODS]
        took = [plan(arms, {}, rng=rng) for _ in range(10)]
        assert took == [0, 1, 2, 3, 4] * 2
    arms = [(method, "beta") for method in METHODS]
    best = BestKnown({arm: place for place, arm in enumerate(arms)})
    assert best(arms, {arms[0]: Tries(9, 9)}, rng=rng) == 4


def test_a_plan_takes_as_many_tries_as_its_hit_rate_and_the_checker_let_it():
    ran = [
        run_plan(World.drawn(seed, low=0.6, high=0.6), rows=90, choose=InTurn())
        for seed in range(6)
    ]
    assert all(len(one.accepted) == 90 for one in ran)
    written = [one for job in ran for one in job.rows]
    passed = np.mean([one.status != "rejected" for one in written])
    # Right ones that are seen to be right, and wrong ones that are taken for this class.
    assert passed == pytest.approx(0.6 * 0.9 + 0.4 * 0.1 / 2, abs=0.04)


def test_the_plot_plants_what_it_says_and_a_catch_is_counted_by_fault():
    drawn = plot(0, rows=220)
    counts = Counter(one.fault for one in drawn.rows)
    assert counts[GOOD] == 110
    assert {counts[fault] for fault in FAULTS} == {10}
    known = {text for text, _ in drawn.seeds}
    by_fault = {fault: [r for r in drawn.rows if r.fault == fault] for fault in (*FAULTS, GOOD)}
    assert all(one.text in known for one in by_fault["copy of a seed"])
    assert not any(one.text in known for one in by_fault[GOOD])
    assert all(one.truth != one.wanted for one in by_fault["wrong label"])
    tests = [text for text, _ in drawn.tests]
    within = by_fault["short test text within other words"]
    assert all(any(text in one.text for text in tests) for one in within)
    first = by_fault[GOOD][0]
    few = Plot(drawn.seeds, drawn.tests, (first, by_fault["wrong label"][0]))
    done = [row(one.text, "rejected", label=one.wanted) for one in few.rows]
    found = caught(few, Ran(tuple(done), 0.0, "dry"))
    assert found[GOOD] == [True]
    assert found["wrong label"] == [True]
    assert found["one topic only"] == []


def test_a_job_with_a_sure_checker_accepts_right_rows_only():
    world = World.drawn(0)
    ran = run_world(world, ["label_check(least=0.7)"], rows=12)
    free = run_world(world, [], rows=12)
    assert len(ran.accepted) == len(free.accepted) == 12
    right = judge(ran, lambda one: world.truth(one["text"]) == one["label"])
    assert right[0] >= judge(free, lambda one: world.truth(one["text"]) == one["label"])[0]
    assert right[2] > 1
