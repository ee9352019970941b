"""Least confidence for free answers, by the log-probabilities of their tokens."""

import math
from dataclasses import replace

import pytest

from querist.agents.models.port import ChatReply, Usage
from querist.agents.selector.strategies.sequence_confidence import sequence_least_confidence
from querist.memory.errors import InvalidInput

TOKENS = {
    # By answer: what each of its tokens is given. 1 - NSP: 0.5, 0.4, 0.2, 0.7.
    "half": (0.5,),
    "long and fairly sure": (0.9, 0.4),
    "sure": (0.8, 0.8, 0.8, 0.8, 0.8, 0.8, 0.8),
    "doubt": (0.3,),
}


def talker(request):
    """Answer with the text itself; then tell what the answer's tokens are given."""
    said = request.messages[-1].content
    if request.look != "input":
        assert not request.choices
        assert request.temperature == 0
        return said.removeprefix("Text: ").strip('"')
    assert request.messages[-1].role == "assistant"
    assert request.messages[-2].content == f'Text: "{said}"'
    return ChatReply("", Usage(4, 0), input_tokens=tuple(math.log(p) for p in TOKENS[said]))


def test_answers_are_ranked_by_their_normalised_sequence_probability(make_pool, scripted):
    context = make_pool(list(TOKENS)).context(scripted(talker))
    result = sequence_least_confidence().query(context, 4)
    assert list(result.indices) == [3, 0, 1, 2]
    assert result.diagnostics["uncertainty"] == pytest.approx(
        {"t3": 0.7, "t0": 0.5, "t1": 0.4, "t2": 0.2}
    )
    assert result.diagnostics["llm_calls"] == 8
    assert result.diagnostics["fell_back"] == ""


def test_only_the_first_line_is_the_answer_and_an_empty_one_is_none(make_pool, scripted):
    def reply(request):
        if request.look == "input":
            return talker(replace(request, messages=(*request.messages[:-2], *turns(request))))
        return "" if "half" in request.messages[-1].content else talker(request) + "\nand so on"

    def turns(request):
        assert "\n" not in request.messages[-1].content
        return request.messages[-2:]

    context = make_pool(list(TOKENS)).context(scripted(reply))
    result = sequence_least_confidence().query(context, 4)
    assert list(result.indices) == [3, 1, 2, 0]
    assert result.diagnostics["n_filled"] == 1


def test_one_labelled_example_a_class_shows_what_an_answer_is(make_pool, scripted):
    advisor = scripted(lambda _: "repair")
    pool = make_pool(labelled={"t0": 0, "t2": 0, "t1": 1})
    sequence_least_confidence().query(pool.context(advisor), 2)
    shown = [
        message.content for message in advisor.calls[0].messages if message.role == "assistant"
    ]
    assert sorted(shown) == ["billing", "repair"]


def test_a_model_that_cannot_look_is_asked_for_classes_and_it_is_told(make_pool, scripted):
    def classes(request):
        assert request.choices == ("repair", "billing")
        share = 0.6 if "ceiling" in request.messages[-1].content else 0.9
        return {"repair": share, "billing": 1 - share}

    advisor = scripted(classes, looks=("first_token",))
    result = sequence_least_confidence().query(make_pool().context(advisor), 1)
    assert result.indices[0] == 2
    assert "classes were scored instead" in result.diagnostics["fell_back"]


def test_without_looks_and_classes_it_refuses_and_says_what_to_do(make_pool, scripted):
    advisor = scripted(lambda _: pytest.fail("no call"), looks=())
    advisor.task = replace(advisor.task, labels=())
    with pytest.raises(InvalidInput, match="embedded model"):
        sequence_least_confidence().query(make_pool().context(advisor), 1)


@pytest.mark.slow
def test_the_embedded_model_is_less_sure_of_what_fits_no_class(make_pool, local_advisor):
    texts = [
        "The heating is broken again.", "My invoice for March is wrong.",
        "The radiator is broken again.", "zqx blorp 17 flute the of",
    ]  # fmt: skip
    pool = make_pool(texts, labelled={"t0": 0, "t1": 1})
    result = sequence_least_confidence().query(pool.context(local_advisor), 2)
    assert result.diagnostics["fell_back"] == ""
    assert set(result.diagnostics["uncertainty"]) == {"t2", "t3"}
    assert all(0 < doubt < 1 for doubt in result.diagnostics["uncertainty"].values())
