"""A task where nearly all texts are of one class, and a model that says so of every text."""

import asyncio
import json

from tests_graph_support import EXAMPLE

from querist.agents.models.providers.scripted import ScriptedModel
from querist.graph.round.evidence import plan_of
from querist.graph.round.knowledge import commonest_share
from querist.memory.records import Action


def test_where_one_class_is_most_of_the_texts_a_model_that_always_names_it_is_doubted(
    tmp_path, make_run
):
    rows = [json.loads(line) for line in (EXAMPLE / "pool.jsonl").read_text().splitlines()]
    rare = [row for row in rows if row["label"] == "billing"][:16]
    common = [row for row in rows if row["label"] == "noise"] * 8
    pool = tmp_path / "skewed.jsonl"
    told = [row | {"id": f"c{n}", "text": f"{row['text']} ({n})"} for n, row in enumerate(common)]
    pool.write_text("\n".join(json.dumps(row) for row in [*told[:160], *rare]))
    labels = {"noise": "", "billing": "", "access": ""}

    def always(request):
        return {name: 0.94 if name == "noise" else 0.03 for name in request.choices}

    run = make_run(
        task={"labels": labels},
        data={"pool": str(pool), "test": None},
        people={"error_rate": 0, "audit": 0.1},
        loop={"rounds": 2},
    ).use(models={"local": ScriptedModel(always, name="local")})
    asyncio.run(run.drive())
    context = run.view()
    assert commonest_share(context) > 0.75
    plan = plan_of(context.journal, 1)
    verdicts = context.labelling.verdicts(1)
    asked = [verdict for verdict in verdicts if verdict.action is Action.ESCALATE]
    assert len(asked) == plan.questions - plan.audits > 0
