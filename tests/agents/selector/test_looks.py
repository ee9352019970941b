"""What models tell beside their answers: the first token's alternatives, the input's likelihood."""

import asyncio
import math

import pytest

from querist.agents.models.catalogue import ModelAccess, open_model
from querist.agents.models.port import ChatRequest, Message, call_key
from querist.agents.models.providers.scripted import ScriptedModel
from querist.evals.mock_server import Behaviour, serving
from querist.memory.codec import to_json
from querist.memory.records import content_id


def ask(text, **options):
    return ChatRequest((Message("user", text),), 8, **options)


def test_calls_that_look_at_nothing_keep_the_keys_they_were_paid_under():
    model, request = ScriptedModel(lambda _: ""), ask("hello")
    body = {key: value for key, value in to_json(request).items() if key not in ("look", "tools")}
    body["messages"] = [
        {key: turn[key] for key in ("role", "content")} for turn in body["messages"]
    ]
    assert call_key(model, request) == content_id(model.name, model.identity, body, size=32)
    assert call_key(model, request) != call_key(model, ask("hello", look="input"))


def test_an_endpoint_tells_the_alternatives_of_the_answers_first_token(tmp_path):
    with serving(Behaviour(labels=("yes", "no"), keywords={"wet": "yes"})) as server:
        access = ModelAccess(cache=tmp_path, base_url=server.base_url, api_key="k")
        model = open_model("openai:mock", access)

        async def work():
            try:
                looked = await model.complete(
                    ask("Is water wet?", choices=("yes", "no"), look="first_token")
                )
                return looked, await model.complete(ask("Is water wet?", choices=("yes", "no")))
            finally:
                await model.aclose()

        looked, plain = asyncio.run(work())
    assert plain.first_token is None
    assert looked.first_token
    assert max(looked.first_token.values()) <= 0
    assert "first_token" in model.looks
    assert "input" not in model.looks


@pytest.mark.slow
def test_the_embedded_model_tells_the_likelihood_of_each_token_of_a_text(local_advisor):
    def likelihood(text):
        reply = local_advisor.ask_one(ChatRequest((Message("user", text),), 0, look="input"))
        assert reply.text == ""
        assert all(value <= 0 for value in reply.input_tokens)
        return reply.input_tokens

    usual, odd = likelihood("one two three four"), likelihood("one two three zebra")
    assert usual[:3] == pytest.approx(odd[:3], abs=0.05)
    assert usual[3] > odd[3] + math.log(10)


@pytest.mark.slow
def test_the_embedded_model_reads_an_answer_as_the_answer_to_its_question(local_advisor):
    def likelihood(question, answer):
        turns = (Message("user", question), Message("assistant", answer))
        return local_advisor.ask_one(ChatRequest(turns, 0, look="input")).input_tokens

    counting = likelihood("Text: one two three four five six", "seven")
    assert sum(counting) > sum(likelihood("Text: the cat sat on the mat", "seven"))
    asked = ask("Say yes or no.", choices=("yes", "no"), look="first_token")
    listed = local_advisor.ask_one(asked).first_token
    # Read as it would have been written: after the same prompt, and with the space before it.
    assert likelihood("Say yes or no.", "yes") == pytest.approx((listed[" yes"],), abs=0.2)


@pytest.mark.slow
def test_the_embedded_model_lists_the_first_token_over_the_whole_vocabulary(local_advisor):
    request = ask("Say yes or no.", choices=("yes", "no"), look="first_token")
    listed = local_advisor.ask_one(request).first_token
    total = sum(math.exp(value) for value in listed.values())
    assert 0.3 < total <= 1.0001
    assert len(listed) > 20
