"""Endpoints as they are: whatever they refuse or send, labels are kept and money is counted."""

import asyncio
import json
from datetime import timedelta
from decimal import Decimal
from email.utils import format_datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from querist.agents.models.catalogue import ModelAccess, check_reachable, open_model
from querist.agents.models.choices import choice_probabilities, read_steps
from querist.agents.models.metered import MeteredModel, MeteredReply
from querist.agents.models.pacing import Patience
from querist.agents.models.port import ChatRequest, Message
from querist.agents.models.providers.refusals import error_in, read_refusal
from querist.agents.models.reading import read_choice, read_object, without_thoughts
from querist.agents.models.thinking import thinks_by_name
from querist.agents.models.usage import read_usage
from querist.evals.mock_manners import FILTERED
from querist.evals.mock_server import Behaviour, serving
from querist.memory.errors import BudgetExceeded, InvalidInput, ModelError, ModelRefused
from querist.memory.records import LabelClass, RunId, Task, utc_now
from querist.memory.run.ledger import Ledger
from querist.memory.run.runs import Runs
from querist.memory.store import open_store
from querist.tools.money.prices import Price

TASK = Task("t", "classification", (LabelClass("good"), LabelClass("bad")))
KEYWORDS = {"great": "good", "awful": "bad"}
TEXTS = tuple(f"{word} case {i}" for i in range(10) for word in ("great", "awful"))
PRICE = Price(Decimal(1), Decimal(10))


@pytest.fixture
def account(tmp_path):
    """Ask an endpoint of a manner about many texts; tell what came, what it cost, what was said."""
    store = open_store(tmp_path / "work")
    runs = Runs(store)
    opened = []

    def ask(manner, *, texts=TEXTS, cap="0.2", thinking=None, patience=5.0, in_flight=8):
        run = RunId(f"run-{len(opened)}")
        runs.create(run, task=TASK, dataset="d", config={}, cap=Decimal(cap))
        ledger = Ledger(store, run, lease=runs.take(run))
        context = serving(Behaviour(labels=("good", "bad"), keywords=KEYWORDS, manner=manner))
        server = context.__enter__()
        opened.append(context)
        told = []
        access = ModelAccess(
            cache=tmp_path,
            base_url=server.base_url,
            api_key="k",
            in_flight=in_flight,
            timeout=5.0,
            thinking=thinking,
            tell=told.append,
        )
        metered = MeteredModel(
            open_model("openai:mock", access),
            price=PRICE,
            ledger=ledger,
            agent="annotator",
            patience=Patience(total=patience, first=0.02),
            tell=told.append,
        )
        requests = [
            ChatRequest(
                (Message("system", "Choose."), Message("user", text)), 16, choices=("good", "bad")
            )
            for text in texts
        ]

        async def work():
            try:
                return await metered.complete_all(requests)
            finally:
                await metered.model.aclose()

        return asyncio.run(work()), ledger, server, told

    yield ask
    for context in opened:
        context.__exit__(None, None, None)
    store.close()


def right(replies, texts=TEXTS):
    return [
        isinstance(reply, MeteredReply) and reply.reply.text == KEYWORDS[text.split()[0]]
        for reply, text in zip(replies, texts, strict=True)
    ]


# ---------------------------------------------------------------- what endpoints refuse


@pytest.mark.parametrize(
    ("manner", "lesson"),
    [
        ("reasoner", "max_completion_tokens"),
        ("rf422", "JSON schema"),
        ("object_only", "JSON schema"),
        ("few_alternatives", "at most 5 alternatives"),
        ("no_logprobs", "no log-probabilities"),
        ("no_system", "no system message"),
        ("plain_only", "only plain requests"),
        ("small_limit", "at most 12 tokens"),
    ],
)
def test_what_an_endpoint_will_not_have_is_learnt_once_and_said_once(account, manner, lesson):
    replies, ledger, server, told = account(manner)
    assert all(right(replies))
    assert sum(lesson in words for words in told) == 1
    assert server.counts.failed <= 6, "the first request learns for all"
    assert ledger.balance().reserved == 0
    assert sum(line.entry == "settle" for line in ledger.lines()) == len(TEXTS)


def test_alternatives_are_asked_for_in_smaller_number_before_none(account):
    replies, _, server, _ = account("few_alternatives")
    assert server.bodies[-1]["top_logprobs"] == 5
    assert all(reply.reply.probabilities for reply in replies)


def test_json_object_comes_before_no_form_at_all(account):
    _, _, server, _ = account("object_only")
    last = server.bodies[-1]
    assert last["response_format"] == {"type": "json_object"}
    assert "Reply with JSON only" in last["messages"][-1]["content"]


def test_a_text_that_a_filter_refuses_stops_nothing_and_costs_nothing(account):
    texts = (*TEXTS, f"great {FILTERED}")
    replies, ledger, _, _ = account("filter", texts=texts)
    assert all(right(replies[:-1]))
    refused = replies[-1]
    assert (refused.reply.finish, refused.usd) == ("refused", 0)
    assert "The prompt was filtered" in refused.reply.note
    assert ledger.balance().reserved == 0


def test_a_text_that_is_too_long_stops_nothing(account):
    replies, _, _, _ = account("too_long", texts=(*TEXTS, "great " + "x" * 4_000))
    assert all(right(replies[:-1]))
    assert replies[-1].reply.note.startswith("too long for the model")


def test_no_choices_are_no_answer_and_no_crash(account):
    replies, _, _, _ = account("no_choices", texts=(*TEXTS, f"great {FILTERED}"))
    assert all(right(replies[:-1]))
    assert replies[-1].reply.note == "the provider sent no choices"


def test_exhausted_credit_fails_at_once_with_the_providers_words(account):
    replies, ledger, server, _ = account("quota", texts=TEXTS[:1], patience=60.0)
    assert isinstance(replies[0], ModelRefused)
    assert "You exceeded your current quota." in str(replies[0])
    assert server.counts.requests == 1
    assert ledger.balance().settled == 0


def test_a_web_page_is_no_model_and_costs_nothing(account):
    replies, ledger, _, _ = account("web_page", texts=TEXTS[:1])
    assert isinstance(replies[0], ModelRefused)
    assert "usually ends in /v1" in str(replies[0])
    assert (ledger.balance().settled, ledger.balance().reserved) == (0, 0)


def test_a_wish_to_wait_longer_than_patience_is_told(account):
    replies, _, server, _ = account("slow_down", texts=TEXTS[:1], patience=60.0)
    assert "It asks to wait 3600 s." in str(replies[0])
    assert server.counts.requests == 1


def test_a_date_to_retry_after_is_obeyed(account):
    replies, _, server, _ = account("date", patience=60.0)
    assert all(right(replies))
    assert server.counts.failed <= 4, "a client that does not wait is refused again and again"


def test_an_error_under_status_200_backs_off_and_costs_nothing(account):
    replies, ledger, server, _ = account("err200")
    assert all(right(replies))
    assert server.counts.failed >= 3
    settled = [line for line in ledger.lines() if line.entry == "settle"]
    assert len(settled) == len(TEXTS)


def test_what_was_never_sent_is_never_charged(tmp_path, account):
    _, ledger, server, _ = account("", texts=())
    del server
    access = ModelAccess(cache=tmp_path, base_url="http://127.0.0.1:9/v1", api_key="k", timeout=1.0)
    metered = MeteredModel(
        open_model("openai:mock", access),
        price=PRICE,
        ledger=ledger,
        agent="annotator",
        patience=Patience(total=0.1, first=0.02),
    )
    request = ChatRequest((Message("user", "hello"),), 16, choices=("good", "bad"))

    async def work():
        try:
            await metered.complete(request)
        finally:
            await metered.model.aclose()

    with pytest.raises(ModelError, match="cannot be reached"):
        asyncio.run(work())
    assert (ledger.balance().settled, ledger.balance().reserved) == (0, 0)


# ---------------------------------------------------------------- what endpoints send


@pytest.mark.parametrize(
    "manner",
    [
        "think",
        "end_of_thought",
        "fence",
        "bold",
        "said",
        "explains",
        "single_quotes",
        "shouts",
        "parts",
        "lplist",
        "lptext",
        "lpnulls",
        "lpolder",
        "nulls",
        "no_usage",
        "usage_text",
        "usage_zero",
        "usage_hidden",
        "thinks_long",
        "calls_a_tool",
    ],
)
def test_whatever_the_shape_no_label_is_lost(account, manner):
    replies, ledger, _, _ = account(manner, cap="2")
    assert all(right(replies))
    assert ledger.balance().reserved == 0


@pytest.mark.parametrize("manner", ["lptext", "lpnulls"])
def test_log_probabilities_that_cannot_be_read_are_ignored_with_a_word(account, manner):
    replies, _, _, told = account(manner)
    assert [reply.reply.probabilities for reply in replies] == [None] * len(TEXTS)
    assert sum("Log-probabilities" in words for words in told) == 1


@pytest.mark.parametrize("manner", ["lplist", "lpolder"])
def test_older_shapes_of_log_probabilities_are_read(account, manner):
    replies, _, _, _ = account(manner)
    assert all(reply.reply.probabilities[reply.reply.text] > 0.5 for reply in replies)


@pytest.mark.parametrize("manner", ["nulls", "no_usage", "usage_text", "usage_zero"])
def test_silence_about_usage_is_charged_at_the_ceiling_and_marked(account, manner):
    replies, ledger, _, told = account(manner, texts=TEXTS[:3], cap="2")
    reserved = [line.amount for line in ledger.lines() if line.entry == "reserve"]
    settled = [line for line in ledger.lines() if line.entry == "settle"]
    assert sorted(line.amount for line in settled) == sorted(reserved)
    assert all(line.detail["estimated"] for line in settled)
    assert sum("does not say what it used" in words for words in told) == 1
    assert all(right(replies, TEXTS[:3]))


def test_tokens_left_out_of_the_output_but_not_of_the_sum_are_paid(account):
    _, ledger, _, _ = account("usage_hidden", texts=TEXTS[:1], cap="2")
    line = next(line for line in ledger.lines() if line.entry == "settle")
    assert line.detail["output_tokens"] == 500 - 90


def test_a_provider_that_bills_more_than_allowed_never_takes_a_run_past_its_cap(account):
    replies, ledger, _, told = account("big", cap="0.1")
    assert ledger.balance().settled <= Decimal("0.1")
    assert any(isinstance(reply, BudgetExceeded) for reply in replies)
    assert sum(isinstance(reply, MeteredReply) for reply in replies) >= 4
    assert sum("billed" in words for words in told) == 1


def test_room_for_thoughts_is_learnt_and_reserved(account):
    replies, ledger, server, told = account("thinks_long", cap="2")
    assert all(right(replies))
    assert server.counts.answered <= len(TEXTS) + 2, "the first reply taught all others"
    assert sum("thinks before it answers" in words for words in told) == 1
    reserve = [line.amount for line in ledger.lines() if line.entry == "reserve"][-1]
    assert reserve > Decimal("0.02"), "2,048 tokens at 10 USD a million"


def test_a_room_that_the_user_set_is_left_alone(account):
    replies, _, server, _ = account("thinks_long", texts=TEXTS[:2], thinking=0)
    assert [reply.reply.finish for reply in replies] == ["length", "length"]
    assert server.counts.answered == 2


def test_cut_off_replies_are_given_up_in_the_end(account):
    replies, ledger, _, _ = account("empty", texts=TEXTS[:3], cap="5")
    assert [reply.reply.finish for reply in replies] == ["length"] * 3
    assert ledger.balance().reserved == 0


# ---------------------------------------------------------------- reading, piece by piece

LABELS = ("billing", "bug", "praise")


@pytest.mark.parametrize(
    "text",
    [
        "bug",
        " Bug. ",
        '{"answer": "bug"}',
        '{"label": "bug", "why": "it crashes"}',
        '{"Answer": ["bug"]}',
        '{"category": {"label": "bug"}}',
        '"bug"',
        '["bug"]',
        "```\nbug\n```",
        '```json\n{"answer": "bug"}\n``` It crashes.',
        "**Bug**",
        "`bug`",
        "Answer: bug",
        "**Answer:** bug",
        "The answer is bug.",
        "Label = 'bug'",
        "bug\n\nBecause praise would read otherwise.",
        "bug - it crashes",
        "I would classify this as bug.",
        "<think>praise? billing?</think>bug",
        '<think>first</think>{"answer": "bug"}',
        "praise? no.</think> bug",
        "<|channel|>analysis<|message|>praise?<|end|><|channel|>final<|message|>bug<|return|>",
        "{'answer': 'bug'}",
        'Set {x} aside: {"answer": "bug"}',
        "<answer>bug</answer>".replace("<answer>", "Answer: ").replace("</answer>", ""),
    ],
)
def test_a_label_is_read_however_it_is_written(text):
    assert read_choice(text, LABELS).choice == "bug"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "I would rather not say.",
        "bug or praise",
        "This is not a bug, it is something else",
        '{"answer": "other"}',
        '{"answer": null}',
        '{"bug": 0.5, "praise": 0.5}',
        "<think>it is bug",
        "buggy",
        "{" * 2_000,
        '{"answer": ' * 500,
    ],
)
def test_what_names_no_label_is_never_guessed(text):
    assert read_choice(text, LABELS) is None


@pytest.mark.parametrize(
    ("text", "choices", "wanted"),
    [
        ("0.0", ("0", "1"), "0"),
        ('{"answer": 1}', ("0", "1"), "1"),
        ('{"answer": 1.0}', ("0", "1"), "1"),
        ('{"answer": true}', ("true", "false"), "true"),
        ("N.A.", ("N.A.", "bug"), "N.A."),
        ("n.a.", ("N.A.", "bug"), "N.A."),
        ("Polish", ("Polish", "polish"), "Polish"),
        ("polish", ("Polish", "polish"), "polish"),
        ("POLISH", ("Polish", "polish"), None),
        ('{"answer": "billing, refunds & <money>"}', ("billing, refunds & <money>", "x"), None),
        ("C#", ("C", "C++", "C#"), "C#"),
        ("-1", ("1", "-1"), "-1"),
    ],
)
def test_labels_are_told_apart_by_what_tells_them_apart(text, choices, wanted):
    chosen = read_choice(text, choices)
    if "billing" in text:
        wanted = "billing, refunds & <money>"
    assert (chosen and chosen.choice) == wanted


def test_the_largest_object_counts_and_thoughts_do_not():
    assert read_object('{a} {"x": 1} {"answer": "bug", "why": "y"}') == {
        "answer": "bug", "why": "y",
    }  # fmt: skip
    assert read_object('<think>{"answer": "no"}</think>{"answer": "yes"}') == {"answer": "yes"}
    assert read_object("no object") is None
    assert without_thoughts("<think>only thoughts") == ""


@given(st.text(max_size=200))
def test_reading_never_raises_and_never_invents(text):
    chosen = read_choice(text, LABELS)
    assert chosen is None or chosen.choice.casefold() in text.casefold()


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=10),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=12,
)


@given(json_values)
def test_whatever_usage_is_it_is_counted_and_never_nothing(used):
    usage = read_usage(used, most_input=100, most_output=50, has_text=True)
    assert usage.input_tokens > 0
    assert usage.output_tokens > 0


@given(
    st.fixed_dictionaries(
        {},
        optional={
            "content": json_values | st.lists(
                st.fixed_dictionaries(
                    {}, optional={"token": json_values, "logprob": json_values,
                                  "top_logprobs": json_values},
                ),
                max_size=3,
            ),
            "tokens": json_values,
            "token_logprobs": json_values,
            "top_logprobs": json_values,
        },
    )
    | json_values
)  # fmt: skip
def test_whatever_log_probabilities_are_nothing_is_raised(given_):
    steps = read_steps(given_)
    found = choice_probabilities(steps, LABELS) if steps else None
    assert found is None or sum(found.values()) == pytest.approx(1)


# ---------------------------------------------------------------- refusals


@pytest.mark.parametrize(
    ("status", "body", "message"),
    [
        (400, {"error": {"message": "no such option"}}, "no such option"),
        (400, {"error": "no such option"}, "no such option"),
        (400, {"message": "no such option"}, "no such option"),
        (400, {"object": "error", "message": "no such option", "code": 400}, "no such option"),
        (422, {"detail": "no such option"}, "no such option"),
        (422, {"detail": [{"loc": ["body", "seed"], "msg": "no"}]}, "seed: no"),
        (400, [{"error": {"message": "no such option"}}], "no such option"),
        (400, {"errors": [{"message": "no such option"}]}, "no such option"),
        (502, "<html>Bad Gateway</html>", "<html>Bad Gateway</html>"),
        (500, None, "no reason was given"),
    ],
)
def test_the_providers_words_are_found_in_every_shape(status, body, message):
    assert read_refusal(status, body).message == message


@pytest.mark.parametrize(
    ("status", "message", "code", "kind"),
    [
        (429, "You exceeded your current quota", "insufficient_quota", "is_exhausted"),
        (402, "Insufficient Balance", "", "is_exhausted"),
        (403, "Your credit balance is too low", "", "is_exhausted"),
        (429, "Rate limit reached: 3 requests per minute", "", "may_pass"),
        (429, "Quota exceeded for metric requests per minute", "", "may_pass"),
        (400, "The response was filtered", "content_filter", "is_about_text"),
        (403, "Your input was flagged by moderation", "", "is_about_text"),
        (400, "This model's maximum context length is 4096 tokens", "", "is_too_long"),
        (413, "Request too large", "context_length_exceeded", "is_too_long"),
        (503, "overloaded", "", "may_pass"),
    ],
)
def test_refusals_are_told_apart(status, message, code, kind):
    refusal = read_refusal(status, {"error": {"message": message, "code": code}})
    kinds = ("is_exhausted", "is_about_text", "is_too_long", "may_pass")
    assert getattr(refusal, kind)
    if kind != "may_pass":
        assert [other for other in kinds[:3] if getattr(refusal, other)] == [kind]
    else:
        assert not refusal.is_exhausted


def test_retry_after_is_seconds_milliseconds_or_a_date():
    def wait(**headers):
        named = {key.replace("_", "-"): value for key, value in headers.items()}
        return read_refusal(429, {}, headers=named).retry_after

    soon = format_datetime(utc_now() + timedelta(seconds=30), usegmt=True)
    assert wait(Retry_After="7") == 7
    assert wait(retry_after_ms="1500") == 1.5
    assert 25 < wait(Retry_After=soon) <= 30
    assert wait(Retry_After="Wed, 21 Oct 2015 07:28:00 GMT") == 0
    assert wait(Retry_After="-5") == 0
    assert wait(Retry_After="soon") is None
    assert wait() is None


def test_an_error_inside_an_answer_is_the_error_that_it_says_it_is():
    assert error_in({"error": {"message": "busy", "code": 429}}).status == 429
    assert error_in({"error": "overloaded"}).may_pass
    assert error_in({"choices": [{"error": {"code": 502, "message": "x"}}]}).status == 502
    assert error_in({"choices": [{}], "error": None}) is None
    assert error_in(json.loads('{"choices": []}')) is None


@pytest.mark.parametrize(
    ("name", "thinks"),
    [
        ("o3-mini", True),
        ("gpt-5-mini", True),
        ("deepseek-reasoner", True),
        ("deepseek-r1:7b", True),
        ("Qwen/Qwen3-8B", True),
        ("openai/gpt-oss-20b", True),
        ("gpt-4o-mini", False),
        ("gpt-5-chat-latest", False),
        ("Qwen/Qwen3-30B-A3B-Instruct-2507", False),
        ("llama-3.1-8b", False),
        ("mock", False),
    ],
)
def test_models_that_think_are_known_by_name(name, thinks):
    assert thinks_by_name(name) is thinks


# ---------------------------------------------------------------- names, keys, addresses


@pytest.mark.parametrize(
    ("base_url", "advice"),
    [
        ("localhost:9151/v1", "http://localhost:9151/v1"),
        ("http:/localhost/v1", "http://"),
        ("ftp://host/v1", "http://host/v1"),
        ("http://host:port/v1", "http://"),
        ("http://host/v1/chat/completions", "http://host/v1"),
    ],
)
def test_an_address_that_is_none_is_found_before_anything_is_sent(base_url, advice):
    with pytest.raises(InvalidInput) as refused:
        check_reachable("openai:m", base_url=base_url, key="k")
    assert advice in str(refused.value)


def test_a_key_that_is_missing_or_broken_is_found_before_anything_is_sent():
    with pytest.raises(ModelRefused, match="OPENAI_API_KEY"):
        check_reachable("openai:m", base_url=None, key="")
    with pytest.raises(ModelRefused, match="Set the variable anew"):
        check_reachable("openai:m", base_url=None, key="sk-abc\n")
    check_reachable("openai:m", base_url="http://[::1]:8000/v1", key="")


def test_weights_that_are_none_are_found_before_anything_is_loaded(tmp_path):
    (tmp_path / "notes.gguf").write_text("hello")
    with pytest.raises(InvalidInput, match="no model weights"):
        check_reachable(f"local:{tmp_path / 'none.gguf'}", base_url=None, key="")
    with pytest.raises(InvalidInput, match="no GGUF file"):
        check_reachable(f"local:{tmp_path / 'notes.gguf'}", base_url=None, key="")
