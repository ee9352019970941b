"""Create jobs end to end: what is asked for is delivered, told and paid for once."""

import asyncio
import json
from collections import Counter
from decimal import Decimal
from pathlib import Path

import pytest
import sqlalchemy as sa
from tests_jobs_support import CHECKER, WRITER, body, checked, models, request, work

from querist.agents.models.providers.scripted import ScriptedModel
from querist.graph import jobs
from querist.memory import schema
from querist.memory.errors import InvalidInput, ModelRefused
from querist.memory.records import JobStatus
from querist.memory.run.journal import Journal
from querist.memory.run.ledger import Ledger
from querist.memory.store import open_store
from querist.memory.workspace.jobs import Jobs

SUPPORT = Path(__file__).parents[1] / "tests_jobs_support.py"


@pytest.fixture
def store(tmp_path):
    with open_store(tmp_path / "work") as store:
        yield store


def always(text):
    return models() | {WRITER: ScriptedModel(lambda _: text, name=WRITER, in_flight=4)}


def test_as_many_rows_as_were_asked_for_are_delivered_in_the_shares_asked_for(store):
    job = work(store, rows=20, shares={"good": 0.75, "bad": 0.25})
    assert job.status is JobStatus.DONE
    assert job.result["rows"] == 20
    rows = jobs.rows_of(store, job)
    assert Counter(row.label for row in rows) == {"good": 15, "bad": 5}
    assert all(row.text.startswith(row.label) for row in rows), "the checker let no other pass"
    everything = jobs.rows_of(store, job, rejected=True)
    assert Counter(row.gate for row in everything)["label_check"] > 0
    balance = Ledger(store, job.run).balance()
    spent = sum(row.usd for row in everything)
    # The check of the checker's own bias is no row's.
    assert balance.settled * Decimal("0.8") < spent <= balance.settled
    assert balance.reserved == 0


def test_rows_go_out_with_where_they_are_from_in_every_format(store, tmp_path):
    job = work(store)
    files = {name: tmp_path / f"rows.{name}" for name in ("jsonl", "csv", "parquet")}
    for form, path in (*files.items(), ("hf", tmp_path / "folder")):
        assert jobs.write_result(store, job, path, format=form) == 12
    first = json.loads(files["jsonl"].read_text().splitlines()[0])
    assert first["method"] == "conditioned"
    assert first["scores"]["label_check"] > 0.5
    assert first["prompt_version"]
    assert Decimal(first["usd"]) > 0
    card = (tmp_path / "rows.card.md").read_text()
    assert "12 rows of 12" in card
    assert "`label_check`" in card
    assert "USD an accepted row" in card
    assert (tmp_path / "folder" / "README.md").exists()
    delivered = store.folder / "runs" / job.run / "result"
    assert len((delivered / "rows.jsonl").read_text().splitlines()) == 12
    assert "All 12 rows are there" in (delivered / "CARD.md").read_text()


def test_free_records_satisfy_their_schema_and_rest_on_quoted_passages(store, tmp_path):
    passages = tmp_path / "rules.txt"
    passages.write_text("The office is open from nine to five. Rent is due on the third.")
    schema = {
        "type": "object",
        "properties": {"question": {"type": "string"}, "answer": {"type": "string"}},
        "required": ["question", "answer"],
        "additionalProperties": False,
    }
    number = 0

    def write(_):
        nonlocal number
        number += 1
        good = {"question": f"when is rent due, {number}?", "answer": "the third"}
        rows = [
            good | {"quote": "Rent is due on the third."},
            good | {"quote": "Rent is due on the fourth."},
            {"question": "no answer", "quote": "Rent is due on the third."},
        ]
        return json.dumps({"rows": rows})

    given = {WRITER: ScriptedModel(write, name=WRITER, in_flight=4)}
    job = work(
        store,
        given=given,
        rows=5,
        task=None,
        record={"schema": schema},
        seeds={"passages": str(passages)},
        methods=["from_passage"],
        gates=["schema", "quoted", "exact"],
    )
    rows = jobs.rows_of(store, job)
    assert len(rows) == 5
    assert all(row.evidence == "Rent is due on the third." for row in rows)
    assert all(row.parents[0].startswith("passage-") for row in rows)
    gates = Counter(row.gate for row in jobs.rows_of(store, job, rejected=True))
    assert gates["schema"]
    assert gates["quoted"]


def test_attributes_are_covered_in_their_shares_and_seeds_are_parents(store, tmp_path):
    seeds = tmp_path / "seeds.jsonl"
    lines = [{"text": f"{name} seed {n}", "y": name} for name in ("good", "bad") for n in range(5)]
    seeds.write_text("\n".join(map(json.dumps, lines)))
    prompts = []

    def write(asked):
        prompts.append(asked.messages)
        label = "good" if "class good" in asked.messages[-1].content else "bad"
        rows = [f"{label} {len(prompts)} {n} {hash(str(asked)) % 997}" for n in range(4)]
        return json.dumps({"texts": rows})

    job = work(
        store,
        given=models() | {WRITER: ScriptedModel(write, name=WRITER, in_flight=4)},
        rows=20,
        seeds={"file": str(seeds), "text": "text", "label": "y"},
        attributes={"tone": {"values": ["polite", "angry"], "shares": [0.7, 0.3]}},
    )
    rows = jobs.rows_of(store, job)
    assert Counter(row.attributes["tone"] for row in rows) == {"polite": 14, "angry": 6}
    assert all(row.parents for row in rows)
    assert any("Each must have tone: angry" in turns[-1].content for turns in prompts)


def test_reasons_of_rejections_go_into_the_next_prompts(store):
    prompts = []

    def write(asked):
        prompts.append(asked.messages[-1].content)
        return json.dumps({"texts": [f"good {len(prompts)} {n}" for n in range(3)] + ["x" * 2000]})

    given = models() | {WRITER: ScriptedModel(write, name=WRITER, in_flight=1)}
    work(store, given=given, rows=30, task={"labels": ["good", "bad"]}, shares={"good": 1.0})
    assert "Avoid" not in prompts[0]
    assert "Avoid: too long: 2000 characters" in prompts[-1]


def test_a_cut_off_reply_gives_the_rows_that_are_whole(store):
    job = work(
        store,
        given=always('{"texts": ["good one two three", "good four five six", "good sev'),
        rows=2,
        shares={"good": 1.0},
    )
    assert job.result["rows"] == 2


# ------------------------------------------------------------ ends


def test_the_cap_is_never_passed_and_what_is_there_is_delivered(store):
    job = work(store, rows=500, budget={"usd": "0.02"})
    assert job.status is JobStatus.DONE
    assert job.result["stop"] == "cap"
    balance = Ledger(store, job.run).balance()
    assert balance.settled <= balance.cap
    assert 0 < job.result["rows"] < 500
    assert len(jobs.rows_of(store, job)) == job.result["rows"]


def test_more_money_lets_a_job_go_on_where_it_stopped(store):
    job = work(store, rows=40, budget={"usd": "0.02"})
    before = [row.id for row in jobs.rows_of(store, job)]
    Ledger(store, job.run).set_cap(Decimal(1))
    Jobs(store).resume(job.id)
    asyncio.run(jobs.Worker(store, models=models()).work_off())
    ended = Jobs(store).get(job.id)
    after = [row.id for row in jobs.rows_of(store, job)]
    assert ended.result["stop"] == "rows"
    assert len(after) == 40
    # Rows that no gate had looked at are accepted in their places.
    assert [name for name in after if name in before] == before


def test_a_gate_that_rejects_everything_ends_the_job_early_and_says_what_to_loosen(store):
    job = work(store, gates=["schema", "length(least=5000, most=6000)"], rows=1000)
    assert job.status is JobStatus.FAILED
    assert "length rejected" in job.reason
    assert "length(least=1, most=10000)" in job.reason
    assert len(jobs.rows_of(store, job, rejected=True)) < 60


def test_a_schema_that_no_model_meets_and_replies_that_hold_nothing_end_early(store):
    impossible = {"type": "object", "properties": {"n": {"type": "integer", "minimum": 5}}}
    record = {"schema": impossible | {"required": ["n"]}}
    job = work(
        store, given=always('{"rows": [{"n": 1}]}'), task=None, record=record, gates=["schema"]
    )
    assert job.status is JobStatus.FAILED
    assert "The gate schema rejected" in job.reason
    assert "relax the schema" in job.reason
    job = work(store, given=always("I would rather not."))
    assert "replies held no rows that can be read" in job.reason


def test_a_writer_that_has_nothing_new_to_say_ends_as_saturated_with_its_curve(store):
    texts = [f"good thing number {n}" for n in range(4)]
    job = work(store, given=always(json.dumps({"texts": texts})), shares={"good": 1.0}, rows=50)
    assert job.status is JobStatus.DONE
    assert job.result["stop"] == "saturated"
    assert job.result["rows"] == 4
    curve = [account.detail["new"] for account in Journal(store, job.run).rounds()]
    assert curve[0] > curve[-1] == 0


def test_a_deadline_ends_a_job_with_what_is_there(store):
    job = work(store, minutes=1e-9)
    assert job.result["stop"] == "deadline"
    assert job.status is JobStatus.FAILED, "not a row was there"


def test_a_checker_that_fails_fails_the_job_instead_of_paying_the_writer_for_ever(store):
    def fail(_):
        raise ModelRefused("The key is wrong.")

    given = models() | {CHECKER: ScriptedModel(fail, name=CHECKER)}
    job = work(store, given=given)
    assert job.status is JobStatus.FAILED
    assert "The key is wrong" in job.reason


# ------------------------------------------------------------ crashes


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"shares": {"good": 0.7, "bad": 0.7}}, "shares must add up to 1, and 0.7 \\+ 0.7 = 1.4"),
        ({"shares": {"great": 1.0}}, "great.*no labels of the task"),
        ({"attributes": {"tone": {"values": ["a", "b"], "shares": [1.0]}}}, "2 values have 1"),
        ({"attributes": {"tone": {"values": ["a", "a"]}}}, "a value is named twice"),
        ({"attributes": {"label": {"values": ["a"]}}}, "no attribute can be called label"),
        (
            {"attributes": {"tone": {"values": ["a", "b"]}}, "never": [{"tone": "a"}]},
            "tone = 'a' is to be written, but never excludes every combination",
        ),
        ({"methods": ["paraphrase"]}, "paraphrase works on seeds: name them in seeds.file"),
        ({"methods": ["from_passage"]}, "from_passage needs a text in seeds.passages"),
        ({"methods": ["conditionned"]}, "Did you mean conditioned"),
        ({"gates": ["length(least=9, most=3)"]}, "least = 9 is above most = 3"),
        ({"gates": ["regex(pattern='(')"]}, "is no regular expression"),
        ({"gates": ["sql(dialect='klingon')"]}, "klingon"),
        ({"gates": ["contamination"]}, "needs files to compare with: tests"),
        ({"rows": 0}, "rows = 0"),
        ({"record": {"schema": {"type": "object", "properties": {}}}, "task": None}, "properties"),
        (
            {
                "record": {"schema": {"type": "object", "properties": {"a": {"type": "odd"}}}},
                "task": None,
                "gates": ["schema"],
            },
            "no JSON schema",
        ),
        ({"record": None, "task": None}, "either .task. with labels, or .record."),
        ({"webhook": {"url": "ftp://x"}}, "a webhook is an http"),
        ({"kind": "make"}, 'kind must be "label" or "create"'),
        ({"color": "red"}, "color = 'red': there is no such key"),
    ],
)
def test_what_cannot_be_is_refused_with_one_clear_message(changes, words):
    with pytest.raises(InvalidInput, match=words) as refused:
        request(**changes)
    assert "the test" in str(refused.value)
    assert len(str(refused.value)) < 700


def test_a_writer_does_not_check_itself_unasked(store):
    alone = body()["models"] | {"checker": None}
    with pytest.raises(InvalidInput, match=r"Name another one than the writer"):
        jobs.submit(request(models=alone), store)
    assert not Jobs(store).all()


def test_seeds_and_documents_that_cannot_serve_are_refused(store, tmp_path):
    seeds = tmp_path / "seeds.jsonl"
    seeds.write_text(json.dumps({"text": "good thing", "y": "good"}))
    with pytest.raises(InvalidInput, match="no seed has the label bad"):
        jobs.submit(request(seeds={"file": str(seeds), "label": "y"}), store)
    # Of a class that no rows are wanted of, none are needed.
    given = {"seeds": {"file": str(seeds), "label": "y"}, "shares": {"good": 1.0}}
    assert jobs.submit(request(**given), store).run
    huge = tmp_path / "huge.txt"
    with huge.open("wb") as file:
        file.truncate(1_000_000_000)
    given = {"seeds": {"passages": str(huge)}, "methods": ["from_passage"]}
    with pytest.raises(InvalidInput, match="holds 1,000 MB of text, and at most 64 MB"):
        jobs.submit(request(**given), store)


def test_a_quote_counts_the_people_who_look_at_a_sample():
    alone = jobs.quote_create(request(rows=200, budget={"usd": "100"}))
    seen = jobs.quote_create(
        request(rows=200, budget={"usd": "100", "human_label_usd": "0.1"}, people={"sample": 40})
    )
    assert seen.people == Decimal("4.0")
    assert seen.forecast == alone.forecast + Decimal("4.0")
    # Their money is set aside first, so with little more than that few rows can be paid for.
    short = jobs.quote_create(
        request(rows=200, budget={"usd": "4.1", "human_label_usd": "0.1"}, people={"sample": 40})
    )
    assert short.affordable == int(200 * Decimal("0.1") / alone.forecast)


def test_a_quote_of_ten_million_rows_says_what_they_would_take():
    found = jobs.quote_create(request(rows=10_000_000))
    assert found.writer_calls == 6_250_000
    assert found.forecast > 1000
    assert found.affordable < 10_000
    assert found.seconds > 24 * 3600


def test_the_same_key_is_one_job_and_nothing_is_imported_twice(store):
    first = jobs.submit(request(), store, key="monday")
    assert jobs.submit(request(), store, key="monday").id == first.id
    with pytest.raises(InvalidInput, match="asks for something else"):
        jobs.submit(request(rows=13), store, key="monday")
    assert len(Jobs(store).all()) == 1


def test_a_key_of_an_earlier_version_is_still_that_of_its_job(store):
    first = jobs.submit(request(), store, key="monday")
    kept = {name: value for name, value in first.request.items() if name not in ("minds", "bounds")}
    with store.write() as connection:
        # As it was: fewer keys, and all of them compared.
        changed = sa.update(schema.jobs).values(request=kept, digest="of all keys")
        connection.execute(changed.where(schema.jobs.c.id == first.id))
    assert jobs.submit(request(), store, key="monday").id == first.id
    with pytest.raises(InvalidInput, match="asks for something else"):
        jobs.submit(request(rows=13), store, key="monday")


def test_the_scripted_checker_is_the_truth():
    from querist.agents.models.port import ChatRequest, Message

    asked = ChatRequest((Message("user", "a bad thing"),), 4, choices=("good", "bad"))
    assert checked(asked)["bad"] == 0.9
