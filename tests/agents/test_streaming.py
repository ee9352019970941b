"""Replies that come in pieces: what is heard, what is paid, and endpoints that do it otherwise."""

import asyncio
import json
import time
from decimal import Decimal

import pytest

from querist.agents.models.catalogue import ModelAccess, open_model
from querist.agents.models.metered import MeteredModel
from querist.agents.models.pacing import Patience
from querist.agents.models.port import ChatReply, ChatRequest, Message, ToolOffer, Usage
from querist.agents.models.providers.scripted import ScriptedModel
from querist.agents.models.reading import read_begun
from querist.evals.mock_minds import Script
from querist.evals.mock_server import Behaviour, serving
from querist.memory.errors import ModelError
from querist.memory.records import LabelClass, RunId, Task
from querist.memory.run.ledger import Ledger
from querist.memory.run.runs import Runs
from querist.memory.store import open_store
from querist.tools.money.prices import Price

TASK = Task("t", "classification", (LabelClass("good"), LabelClass("bad")))
PRICE = Price(Decimal(1), Decimal(10))
WORDS = "Twenty texts wait for people: café, naïve, 木, 🙂. Nothing was spent since noon."
ANSWER = ToolOffer("Answer", "", {"type": "object", "properties": {"text": {"type": "string"}}})
REQUEST = ChatRequest((Message("user", "How is it?"),), 200, tools=(ANSWER,))


@pytest.fixture
def ledger(tmp_path):
    with open_store(tmp_path / "work") as store:
        run = RunId("run")
        Runs(store).create(run, task=TASK, dataset="d", config={}, cap=Decimal(1))
        yield Ledger(store, run, lease=Runs(store).take(run))


@pytest.fixture
def server():
    with serving() as served:
        yield served


@pytest.fixture
def ask(ledger, server, tmp_path):
    """Ask an endpoint of a manner; tell what came, what was heard and when, and what was told."""

    def asked(manner="", *, pace=0.0, until=None, request=REQUEST, says=WORDS):
        heard, told = [], []
        mind = Script((("Answer", {"text": says}),))

        def hear(draft):
            heard.append((time.monotonic(), draft))
            return until is None or len(heard) < until

        async def work():
            model = open_model("openai:mock", access)
            metered = MeteredModel(
                model,
                price=PRICE,
                ledger=ledger,
                agent="supervisor",
                patience=Patience(total=2.0, first=0.02),
            )
            try:
                return await metered.complete(request, on_draft=hear)
            except ModelError as error:
                return error
            finally:
                await model.aclose()

        server.behaviour = Behaviour(manner=manner, pace=pace, mind=mind)
        access = ModelAccess(
            cache=tmp_path,
            base_url=server.base_url,
            api_key="k",
            timeout=5.0,
            tell=told.append,
        )
        came = asyncio.run(work())
        return came, heard, told

    return asked


def said(draft_or_reply):
    return read_begun(draft_or_reply.uses[0].arguments, "text") if draft_or_reply.uses else ""


def test_a_call_of_a_tool_is_heard_long_before_its_end(ask, ledger, server):
    came, heard, _ = ask(pace=0.02)
    assert said(came.reply) == WORDS
    texts = [said(draft) for _, draft in heard]
    assert all(WORDS.startswith(text) for text in texts)
    assert texts == sorted(texts, key=len)
    first = next(moment for moment, draft in heard if said(draft))
    assert heard[-1][0] - first > 0.15
    assert not came.reply.usage.estimated
    assert came.reply.usage.output_tokens == server.counts.completion_tokens
    assert ledger.balance().settled == came.usd > 0
    assert ledger.balance().reserved == 0


def test_text_comes_in_pieces_without_the_thoughts(ask):
    plain = ChatRequest((Message("user", "Say something."),), 200)
    came, heard, _ = ask("think", request=plain)
    assert len(heard) > 3
    assert not any("think" in draft.text or "Let me" in draft.text for _, draft in heard)
    assert heard[-1][1].text == came.reply.text


def test_stopping_in_the_middle_pays_for_what_came_and_is_never_replayed(ask, ledger):
    came, _, _ = ask(pace=0.02, until=6)
    assert came.reply.finish == "stopped"
    assert came.reply.usage.estimated
    assert 0 < came.reply.usage.output_tokens < 120
    assert ledger.balance().settled == came.usd > 0
    assert ledger.balance().reserved == 0
    whole, *_ = ask()
    assert said(whole.reply) == WORDS
    assert not whole.reply.replayed


def test_a_replay_gives_the_whole_at_once_and_costs_nothing(ask, ledger, server):
    ask()
    spent = ledger.balance().settled
    came, heard, _ = ask()
    assert came.reply.replayed
    assert [said(draft) for _, draft in heard] == [WORDS]
    assert server.counts.requests == 1
    assert ledger.balance().settled == spent


@pytest.mark.parametrize(
    ("manner", "lesson"),
    [
        ("ignores_stream", ""),
        ("no_stream", "answers come whole"),
        ("no_stream_options", "no stream_options"),
    ],
)
def test_endpoints_that_stream_otherwise_or_not_at_all_are_heard_too(ask, manner, lesson):
    came, heard, told = ask(manner)
    assert said(came.reply) == WORDS
    assert said(heard[-1][1]) == WORDS
    assert lesson in " ".join(told)


@pytest.mark.parametrize("manner", ["no_usage", "no_stream_options"])
def test_a_usage_that_is_missing_is_charged_at_the_most(ask, manner, ledger):
    came, _, told = ask(manner)
    assert came.reply.usage.estimated
    assert came.reply.usage.output_tokens == 200
    assert "does not say what it used" in " ".join(told)
    assert ledger.balance().reserved == 0


def test_one_that_breaks_off_is_asked_once_more_and_may_have_been_billed(ask, ledger, server):
    came, heard, _ = ask("breaks_stream")
    assert isinstance(came, ModelError)
    assert "broke off" in str(came)
    assert server.counts.requests == 2
    lengths = [len(said(draft)) for _, draft in heard]
    assert lengths != sorted(lengths)  # the second attempt begins anew
    assert ledger.balance().reserved == 0
    assert ledger.balance().settled > 0


def test_letters_that_are_none_do_no_harm(ask):
    came, _, _ = ask("invalid_utf8")
    assert said(came.reply) == WORDS.replace("é", "\N{REPLACEMENT CHARACTER}")


def test_a_process_that_is_killed_leaves_the_money_in_doubt(ledger):
    async def work():
        model = ScriptedModel(lambda _: ChatReply("late", Usage(9, 9)), delay=5.0)
        metered = MeteredModel(model, price=PRICE, ledger=ledger, agent="supervisor")
        task = asyncio.create_task(metered.complete(REQUEST, on_draft=lambda _: True))
        while not ledger.balance().reserved:  # noqa: ASYNC110 - a ledger tells nobody
            await asyncio.sleep(0.01)
        task.cancel()
        await asyncio.wait([task])

    asyncio.run(work())
    assert ledger.balance().reserved > 0
    assert ledger.balance().settled == 0


def test_a_model_that_does_not_stream_is_heard_once(ledger):
    heard = []
    model = ScriptedModel(lambda _: ChatReply("All of it.", Usage(9, 9)))
    metered = MeteredModel(model, price=PRICE, ledger=ledger, agent="supervisor")
    asyncio.run(metered.complete(REQUEST, on_draft=lambda draft: heard.append(draft.text) or True))
    assert heard == ["All of it."]


def test_a_text_is_read_out_of_json_that_is_still_being_written():
    text = 'He said "no", a\\b\n\u00e9 \U0001f642 end'
    for written in (json.dumps({"text": text}), json.dumps({"text": text}, ensure_ascii=False)):
        read = [read_begun(written[:end], "text") for end in range(len(written) + 1)]
        assert read[-1] == text
        assert all(text.startswith(part) for part in read)
        assert [len(part) for part in read] == sorted(map(len, read))
    assert read_begun('{"other": "x"', "text") == ""
    assert read_begun("no json", "text") == ""
