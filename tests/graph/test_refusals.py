"""What a run refuses before anything is spent, each with a remedy."""

import asyncio

import pytest
from tests_graph_support import LABELS

from querist.graph.config import make_config
from querist.graph.run import Run
from querist.memory.errors import BudgetExceeded, InvalidInput, ModelRefused


def drive(run):
    return asyncio.run(run.drive())


def test_a_budget_too_small_for_one_call_spends_nothing(scripted):
    run, model = scripted(
        prices={"local": {"input": 100000, "output": 100000}}, people={"kind": "none"},
        budget={"usd": "0.001"},
    )  # fmt: skip
    assert not run.quote().affordable
    with pytest.raises(BudgetExceeded, match="--budget"):
        drive(run)
    assert model.calls == []
    assert run.view().ledger.lines() == []


def test_a_model_without_a_price_is_refused_with_the_lines_that_set_one(make_run):
    run = make_run(models={"annotator": "openai:brand-new", "base_url": "http://127.0.0.1:9/v1"})
    with pytest.raises(ModelRefused, match=r'\[prices\."openai:brand-new"\]'):
        drive(run)
    assert run.view().ledger.lines() == []


@pytest.mark.parametrize(
    ("section", "key", "value", "says"),
    [
        ("budget", "usd", "0", "budget.usd"),
        ("budget", "usd", "-3", "budget.usd"),
        ("budget", "usd", "lots", "money"),
        ("budget", "usd", "NaN", "finite"),
        ("task", "labels", {"only": ""}, "at least two labels"),
        ("loop", "batch", 0, "loop.batch"),
        ("loop", "bacth", 3, "loop.bacth"),
        ("loop", "strategy", "margn", "margin"),
        ("task", "kind", "spans", "classification"),
        ("people", "error_rate", 2, "people.error_rate"),
    ],
)
def test_a_bad_setting_is_named_with_its_remedy(make_run, section, key, value, says):
    with pytest.raises(InvalidInput, match=says):
        make_run(**{section: {key: value}})


def test_a_run_that_nobody_could_label_is_refused(make_run):
    with pytest.raises(InvalidInput, match="Nobody would label"):
        make_run(annotator={"enabled": False}, people={"kind": "none"})


def test_an_unknown_run_is_named_with_those_there_are(open_workspace):
    with pytest.raises(InvalidInput, match="querist status"):
        Run.open(open_workspace("empty"), "nothing")


@pytest.mark.parametrize(
    ("given", "remedy"),
    [
        ({"text": "a", "label": "nonsense"}, "'nonsense', which is none of the task's"),
        ({"text": {"body": "a"}, "label": LABELS[0]}, "must give text, the task's fields"),
    ],
)
def test_a_demonstration_that_does_not_fit_the_task_is_refused(make_run, given, remedy):
    with pytest.raises(InvalidInput, match=remedy):
        make_run(annotator={"demonstrations": [given]})


@pytest.mark.parametrize(
    ("names", "shown"),
    [
        (["bug", "bug "], "'bug' and 'bug '"),
        (["bug", "bu\u200bg"], r"'bug' and 'bu\\u200bg'"),
        (["café", "cafe\u0301"], r"'caf\\xe9'.*'cafe\\u0301'"),
        (["x", "a b", "a  b"], "'a b' and 'a  b'"),
    ],
)
def test_labels_that_cannot_be_told_apart_are_refused_with_both(make_run, names, shown):
    with pytest.raises(InvalidInput, match=shown):
        make_run(task={"labels": names})


def test_a_label_that_shows_nothing_is_refused(make_run):
    with pytest.raises(InvalidInput, match="may not be empty"):
        make_run(task={"labels": ["bug", "\u200b"]})


def test_labels_that_differ_in_case_only_stay_two():
    body = {"task": {"labels": ["Polish", "polish"]}, "data": {"pool": "p.jsonl"}}
    assert list(make_config(body, source="test").task.labels) == ["Polish", "polish"]
