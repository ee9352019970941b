"""The scripted expert: an upper bound for minds that goes the way of a language model."""

import asyncio

from tests_graph_support import weak_annotator

from querist.agents.models.providers.scripted import ScriptedModel
from querist.evals.minds import expert
from querist.evals.minds.decisions import score_model
from querist.graph.minds.exams import EXAMS


def test_the_expert_passes_every_exam():
    for agent, score in score_model("expert", list(EXAMS)).items():
        assert (score.right, score.fell_back) == (score.total, 0), agent
        assert score.usd > 0, "its words cost what a small model's would"


def test_the_expert_tries_its_options_before_it_rules(scripted):
    run, _ = scripted(
        minds={"mind": "llm"},
        models={"annotator": "local", "mind": expert.NAME},
        prices={expert.NAME: expert.PRICE},
    )
    run.use(models={
        expert.NAME: expert.model(), "local": ScriptedModel(weak_annotator, name="local"),
    })  # fmt: skip
    assert asyncio.run(run.drive()).status == "finished"
    made = [one for one in run.view().journal.decisions() if one.mind == "llm" or one.fell_back]
    assert [one.fell_back for one in made if one.fell_back] == []
    tried = {call.name for one in made for call in one.tool_calls}
    assert {"what_would_a_round_cost", "try_strategies", "try_prompt"} <= tried
