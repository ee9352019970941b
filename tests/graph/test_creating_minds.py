"""Create jobs whose agents deliberate: rulings are used, bounds hold, and rules stand behind."""

import json
from decimal import Decimal

import pytest
from tests_jobs_support import CHECKER, PRICES, WRITER, body, models, request, work
from typer.testing import CliRunner

from querist.agents.deliberation.exams import Examined, ExamResult
from querist.agents.models.port import ChatReply, ToolUse, Usage
from querist.agents.models.providers.scripted import ScriptedModel
from querist.app.terminal.cli import app
from querist.graph import jobs
from querist.memory.errors import InvalidInput, ModelRefused
from querist.memory.events import Consulted, TookOver
from querist.memory.records import JobStatus
from querist.memory.run.journal import Journal
from querist.memory.run.ledger import Ledger
from querist.memory.store import open_store

MIND = "openai:mind"
SECTIONS = {
    "models": body()["models"] | {"mind": MIND},
    "prices": PRICES | {MIND: {"input": 1, "output": 2}},
    "minds": {"mind": "llm"},
    "bounds": {"label_check": {"least": [0.3, 0.7]}},
}
RULINGS = {
    "Wave": {"reason": "A small wave learns early.", "action": "write", "calls": 2},
    "Showing": {"reason": "Unlike seeds bring news.", "strategy": "diverse", "shown": 2},
    "Writing": {
        "reason": "The class good lacks most.",
        "plan": [{"cell": 0, "method": "conditioned", "calls": 1}],
    },
    "Checking": {"reason": "The checker is sure enough.", "thresholds": {"label_check.least": 0.6}},
}


def call(name, arguments):
    return ChatReply("", Usage(200, 30), uses=(ToolUse("x", name, json.dumps(arguments)),))


def ruled(**changes):
    """Make a mind that rules at once, otherwise than `RULINGS` where that is said."""

    def mind(request):
        name = request.tools[-1].name
        ruling = changes.get(name, RULINGS.get(name, {}))
        properties = request.tools[-1].parameters["properties"]
        if name == "Writing":
            cells = properties["plan"]["items"]["properties"]["cell"]["enum"]
            plan = [portion | {"cell": cells[0]} for portion in ruling["plan"]]
            ruling = ruling | {"plan": plan}
            if "guidelines" in properties:
                ruling = ruling | {"guidelines": []}
        if name == "Wave" and "calls" in ruling:
            ruling = ruling | {"calls": min(ruling["calls"], properties["calls"]["maximum"])}
        return call(name, ruling)

    return mind


@pytest.fixture
def store(tmp_path):
    with open_store(tmp_path / "work") as store:
        yield store


@pytest.fixture
def seeds(tmp_path):
    path = tmp_path / "seeds.jsonl"
    lines = [{"text": f"{name} seed {n}", "y": name} for name in ("good", "bad") for n in range(9)]
    path.write_text("\n".join(map(json.dumps, lines)))
    return {"file": str(path), "text": "text", "label": "y"}


def minded(store, mind, **changes):
    given = models() | {MIND: ScriptedModel(mind, name=MIND)}
    return work(store, given=given, **(SECTIONS | changes))


def test_what_a_mind_rules_is_what_happens(store, seeds):
    job = minded(store, ruled(), seeds=seeds, budget={"usd": "5"}, rows=6)
    assert job.status is JobStatus.DONE, job.reason
    journal = Journal(store, job.run)
    decisions = journal.decisions()
    by_mind = [made for made in decisions if made.action.get("stop") != "rows"]
    assert {made.mind for made in by_mind} == {"llm"}, [made.fell_back for made in by_mind]
    assert all(done.detail["calls"] == 1 for done in journal.rounds())
    rows = jobs.rows_of(store, job, rejected=True)
    assert {len(row.parents) for row in rows} == {2}
    assert all(row.scores["label_check"] >= 0.6 for row in rows if row.status == "accepted")
    end = next(made for made in decisions if made.action.get("stop") == "rows")
    assert (end.mind, end.asked) == ("rules", "not asked: the job has ended: rows")
    spent = sum(made.usd for made in decisions)
    by_agent = Ledger(store, job.run).by_agent()
    assert spent > 0
    assert spent <= Decimal("0.5"), "a tenth of the budget"
    # The writer spends under the generator's name, too.
    mine = sum(made.usd for made in decisions if made.agent == "verifier")
    assert by_agent["verifier", "llm"] == mine
    assert {body.agent for body in journal.bodies(Consulted)} == {
        "budget_controller", "selector", "generator", "verifier",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("agent", "ruling", "words"),
    [
        ("budget_controller", {"Wave": {"reason": "That is enough by now.", "action": "stop",
                                        "calls": 1}}, "nothing speaks for the end"),
        ("selector", {"Showing": {"reason": "The hard ones teach.", "strategy": "hardest",
                                  "shown": 3}}, "not 'hardest'"),
        ("generator", {"Writing": {"reason": "From a passage.", "plan": [
            {"cell": 0, "method": "from_passage", "calls": 1}]}}, "not 'from_passage'"),
        ("verifier", {"Checking": {"reason": "All may pass.", "thresholds": {
            "label_check.least": 0.0}}}, "may be 0.3 to 0.7"),
    ],
)  # fmt: skip
def test_a_ruling_out_of_bounds_falls_back_to_the_rules_and_is_told(
    store, seeds, agent, ruling, words
):
    only = {"mind": "rules", agent: "llm"}
    job = minded(store, ruled(**ruling), seeds=seeds, minds=only, budget={"usd": "5"}, rows=6)
    assert job.status is JobStatus.DONE, job.reason
    journal = Journal(store, job.run)
    made = journal.decisions(agent=agent, number=1)[0]
    assert made.mind == "rules"
    assert words in made.fell_back
    assert made.usd > 0, "what was tried was paid"
    assert journal.bodies(TookOver)
    # What the rules rule is what happens: as in a job whose minds were never asked.
    with open_store(store.folder.parent / "plain") as other:
        plain = work(other, seeds=seeds, budget={"usd": "5"}, rows=6)
        expected = [row.id for row in jobs.rows_of(other, plain)]
        assert [row.id for row in jobs.rows_of(store, job)] == expected


def test_a_mind_may_give_up_what_the_rules_would_go_on_with(store):
    texts = json.dumps({"texts": [f"good thing number {n}" for n in range(4)]})
    given = models() | {
        WRITER: ScriptedModel(lambda _: texts, name=WRITER, in_flight=4),
        MIND: ScriptedModel(
            lambda asked: ruled(Wave=enough(asked))(asked), name=MIND
        ),
    }  # fmt: skip

    def enough(asked):
        actions = asked.tools[-1].parameters["properties"]["action"]["enum"]
        return {
            "reason": "Hardly anything new comes.", "calls": 1,
            "action": "stop" if "stop" in actions else "write",
        }  # fmt: skip

    minds = {"mind": "rules", "budget_controller": "llm"}
    changes = SECTIONS | {"minds": minds}
    job = work(store, given=given, shares={"good": 1.0}, rows=50, patience=60, **changes)
    assert job.status is JobStatus.DONE
    assert job.result["stop"] == "saturated"
    assert "Hardly anything new comes." in job.reason
    assert len(jobs.rows_of(store, job, rejected=True)) < 60, "the rules would have gone on"


def test_auto_asks_where_a_model_passed_the_exam_and_something_speaks_for_it(store):
    job = minded(store, ruled(), minds={"mind": "auto"}, rows=8, seed=2)
    asked = Journal(store, job.run).decisions(agent="budget_controller")[0].asked
    assert asked == "not asked: the model did not sit the exam of this agent"
    mind = ScriptedModel(ruled(), name=MIND)
    Examined.of(store.folder).keep(
        [
            ExamResult(
                "budget_controller", MIND, mind.identity, {"a": 4, "b": 4}, {"a": 4, "b": 4},
                0, "tools", "0", 1.0, "2026-11-27",
            )
        ]
    )  # fmt: skip
    given = models() | {MIND: mind}
    job = work(store, given=given, rows=8, **(SECTIONS | {"minds": {"mind": "auto"}}))
    made = Journal(store, job.run).decisions(agent="budget_controller")
    assert made[0].mind == "llm"
    assert made[0].asked.startswith("the first decision that is open")
    assert "nothing speaks for it" in made[1].asked


def test_decisions_of_a_job_are_shown(store, seeds):
    job = minded(store, ruled(), seeds=seeds, budget={"usd": "5"}, rows=6)
    store.close()
    place = ["-w", str(store.folder)]

    def said(*words):
        done = CliRunner().invoke(app, [*words, *place])
        assert done.exit_code == 0, done.output
        return done.output

    told = said("decisions", job.run)
    assert "1 budget controller (llm" in told
    assert "1 selector (llm" in told
    full = said("decisions", job.run, "--round", "1", "--agent", "generator")
    assert "The class good lacks most." in full
    assert "What the rules would have ruled" in full
    shown = said("job", "show", job.id)
    assert "Decided last:" in shown
    assert "budget controller (rules): All 6 rows are there." in shown
    assert f"decisions {job.run}" in shown
    assert "budget controller (rules)" in said("job", "watch", job.id)


def test_a_mind_without_a_price_and_bounds_without_a_gate_are_refused(store):
    with pytest.raises(ModelRefused, match="openai:other"):
        jobs.submit(
            request(**(SECTIONS | {"models": SECTIONS["models"] | {"mind": "openai:other"}})),
            store,
        )
    for bounds, words in (
        ({"rubric": {"least": [1, 3]}}, "rubric is none of the gates"),
        ({"label_check": {"by": [1, 3]}}, "no such number"),
        ({"label_check": {"least": [0.6, 0.7]}}, "itself has 0.5, which must lie within"),
        ({"label_check": {"least": [0.7, 0.4]}}, "the lowest value, 0.7, is above the highest"),
        ({"label_check": {"least": [0.4, 7]}}, "least"),
    ):
        with pytest.raises(InvalidInput, match=words):
            request(bounds=bounds)
    with pytest.raises(InvalidInput, match="needs seeds"):
        request(seeds={"show": "diverse"})


def test_a_quote_tells_what_minds_may_cost():
    alone, minds = jobs.quote_create(request()), jobs.quote_create(request(**SECTIONS))
    assert alone.minds == 0
    assert minds.minds == Decimal("0.1"), "a tenth of the cap"
    assert minds.forecast == alone.forecast
    assert CHECKER in PRICES
