"""The doctor says what is there, what a model takes, and what to do about it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import Result
from typer.testing import CliRunner

from querist.app.terminal.cli import app
from querist.evals.mock_minds import Script
from querist.evals.mock_server import Behaviour, serving
from querist.memory.store import open_store


def ask(*words: object) -> Result:
    return CliRunner().invoke(app, [str(word) for word in words])


def examined(tmp_path: Path, **behaviour: object) -> Result:
    keywords = {
        "grass": "green", "blood": "red", "sky": "blue", "leaf": "green", "tomato": "red",
        "sea": "blue", "cucumber": "green", "fire": "red",
    }  # fmt: skip
    colours = ("red", "green", "blue")
    with serving(Behaviour(labels=colours, keywords=keywords, **behaviour)) as server:
        words = ("doctor", "--model", "openai:mock", "--price", "openai:mock=1,10")
        return ask(*words, "--base-url", server.base_url, "-w", tmp_path / "work")


def test_a_good_model_is_said_to_be_one(tmp_path: Path) -> None:
    result = examined(tmp_path)
    assert result.exit_code == 0, result.output
    assert "8 of 8 replies could be read, 8 of them are right" in result.output
    assert "from log-probabilities" in result.output
    assert "it takes all that Querist sends" in result.output
    assert "it keeps to a JSON schema" in result.output
    assert not (tmp_path / "work").exists(), "a look makes no workspace"


@pytest.mark.parametrize(
    ("manner", "words"),
    [
        ("reasoner", "max_completion_tokens instead of max_tokens"),
        ("rf422", "asked for in words and read leniently"),
        ("no_logprobs", "three samples an example show how sure it is"),
        ("nulls", "charged at the most"),
        ("thinks_long", "2,048 tokens of thoughts"),
        ("think", "it thinks aloud"),
    ],
)
def test_what_will_be_used_is_said(tmp_path: Path, manner: str, words: str) -> None:
    result = examined(tmp_path, manner=manner)
    assert result.exit_code == 0, result.output
    assert words in result.output


@pytest.mark.parametrize(
    ("behaviour", "words"),
    [
        ({"manner": "quota"}, "You exceeded your current quota."),
        ({"manner": "empty"}, "models.thinking=8000"),
        ({"manner": "babbles"}, "I would rather not say."),
        ({"key": "right"}, "Check the API key"),
    ],
    ids=["quota", "empty", "babbles", "key"],
)
def test_a_model_that_cannot_label_is_a_problem_with_a_remedy(
    tmp_path: Path, behaviour: dict[str, str], words: str
) -> None:
    result = examined(tmp_path, **behaviour)
    assert result.exit_code == 6, result.output
    assert "PROBLEM" in result.output
    assert words in result.output


def test_addresses_prices_and_names_that_are_none_are_told(tmp_path: Path) -> None:
    wrong = ask("doctor", "--model", "openai:m", "--base-url", "localhost:1/v1", "-w", tmp_path)
    assert "--base-url http://localhost:1/v1" in wrong.output
    assert "No price is known" in wrong.output
    assert wrong.exit_code == 6
    assert "OPENAI_API_KEY" in ask("doctor", "--model", "openai:gpt-5-mini").output


def test_a_workspace_is_looked_at(tmp_path: Path) -> None:
    open_store(tmp_path / "work").close()
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad" / "querist.db").write_text("no database")
    words = ("doctor", "--model", "openai:gpt-5-mini", "-w")
    assert "0 runs, 0 driven now" in ask(*words, tmp_path / "work").output
    assert "PROBLEM database" in " ".join(ask(*words, tmp_path / "bad").output.split())


def test_a_mind_sits_its_exams_and_the_result_is_kept(tmp_path: Path) -> None:
    plan = {
        "reason": "There is money left.", "action": "select", "batch": 10, "questions": 0,
        "stop": "",
    }  # fmt: skip
    calls = (("Plan", plan), ("Selection", {"reason": "Variety."}))
    with serving(Behaviour(mind=Script(calls))) as server:
        words = ("doctor", "--mind", "openai:mock", "--price", "openai:mock=0,0")
        result = ask(*words, "--base-url", server.base_url, "-w", tmp_path / "work")
    assert result.exit_code == 0, result.output
    # Who always goes on is right where that is right, and nowhere else.
    assert "budget controller: not passed. 6 of 6 where it is right to go on" in result.output
    assert "0 of 6 where it is right to stop" in result.output
    assert "With minds.mind=auto it is not asked for the" in result.output
    kept = json.loads((tmp_path / "work" / "models" / "exams.json").read_text())
    assert [row["agent"] for row in kept][:2] == ["budget_controller", "selector"]
    assert {row["model"] for row in kept} == {"openai:mock"}
