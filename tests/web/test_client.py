"""The client: both say the same over one description; nothing of the server's is copied."""

import asyncio
import json
from collections import Counter
from contextlib import ExitStack
from decimal import Decimal
from threading import Thread

import httpx
import pytest
from tests_jobs_support import models, work
from tests_web_support import config_of, put_run, question, serving_desk

from querist.app.client import ApiError, AsyncClient, Client
from querist.app.client.asks import get
from querist.app.client.following import Following
from querist.app.client.routes import Routes
from querist.app.views.state.run_view import RunView
from querist.app.web.api.examples import Filters
from querist.app.web.inbox_view import ReplyBody
from querist.graph.config import stored_task
from querist.graph.jobs import read_request, submit
from querist.memory.answers import Choice
from querist.memory.events import Notice
from querist.memory.records import CallKey, Example, ExampleId, Label, RunId
from querist.memory.run.journal import Journal
from querist.memory.run.labelling import Labelling
from querist.memory.run.ledger import Bill, Ledger, Request
from querist.memory.run.mailbox import Mailbox
from querist.memory.run.pool import keep_dataset
from querist.memory.run.runs import Runs
from querist.memory.store import open_store
from querist.memory.workspace.caps import Caps
from querist.memory.workspace.lessons import Lesson, LessonKind, Lessons


@pytest.fixture
def client_of():
    with ExitStack() as opened:
        yield lambda server, token=None: opened.enter_context(
            Client(server.url, token or server.desk.owner_secret)
        )


def spend(store, *dollars, run="run"):
    ledger = Ledger(store, run)
    for number, usd in enumerate(dollars):
        [hold] = ledger.reserve([Request(CallKey(f"c{number}"), Decimal("0.5"), "annotator")])
        detail = {"input_tokens": 100, "output_tokens": 10}
        ledger.settle([Bill(hold, Decimal(usd), detail)])


def note(store, *texts, run="run"):
    journal = Journal(store, run)
    return [journal.event(Notice(text=text)).id for text in texts]


def test_what_is_read_is_of_the_apis_own_models(served, client_of):
    server = served(3)
    client = client_of(server)
    [line] = client.runs()
    view = client.run(line.id)
    assert isinstance(view, RunView)
    assert view.cap == Decimal(4)
    assert view.open_questions == 3
    assert client.rounds("run") == client.decisions("run") == client.jobs() == []
    assert client.me().role == "owner"


def test_a_link_is_as_good_as_an_address_with_a_token(served):
    server = served()
    with Client(server.link("vic", "viewer")) as client:
        assert client.me().name == "vic"
    with pytest.raises(ApiError, match="token is needed"):
        Client(server.url)
    with pytest.raises(ApiError, match="is no address"):
        Client("127.0.0.1:8765", "x")


def test_an_error_is_the_servers_own_words(served, client_of):
    server = served()
    client = client_of(server)
    with pytest.raises(ApiError) as error:
        client.run("nothing")
    assert (error.value.code, error.value.status) == ("not_found", 404)
    said = httpx.get(
        f"{server.url}/api/runs/nothing",
        headers={"Authorization": f"Bearer {server.desk.owner_secret}"},
    )
    assert str(error.value) == said.json()["error"]["message"]
    viewer = client_of(server, server.token("vic", "viewer"))
    with pytest.raises(ApiError, match="needs the role owner") as error:
        viewer.command("run", "stop")
    assert error.value.code == "forbidden"
    with pytest.raises(ApiError) as error:
        client_of(server, "wrong").runs()
    assert error.value.code == "log_in"


def test_where_nobody_answers_it_says_how_to_start_a_server(unused_port):
    url = f"http://127.0.0.1:{unused_port}"
    with Client(url, "x") as client, pytest.raises(ApiError, match="querist serve") as error:
        client.runs()
    assert error.value.code == "unreachable"
    assert error.value.status is None


def test_an_answer_of_another_version_is_no_traceback(served, client_of):
    client = client_of(served())
    with pytest.raises(ApiError, match="another version"):
        client.send(get(RunView, "runs"))


def test_under_one_key_it_is_one_command_and_its_end_is_told(served, client_of):
    server = served()
    client = client_of(server)
    first = client.command("run", "budget", {"usd": "9"}, key="k")
    assert client.command("run", "budget", {"usd": "9"}, key="k") == first
    assert client.command("run", "budget", {"usd": "9"}, key="l") != first
    assert len(client.commands("run")) == 2
    assert client.wait_for_command("run", first.id, seconds=0).status == "queued"

    mailbox = Mailbox(server.store, "run")
    taking = Thread(
        target=lambda: mailbox.close(mailbox.queued()[0], status="done", result="9 USD now")
    )
    taking.start()
    done = client.wait_for_command("run", first.id)
    taking.join()
    assert (done.status, done.result) == ("done", "9 USD now")
    with pytest.raises(ApiError, match="no command 99"):
        client.wait_for_command("run", 99)


def test_a_chat_by_both_clients(served, client_of):
    server = served()
    client = client_of(server)
    _, offer = client.say("run", "/budget 9")
    assert offer.proposal.stage == "open"
    assert client.complete("run", "/bud") == ["/budget"]

    async def decide():
        async with AsyncClient(server.url, server.desk.owner_secret) as other:
            return await other.decide("run", offer.id, "edit", arguments={"usd": "8"})

    assert asyncio.run(decide()).proposal.state == "edited"
    assert [command.arguments for command in client.commands("run")] == [{"usd": "8"}]
    assert client.messages("run", after=offer.id) == []


def test_a_jobs_decisions_come_a_page_of_waves_at_a_time(served, client_of):
    server = served()
    job = work(server.store, given=models(hits=0.1), rows=60, patience=400)
    client = client_of(server, server.token("vic", "viewer"))
    made = Journal(server.store, job.run).decisions()
    waves = sorted({decision.round for decision in made}, reverse=True)
    path = f"{server.url}/api/jobs/{job.id}/decisions"
    headers = server.headers("vic", "viewer")
    page = httpx.get(f"{path}?waves=3", headers=headers).json()
    assert sorted({one["round"] for one in page["decisions"]}, reverse=True) == waves[:3]
    page = httpx.get(f"{path}?waves=3&before={page['next']}", headers=headers).json()
    assert sorted({one["round"] for one in page["decisions"]}, reverse=True) == waves[3:6]
    assert httpx.get(f"{path}?before={waves[-1]}", headers=headers).json() == {
        "decisions": [],
        "next": None,
    }
    client = client_of(server)
    told = list(client.job_decisions(job.id))
    assert len(waves) > 10
    assert [one.round for one in told] == sorted((one.round for one in told), reverse=True)
    assert Counter((one.round, one.agent, one.reason) for one in told) == Counter(
        (decision.round, decision.agent, decision.reason) for decision in made
    )
    first = [one for one in told if one.round == 1]
    assert [one.turn for one in first] == sorted(one.turn for one in first)
    with pytest.raises(ApiError, match="No single job"):
        list(client.job_decisions("nothing"))

    async def read():
        async with AsyncClient(server.url, server.desk.owner_secret) as other:
            return [one async for one in other.job_decisions(job.id)]

    assert asyncio.run(read()) == told


def test_questions_are_claimed_answered_and_counted(served, client_of):
    server = served(130)
    client = client_of(server, server.token("ann"))
    mine = client.claim("run", count=2).questions
    said = [ReplyBody(client_id="c1", question=mine[0].id, answer="bug")]
    assert client.answer("run", said) == client.answer("run", said)
    assert client.release("run", [mine[1].id]) is None
    assert client.inbox("run").today == 1
    assert len(list(client.questions("run", status="open"))) == 129
    [done] = client.questions("run", status="answered")
    assert done.answer == "bug"


def test_examples_come_in_pages_and_each_once(served, client_of):
    server = served()
    examples = [
        Example(ExampleId(f"e/{number}"), {"text": f"text {number}"}) for number in range(25)
    ]
    keep_dataset(server.store, "d", examples, name="pool")
    client = client_of(server)
    found = list(client.examples("run", Filters(limit=10)))
    assert [example.id for example in found] == [example.id for example in examples]
    assert [example.id for example in client.examples("run", Filters(q="text 7"))] == ["e/7"]
    assert client.count_examples("run", Filters(q="text 1")).count == 11
    assert client.provenance("run", "e/7").fields == {"text": "text 7"}

    async def read():
        async with AsyncClient(server.url, server.desk.owner_secret) as other:
            return [example async for example in other.examples("run", Filters(limit=7))]

    assert asyncio.run(read()) == found


def test_money_is_told_in_sum_and_line_by_line(served, client_of):
    server = served()
    spend(server.store, "0.1", "0.2", "0.3")
    Caps(server.store).put("day", Decimal(2), who="ann")
    client = client_of(server)
    told = client.spend("run")
    assert [(cap.name, cap.remaining) for cap in told.caps] == [("day", Decimal("1.4"))]
    assert client.put_cap("day", Decimal(3)) == client.caps()
    assert [(cap.name, cap.remaining) for cap in client.caps()] == [("day", Decimal("2.4"))]
    with pytest.raises(ApiError, match="owner"):
        client_of(server, server.token("vera", "viewer")).put_cap("day", None)
    assert client.put_cap("day", None) == []
    assert told.settled == Decimal("0.6")
    assert told.remaining == Decimal("3.4")
    assert [(line.agent, line.usd) for line in told.by_agent] == [("annotator", Decimal("0.6"))]
    assert [(t.agent, t.input, t.output) for t in told.tokens] == [("annotator", 300, 30)]
    lines = list(client.spend_lines("run"))
    assert sum(line.amount for line in lines if line.entry == "settle") == told.settled
    assert len({line.id for line in lines}) == 6
    headers = {"Authorization": f"Bearer {server.desk.owner_secret}"}
    url = f"{server.url}/api/runs/run/spend/lines"
    page = httpx.get(url, params={"limit": 4}, headers=headers).json()
    rest = httpx.get(url, params={"limit": 4, "after": page["next"]}, headers=headers).json()
    assert [line["id"] for line in page["lines"] + rest["lines"]] == [line.id for line in lines]
    assert rest["next"] is None


def test_lessons_are_told_by_state_and_run(served, client_of):
    server = served()
    task = stored_task(config_of().model_dump(mode="json"))
    Lessons(server.store).add(
        Lesson("g1", LessonKind.GUIDELINE, task, "Late refunds are billing.", "proposed",
               RunId("run"), 1, "llm:m")
    )  # fmt: skip
    client = client_of(server)
    [lesson] = client.lessons()
    assert (lesson.id, lesson.text, lesson.labels) == (
        "g1", "Late refunds are billing.", ["billing", "bug", "praise"],
    )  # fmt: skip
    assert client.lessons(state="active") == client.lessons(run="other") == []
    assert client.lessons(kind=LessonKind.GUIDELINE, run="run") == [lesson]


def test_people_are_invited_and_shut_out(served, client_of):
    server = served()
    client = client_of(server)
    invited = client.invite("ann b/c", "viewer")
    with Client(server.url + invited.path) as other:
        assert other.me().name == "ann b/c"
        client.revoke("ann b/c")
        with pytest.raises(ApiError):
            other.me()
    assert [person.revoked for person in client.people() if person.name == "ann b/c"] == [True]


def test_a_file_is_handed_in_and_quoted_and_one_is_taken_away(served, client_of, tmp_path):
    server = served()
    client = client_of(server)
    pool = tmp_path / "pool.jsonl"
    pool.write_text('{"text": "the tap drips"}\n' * 3)
    seen = client.upload(pool)
    assert seen.columns == ["text"]

    async def again():
        async with AsyncClient(server.url, server.desk.owner_secret) as other:
            return await other.upload(pool, name="again.jsonl")

    assert asyncio.run(again()).rows == seen.rows
    with pytest.raises(ApiError, match="no format"):
        client.export("run", tmp_path / "labels")
    target = tmp_path / "labels.csv"
    with pytest.raises(ApiError):
        client.export("run", target)  # a run without a pool has nothing to write
    assert not target.exists()
    assert list(tmp_path.glob("*.part")) == []


def test_a_quote_reads_what_people_labelled_in_a_run(served, client_of):
    server = served()
    client = client_of(server)

    def quote(run="run"):
        task = {"name": "t", "labels": {"bug": "", "praise": ""}}
        priced = {"openai:writer": {"input": 1, "output": 2}}
        models = {"generator": "openai:writer", "base_url": "http://127.0.0.1:9/v1"}
        request = {"kind": "create", "rows": 8, "task": task, "seeds": {"run": run}}
        return client.quote_job(request | {"models": models, "prices": priced})

    long = "it crashes when I open the settings " * 40
    texts = {"e0": long, "e1": "how nice"}
    examples = [Example(ExampleId(name), {"text": text}) for name, text in texts.items()]
    keep_dataset(server.store, "d", examples, name="p")
    with pytest.raises(ApiError, match=r"^seeds\.run: people have labelled nothing in run"):
        quote()
    with pytest.raises(ApiError, match=r"^seeds\.run: No single run is called 'gone'") as error:
        quote("gone")
    assert error.value.code == "not_found"
    lease = Runs(server.store).take(RunId("run"))
    labels = [
        Label(ExampleId(name), Choice(label), "human", "human:ann", 1.0, 1.0, 0)
        for name, label in (("e0", "bug"), ("e1", "praise"))
    ]
    Labelling(server.store, "run", lease=lease).relabel(labels)
    Runs(server.store).give_up(lease)
    told = quote()
    assert "run: 2 seeds that people labelled." in told.told
    # Five calls of four rows, one of which is shown the long text at least.
    tokens = int(told.lines[0][1].split(", ")[1].split()[0].replace(",", ""))
    assert tokens > 5 * len(long) // 8


def test_labels_are_taken_home_whole(served, client_of, tmp_path):
    server = served()
    keep_dataset(server.store, "d", [Example(ExampleId("e0"), {"text": "it crashes"})], name="p")
    lease = Runs(server.store).take(RunId("run"))
    label = Label(ExampleId("e0"), Choice("bug"), "human", "human:ann", 1.0, 1.0, 0)
    Labelling(server.store, "run", lease=lease).relabel([label])
    Runs(server.store).give_up(lease)
    target = tmp_path / "labels.jsonl"
    assert client_of(server).export("run", target) == target
    first = target.read_bytes()
    assert json.loads(first)["label"] == "bug"

    async def again():
        async with AsyncClient(server.url, server.desk.owner_secret) as other:
            return await other.export("run", tmp_path / "again", form="jsonl")

    assert asyncio.run(again()).read_bytes() == first


def test_following_begins_after_an_event_and_goes_on(served, client_of):
    server = served()
    ids = note(server.store, "one", "two", "three")
    events = client_of(server).follow("run", after=ids[0])
    assert [next(events).id, next(events).id] == ids[1:]
    [four] = note(server.store, "four")
    event = next(events)
    assert (event.id, event.kind, event.data["text"]) == (four, "notice", "four")
    events.close()
    with pytest.raises(ApiError) as error:
        next(client_of(server).follow("nothing"))
    assert error.value.code == "not_found"


def test_following_outlives_a_server_and_misses_and_repeats_nothing(tmp_path, unused_port):
    with open_store(tmp_path / "work") as store:
        put_run(store)
        first = note(store, "one", "two")
        with serving_desk(store, port=unused_port) as server:
            token = server.token("vic", "viewer")
            client = Client(server.url, token)
            events = client.follow("run")
            seen = [next(events).id for _ in first]
        between = note(store, "while nobody served")
        with serving_desk(store, port=unused_port):
            seen += [next(events).id]
            after = note(store, "served again")
            seen += [next(events).id]
        client.close()
    assert seen == [*first, *between, *after]


def test_following_awaits_over_a_restart_too(tmp_path, unused_port):
    async def follow(store):
        with serving_desk(store, port=unused_port) as server:
            token = server.token("vic", "viewer")
            client = AsyncClient(server.url, token)
            events = client.follow("run")
            seen = [(await anext(events)).id]
        note(store, "two")
        with serving_desk(store, port=unused_port):
            seen.append((await anext(events)).id)
            await events.aclose()
            await client.close()
        return seen

    with open_store(tmp_path / "work") as store:
        put_run(store)
        [one] = note(store, "one")
        assert asyncio.run(follow(store)) == [one, one + 1]


def test_a_stream_is_read_as_the_standard_says():
    following = Following("run", 0, 1.0)
    lines = ["retry: 20", "", ": still here", "", "id: 7", 'data: {"kind": "notice",',
             'data: "at": "2026-01-01T00:00:00Z", "data": {}}']  # fmt: skip
    assert [following.feed(line) for line in lines] == [None] * len(lines)
    assert following.seen == 0
    assert following.feed("").id == 7
    assert following.headers["Last-Event-ID"] == "7"
    assert following.wait(None, 0.0) == 0.02
    gone = ApiError("unreachable", "gone")
    assert following.wait(gone, 0.5) == 0.02
    with pytest.raises(ApiError, match="gone"):
        following.wait(gone, 2.0)


def test_every_route_of_the_api_has_a_method(served):
    """A route that is added without a method is noticed here."""
    paths = httpx.get(f"{served().url}/api/openapi.json").json()["paths"]
    asked = [name for name in dir(Routes) if not name.startswith("_")]
    elsewhere = {
        "/api/openapi.json", "/api/runs/{run}/stream", "/api/runs/{run}/chat/stream",
        "/api/runs/{run}/charts/curve.svg",
        "/api/runs/{run}/charts/spend.svg", "/api/runs/{run}/charts/classes.svg",
    }  # fmt: skip
    count = sum(len(methods) for path, methods in paths.items() if path not in elsewhere)
    assert len(asked) == count + 1  # and to wait for a command


def test_what_is_known_is_not_sent_again(served):
    server = served(2)
    headers = {"Authorization": f"Bearer {server.desk.owner_secret}"}
    url = f"{server.url}/api/runs/run/inbox/questions"
    first = httpx.get(url, headers=headers)
    tag = first.headers["etag"]
    assert tag.startswith('W/"')
    for known in (tag, tag.removeprefix("W/"), f'"other", {tag}', "*"):
        again = httpx.get(url, headers={**headers, "If-None-Match": known})
        assert (again.status_code, again.content) == (304, b"")
        assert again.headers["etag"] == tag
        assert again.headers["x-content-type-options"] == "nosniff"
    server.inbox().ask([question(9)])
    changed = httpx.get(url, headers={**headers, "If-None-Match": tag})
    assert changed.status_code == 200
    assert changed.headers["etag"] != tag
    assert "etag" not in httpx.get(f"{server.url}/api/runs/nothing", headers=headers).headers
    assert httpx.get(url, headers={"If-None-Match": tag}).status_code == 401
    assert "etag" not in httpx.get(f"{server.url}/", headers=headers).headers


def test_a_label_job_gets_more_rows_from_an_upload(served, client_of, tmp_path):
    server = served()
    for name, texts in (("pool", ["the tap drips"]), ("more", ["the tap drips", "no light"])):
        rows = "\n".join(json.dumps({"text": text}) for text in texts)
        (tmp_path / f"{name}.jsonl").write_text(rows)
    config = {
        "task": {"name": "tenants", "labels": ["a", "b"]},
        "data": {"pool": str(tmp_path / "pool.jsonl"), "embedder": "hashing"},
        "people": {"kind": "none"},
    }
    job = submit(read_request({"kind": "label", "config": config}, source="test"), server.store)
    client = client_of(server)
    upload = client.upload(tmp_path / "more.jsonl")
    said = client.extend_job(job.id, rows=upload.file, usd=Decimal(3), rounds=9)
    assert said.told[-1] == "1 new row; left out: 1 in the pool already."
    assert client.job(job.id).cap == 3
    assert client.count_examples(job.run).count == 2
    with pytest.raises(ApiError, match="no uploaded file"):
        client.extend_job(job.id, rows="/etc/passwd")
