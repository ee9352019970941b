"""Searches over gold examples with scripted models: who wins, what is paid, how it goes on."""

import asyncio
import json
from decimal import Decimal

import pytest

from querist.agents.annotator.prompt import Demonstration
from querist.agents.models.providers.scripted import ScriptedModel
from querist.graph.choosing import labellers, searches, subsets
from querist.graph.choosing.labellers import Piece, Terms
from querist.graph.choosing.session import last_result, opened
from querist.graph.config import make_config
from querist.graph.run import Run
from querist.memory.answers import Choice
from querist.memory.errors import InvalidInput
from querist.memory.records import Example, ExampleId
from querist.memory.run.journal import Journal
from querist.memory.run.runs import Runs
from querist.memory.store import open_store
from querist.tools.arms.heads import SPACE

PRICE = {"input": "1", "output": "1"}
PROMPTS = {"strict": "be strict", "good": "be exact", "loose": "be loose"}


def gold_of(text):
    return "good" if int(text.split()[1]) % 2 else "bad"


def reply(request):
    """Right by the exact prompt, and for every other example by any other."""
    text = json.loads(request.messages[-1].content.removeprefix("Text: "))
    if "number" not in text:
        return {"good": 0.5, "bad": 0.5}
    right, number = gold_of(text), int(text.split()[1])
    wrong = {"good": "bad", "bad": "good"}[right]
    system = request.messages[0].content
    helped = sum("helpful" in message.content for message in request.messages)
    is_right = "be exact" in system or helped or number % 3 == 0
    return {right: 0.9, wrong: 0.1} if is_right else {right: 0.1, wrong: 0.9}


@pytest.fixture
def store(tmp_path):
    with open_store(tmp_path / "work") as store:
        yield store


@pytest.fixture
def config(tmp_path):
    rows = [
        {
            "id": f"e{i}",
            "text": f"number {i} {'great' if i % 2 else 'dull'}",
            "label": gold_of(f"x {i}"),
        }
        for i in range(60)
    ]
    (tmp_path / "pool.jsonl").write_text("\n".join(map(json.dumps, rows)))

    def make(**sections):
        body = {
            "task": {"name": "films", "labels": ["good", "bad"], "instructions": "Judge."},
            "data": {
                "pool": str(tmp_path / "pool.jsonl"),
                "text": "text",
                "gold": "label",
                "embedder": "hashing",
            },
            "budget": {"usd": "0.5"},
            "models": {"annotator": "script"},
            "prices": {"script": PRICE, "other": PRICE},
        }
        for name, values in sections.items():
            body[name].update(values)
        return make_config(body, source="test")

    return make


def choose(store, config, work, *, models=None, spec=None, what="prompt", stop=lambda: False):
    """Open a search, do the work, and give what it gave with what it cost."""
    script = ScriptedModel(reply, name="script")
    seen = []

    async def run():
        async with opened(
            store,
            config,
            what=what,
            spec=spec or {},
            models=models or {"script": script},
            listener=seen.append,
            should_stop=stop,
        ) as session:
            return await work(session), session.usd, session.context.run.id

    chosen, usd, name = asyncio.run(run())
    calls = sum(len(model.calls) for model in (models or {"script": script}).values())
    return chosen, usd, name, calls, seen


def prompts(terms=None):
    return lambda session: labellers.choose_prompt(session, PROMPTS, terms or Terms())


# ---------------------------------------------------------------- prompts


@pytest.mark.parametrize("method", ["sh", "cr", "cr-c", "equal"])
def test_the_prompt_that_is_right_wins(store, config, method):
    chosen, usd, _, calls, _ = choose(store, config(), prompts(Terms(method, 30)))
    assert chosen.winners == ("good",)
    assert chosen.settings == {"task.instructions": "be exact"}
    assert chosen.rows[0].mean == 1.0
    assert calls <= 30
    assert sum(row.usd for row in chosen.rows) == usd > 0
    assert sum(row.pulls for row in chosen.rows) == calls


@pytest.mark.parametrize("method", ["clst", "gse"])
def test_many_prompts_by_their_embeddings(store, config, method):
    many = {f"p{i}": f"be {'exact' if i == 7 else 'loose'} in way {i}" for i in range(9)}
    chosen, *_, calls, _ = choose(
        store, config(), lambda s: labellers.choose_prompt(s, many, Terms(method, 40))
    )
    assert calls <= 40
    assert len(chosen.rows) == 9


def test_a_choice_done_twice_is_paid_once(store, config):
    first, usd, name, calls, _ = choose(store, config(), prompts())
    again, usd_again, name_again, more, _ = choose(store, config(), prompts())
    assert (name_again, usd_again, more) == (name, usd, 0)
    assert again.rows == first.rows
    assert calls > 0
    assert last_result(store, name) == again


def test_a_larger_budget_goes_on_from_what_was_tried(store, config):
    *_, few, _ = choose(store, config(), prompts(Terms("equal", 9)))
    chosen, *_, more, _ = choose(store, config(), prompts(Terms("equal", 30)))
    assert (few, more) == (9, 21)
    assert chosen.rows[0].pulls == 10


def test_a_choice_that_is_stopped_goes_on_without_paying_twice(store, config):
    looks = iter([False, True])
    terms = Terms("cr", 30)
    stopped, *_, few, seen = choose(store, config(), prompts(terms), stop=lambda: next(looks))
    assert stopped.status == "paused"
    assert few == 1
    assert [event.kind for event in seen] == ["tried", "chosen"]
    chosen, *_, more, _ = choose(store, config(), prompts(terms))
    assert chosen.status == "finished"
    assert few + more == sum(row.pulls for row in chosen.rows)


def test_every_pull_is_in_the_journal(store, config):
    chosen, _, name, calls, seen = choose(store, config(), prompts())
    pulls = [
        pull for e in Journal(store, name).events() if e.kind == "tried" for pull in e.data["pulls"]
    ]
    assert len(pulls) == calls
    assert seen[-1].kind == "chosen"
    assert Runs(store).get(name).kind == "choice"
    rejected = [row.rejected_after for row in chosen.rows]
    assert rejected[0] is None
    assert all(rejected[1:])


def test_a_choice_is_not_the_newest_run(store, config):
    _, _, name, *_ = choose(store, config(), prompts())
    with pytest.raises(InvalidInput, match="only searches"):
        Run.open(store)
    assert Run.open(store, name).id == name


def test_too_little_money_says_how_much_is_needed(store, config):
    with pytest.raises(InvalidInput, match=r"--budget 0\.000\d+\)") as told:
        choose(store, config(budget={"usd": "0.00001"}), prompts())
    needed = str(told.value).split("--budget ")[1].split(")")[0]
    chosen, usd, *_ = choose(store, config(budget={"usd": needed}), prompts())
    assert usd <= Decimal(needed)
    assert all(row.pulls for row in chosen.rows)
    with pytest.raises(InvalidInput, match="--evaluations"):
        choose(store, config(budget={"usd": needed}), prompts(Terms("", 500)))


def test_without_known_labels_the_remedy_is_named(store, config):
    with pytest.raises(InvalidInput, match=r"data\.validation"):
        choose(store, config(data={"gold": None}), prompts())


# ---------------------------------------------------------------- models and contexts


def test_the_better_model_wins_and_a_committee_is_tried(store, config):
    def other(request):
        words = request.messages[-1].content.split()
        if len(words) < 3:  # a text without content, asked for the sake of the bias
            return {"good": 0.5, "bad": 0.5}
        number = int(words[2])
        right = gold_of(f"number {number}")
        wrong = {"good": "bad", "bad": "good"}[right]
        return {right: 0.8, wrong: 0.2} if number % 3 else {right: 0.3, wrong: 0.7}

    models = {
        name: ScriptedModel(f, name=name) for name, f in (("script", reply), ("other", other))
    }
    chosen, *_ = choose(
        store,
        config(),
        lambda s: labellers.choose_model(s, ["script", "other"], Terms("equal", 40)),
        models=models,
        what="model",
    )
    assert chosen.winners == ("other",)
    assert chosen.settings == {"models.annotator": "other"}
    asked = [call for model in models.values() for call in model.calls]
    about = [call for call in asked if "number" in call.messages[-1].content]
    assert len(about) == 40
    assert all(len(call.messages) > 2 for call in asked), "with demonstrations, as the loop would"
    assert len(asked) > len(about), "their bias is divided out, as the loop would"


def piece(number, text):
    shown = Example(ExampleId(f"d{number}"), {"text": text})
    return Piece(
        f"d{number}", shown=Demonstration(shown, Choice("good")), record={"id": f"d{number}"}
    )


def test_the_contexts_that_help_are_accepted(store, config):
    pieces = [piece(i, f"{'helpful' if i in {1, 4} else 'plain'} {i}") for i in range(6)]
    chosen, *_ = choose(
        store,
        config(),
        lambda s: labellers.choose_context(s, pieces, Terms("sar", 120, top=2)),
        what="context",
    )
    assert {"d1", "d4"} & set(chosen.winners)
    assert len(chosen.winners) == len(chosen.records) == 2
    assert chosen.rows[0].pulls > 0


@pytest.mark.parametrize("method", ["go", "mmr"])
def test_contexts_by_embeddings_cost_nothing(store, config, method):
    pieces = [Piece(f"p{i}", passage=f"number {i} great") for i in range(5)]
    chosen, usd, _, calls, _ = choose(
        store,
        config(),
        lambda s: labellers.choose_context(s, pieces, Terms(method, top=2)),
        what="context",
    )
    assert (usd, calls) == (0, 0)
    assert len(set(chosen.winners)) == 2
    assert chosen.settings["task.instructions"].startswith("Judge.")


def test_all_contexts_are_no_choice(store, config):
    with pytest.raises(InvalidInput, match="--top"):
        choose(
            store,
            config(),
            lambda s: labellers.choose_context(s, [piece(0, "a"), piece(1, "b")], Terms(top=2)),
        )


# ---------------------------------------------------------------- settings


def test_the_annotators_settings_are_searched_within_the_space(store, config):
    chosen, _, name, calls, _ = choose(
        store,
        config(),
        lambda s: searches.choose_annotator_settings(s, evaluations=80, proposer="random"),
        what="hyperparameters",
    )
    assert set(chosen.settings) == {"annotator.shared", "annotator.votes", "annotator.calibrate"}
    body = {key.partition(".")[2]: value for key, value in chosen.settings.items()}
    assert not searches.ANNOTATOR.problems(body)
    *_, more, _ = choose(
        store,
        config(),
        lambda s: searches.choose_annotator_settings(s, evaluations=80, proposer="random"),
        what="hyperparameters",
    )
    assert calls > 0
    assert more == 0
    assert last_result(store, name).rows[0].low is not None


def test_a_language_model_may_propose(store, config):
    offered = {"proposals": [{"shared": 4, "votes": 1, "calibrate": False}, {"shared": 5}]}

    def both(request):
        return json.dumps(offered) if "Propose" in request.messages[-1].content else reply(request)

    chosen, *_ = choose(
        store,
        config(),
        lambda s: searches.choose_annotator_settings(s, evaluations=80, proposer="llm"),
        models={"script": ScriptedModel(both, name="script")},
    )
    assert any("proposals of the language model could be used" in note for note in chosen.notes)


@pytest.mark.parametrize("what", ["hyperparameters", "architecture"])
def test_heads_are_searched_the_same_way_twice(store, config, what):
    def work(session):
        return searches.choose_head(session, what=what, proposer="mutation")

    first, usd, _, calls, _ = choose(store, config(), work, what=what)
    again, *_ = choose(store, config(), work, what=what)
    assert (usd, calls) == (0, 0)
    assert again.winners == first.winners
    assert first.rows[0].mean > 0.9
    if what == "architecture":
        assert not SPACE.problems(first.records[0])


def test_too_few_examples_to_train_on_are_refused(store, config, tmp_path):
    made = config()
    lines = (tmp_path / "pool.jsonl").read_text()
    (tmp_path / "pool.jsonl").write_text("\n".join(lines.splitlines()[:10]))
    with pytest.raises(InvalidInput, match="20 are needed"):
        choose(store, made, lambda s: searches.choose_head(s, what="architecture", proposer="grid"))


# ---------------------------------------------------------------- subsets


def examples(**options):
    async def work(session):
        return subsets.choose_examples(session, **options)

    return work


def test_examples_to_annotate_keep_to_number_or_money(store, config):
    chosen, *_ = choose(store, config(), examples(count=7, by_length=False), what="examples")
    assert len(set(chosen.winners)) == len(chosen.records) == 7
    assert set(chosen.records[0]) == {"id", "text", "usd"}
    paid, *_ = choose(store, config(), examples(count=None, by_length=True), what="examples")
    assert sum(row.usd for row in paid.rows) <= Decimal("0.5")
    free = config(budget={"human_label_usd": "0"})
    with pytest.raises(InvalidInput, match="--labels"):
        choose(store, free, examples(count=None, by_length=False))


@pytest.mark.parametrize("method", ["lure", "ase"])
def test_accuracy_is_estimated_from_few_labels(store, config, method):
    chosen, *_, calls, _ = choose(
        store,
        config(),
        lambda s: subsets.choose_evaluation(s, labels=30, method=method),
        what="evaluation",
    )
    by_name = {row.name.split()[0]: row for row in chosen.rows}
    truth = by_name["all"].mean
    assert calls == 60
    assert truth == pytest.approx(1 / 3)
    assert len(set(chosen.winners)) == 30
    best = by_name["weighted" if method == "lure" else "surrogate"]
    assert abs(best.mean - truth) < 0.25
    if method == "lure":
        assert best.low <= truth <= best.high


def test_more_labels_than_examples_are_refused(store, config):
    with pytest.raises(InvalidInput, match="from 2 to 60"):
        choose(store, config(), lambda s: subsets.choose_evaluation(s, labels=61, method="lure"))


def test_without_any_label_the_examples_to_label_are_drawn_and_answers_awaited(store, config):
    made = config(data={"gold": None})

    def work(method="lure", answers=None):
        return lambda s: subsets.choose_evaluation(s, labels=20, method=method, answers=answers)

    drawn, *_, calls, _ = choose(store, made, work(), what="evaluation")
    assert drawn.rows == ()
    assert {record["label"] for record in drawn.records} == {""}
    assert "--answers" in drawn.notes[0]
    said = {record["id"]: gold_of(record["text"]) for record in drawn.records}
    found, *_, more, _ = choose(store, made, work(answers=said), what="evaluation")
    assert (calls, more) == (60, 0)
    assert found.winners == drawn.winners
    row = found.rows[0]
    assert row.low <= 1 / 3 <= row.high
    with pytest.raises(InvalidInput, match="lacks a label for 19 of the 20"):
        choose(store, made, work(answers=dict(list(said.items())[:1])), what="evaluation")
    with pytest.raises(InvalidInput, match="Use lure"):
        choose(store, made, work("ase"), what="evaluation")


@pytest.mark.parametrize("what", ["prompt", "context", "hyperparameters", "evaluation"])
def test_what_is_stopped_at_once_has_chosen_nothing(store, config, what):
    pieces = [Piece(f"p{i}", passage=f"number {i} great") for i in range(5)]
    work = {
        "prompt": prompts(),
        "context": lambda s: labellers.choose_context(s, pieces, Terms(top=2)),
        "hyperparameters": lambda s: searches.choose_annotator_settings(
            s, evaluations=80, proposer="random"
        ),
        "evaluation": lambda s: subsets.choose_evaluation(s, labels=5, method="lure"),
    }[what]
    chosen, usd, _, calls, _ = choose(store, config(), work, what=what, stop=lambda: True)
    assert (chosen.status, chosen.winners, usd, calls) == ("paused", (), 0, 0)
    assert not chosen.settings
