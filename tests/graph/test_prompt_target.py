"""The annotator's own prompt as what is taken home: made, measured, paid for, and used again."""

import asyncio
import json
from decimal import Decimal

import numpy as np
import pytest
from tests_graph_support import gold_texts
from typer.testing import CliRunner

from querist.agents.models.providers.scripted import ScriptedModel
from querist.app.terminal.cli import app
from querist.graph.run import Run
from querist.memory.errors import InvalidInput
from querist.memory.events import Delivered, Notice
from querist.tools.training.model_folder import Model
from querist.tools.training.prompted import PromptedReader

GOLD = gold_texts()
PROMPTED = {"training": {"target": "prompt"}, "loop": {"rounds": 2}, "annotator": {"shared": 4}}


def knowing(request):
    """A language model that is always right, and nearly sure."""
    text = request.messages[-1].content
    right = next((label for said, label in GOLD.items() if said[:40] in text), "")
    if not right:  # of a text without content it knows nothing, so it has no bias
        return dict.fromkeys(request.choices, 1 / len(request.choices))
    left = 0.1 / (len(request.choices) - 1)
    return {name: 0.9 if name == right else left for name in request.choices}


def drive(run):
    return asyncio.run(run.drive())


def folder_of(run):
    return run.view().files.path("model")


@pytest.fixture
def made(scripted):
    run, model = scripted(reply=knowing, **PROMPTED)
    drive(run)
    return run, model


def test_a_run_takes_its_prompt_home_and_measures_it_itself(made):
    run, _ = made
    told = run.view().journal.bodies(Delivered)[-1]
    assert told.trainer == "prompt for local"
    assert told.test > 0.95
    model = Model.load(folder_of(run))
    assert (model.trainer, model.embedder_name) == ("prompt", "")
    body = json.loads(next(folder_of(run).glob("weights-*/prompt.json")).read_text())
    assert len(body["shared"]) == 4
    assert body["model"] == "local"
    card = (folder_of(run) / "README.md").read_text()
    assert "every prediction is a call of that model" in card


def test_its_demonstrations_are_peoples_and_none_of_the_audit_sample(made):
    run, _ = made
    body = json.loads(next(folder_of(run).glob("weights-*/prompt.json")).read_text())
    view = run.view()
    people = {label.example for label in view.labelling.labels() if label.source == "human"}
    shown = {demo["id"] for demo in body["shared"]}
    assert shown <= people
    assert not shown & view.inbox.examples("audit")


def test_the_command_predicts_with_it_on_the_runs_ledger(made, tmp_path, monkeypatch):
    run, _ = made
    rows = tmp_path / "new.jsonl"
    texts = list(GOLD)[:5]
    rows.write_text("".join(json.dumps({"text": text}) + "\n" for text in texts))
    model = ScriptedModel(knowing, name="local")
    monkeypatch.setattr(Run, "__init__", with_models({"local": model}))
    said = CliRunner().invoke(
        app,
        ["predict", run.id, str(rows), "--output", str(tmp_path / "out.jsonl"),
         "--workspace", str(run.store.folder)],
    )  # fmt: skip
    assert said.exit_code == 0, said.output
    out = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text().splitlines()]
    assert [row["predicted"] for row in out] == [GOLD[text] for text in texts]


def test_the_rest_of_the_pool_is_exported_with_what_it_says(made, tmp_path, monkeypatch):
    run, _ = made
    monkeypatch.setattr(
        Run, "__init__", with_models({"local": ScriptedModel(knowing, name="local")})
    )
    said = CliRunner().invoke(
        app,
        ["export", run.id, "--output", str(tmp_path / "all.jsonl"), "--all", "--predict",
         "--workspace", str(run.store.folder)],
    )  # fmt: skip
    assert said.exit_code == 0, said.output
    rows = [json.loads(line) for line in (tmp_path / "all.jsonl").read_text().splitlines()]
    predicted = [row for row in rows if row["source"] == "prediction"]
    assert len(predicted) > 50
    assert np.mean([row["label"] == GOLD[row["text"]] for row in predicted]) > 0.95


def with_models(models):
    init = Run.__init__

    def opened(self, *given):
        init(self, *given)
        self.use(models=models)

    return opened


def test_alone_it_says_that_there_is_nobody_to_ask(made):
    run, _ = made
    with pytest.raises(InvalidInput, match="querist predict"):
        Model.load(folder_of(run)).predict(["the lift is stuck"])


def test_in_python_it_takes_whoever_is_to_be_asked(made):
    run, _ = made
    model = Model.load(folder_of(run))
    count = len(model.classes)
    asked = model.asking(lambda texts: np.full((len(texts), count), 1 / count))
    assert len(asked.predict(["a", "b"])) == 2


def test_money_that_does_not_pay_for_the_test_leaves_it_unmeasured(scripted):
    price = {"local": {"input": 0, "output": 0, "per_call": "0.01"}}
    run, _ = scripted(
        reply=knowing, **PROMPTED, prices=price, budget={"usd": "2.2", "human_label_usd": "0.05"}
    )
    assert drive(run).status == "finished"
    told = run.view().journal.bodies(Delivered)[-1]
    assert (told.trainer, told.test) == ("prompt for local", None)
    assert any("not tried" in notice.text for notice in run.view().journal.bodies(Notice))
    assert run.view().ledger.balance().settled <= Decimal("2.2")
    assert Model.load(folder_of(run)).prompt is not None


def test_the_quote_counts_what_measuring_it_costs(scripted):
    price = {"local": {"input": 0, "output": 0, "per_call": "0.001"}}
    with_it, _ = scripted("a", **PROMPTED, prices=price)
    without, _ = scripted("b", **(PROMPTED | {"training": {"target": "linear"}}), prices=price)
    lines = [line for line in with_it.quote().lines if "take home" in line.what]
    assert [line.forecast for line in lines] == [Decimal("0.155")]
    more = with_it.quote().forecast - without.quote().forecast
    assert more == Decimal("0.155")


@pytest.mark.parametrize(
    ("sections", "words"),
    [({"annotator": {"enabled": False}}, "annotator.enabled is false")],
)
def test_where_there_can_be_no_prompt_nothing_is_spent(scripted, sections, words):
    with pytest.raises(InvalidInput, match=words):
        scripted(**(PROMPTED | sections))


@pytest.mark.parametrize("text", ["", "[]", '{"model": "x"}', "not json"])
def test_a_damaged_prompt_is_refused(tmp_path, text):
    (tmp_path / "prompt.json").write_text(text)
    with pytest.raises(InvalidInput, match=r"prompt\.json"):
        PromptedReader().load(tmp_path)
