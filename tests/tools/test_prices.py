"""Prices are exact, dated data; what is not known is refused with the lines to write."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from querist.memory.errors import InvalidInput, ModelRefused
from querist.tools.money.prices import Price, PriceList, parse_price

AMOUNTS = st.decimals(min_value=0, max_value=1000, places=4)
TOKENS = st.integers(min_value=0, max_value=10_000_000)


def test_the_worked_value_is_exact() -> None:
    price = Price(Decimal("0.50"), Decimal("1.50"))
    assert price.cost(120, 30) == Decimal("0.000105")


def test_cached_input_is_cheaper_and_never_more_than_the_input() -> None:
    price = Price(Decimal(2), Decimal(8), cached_input=Decimal("0.5"))
    assert price.cost(1000, 0, cached_tokens=600) == Decimal("0.0011")
    assert price.cost(1000, 0, cached_tokens=5000) == Decimal("0.0005")


def test_a_fee_per_call_is_added_once() -> None:
    price = Price(Decimal(0), Decimal(0), per_call=Decimal("0.01"))
    assert price.cost(10, 10) == price.ceiling(10, 10) == Decimal("0.01")


@given(dear=AMOUNTS, output=AMOUNTS, cached=AMOUNTS, tokens=TOKENS, out=TOKENS, from_cache=TOKENS)
def test_no_cost_exceeds_the_ceiling(
    *, dear: Decimal, output: Decimal, cached: Decimal, tokens: int, out: int, from_cache: int
) -> None:
    price = Price(dear, output, cached_input=cached)
    assert price.cost(tokens, out, cached_tokens=from_cache) <= price.ceiling(tokens, out)


def test_the_shipped_list_is_dated_and_local_models_are_free() -> None:
    prices = PriceList.load()
    assert isinstance(prices.as_of, date)
    assert prices.price_of("local").cost(10**6, 10**6) == 0
    assert prices.price_of("local:/models/my.gguf").cost(10**6, 10**6) == 0
    assert prices.price_of("openai:gpt-4o-mini").input == Decimal("0.15")


def test_the_exact_name_wins_then_the_longest_pattern() -> None:
    entries = {
        "acme:*": {"input": 1, "output": 1},
        "acme:big*": {"input": 2, "output": 2},
        "acme:big-one": {"input": 3, "output": 3},
    }
    prices = PriceList.load(entries)
    assert prices.price_of("acme:big-one").input == 3
    assert prices.price_of("acme:big-two").input == 2
    assert prices.price_of("acme:small").input == 1


def test_a_dated_version_has_its_models_price_but_a_dearer_sibling_has_not() -> None:
    prices = PriceList.load()
    assert prices.price_of("openai:gpt-4o-mini-2024-07-18") == prices.price_of("openai:gpt-4o-mini")
    with pytest.raises(ModelRefused):
        prices.price_of("openai:gpt-4o-audio-preview")


def test_overrides_come_from_a_file_and_keep_their_digits(tmp_path: Path) -> None:
    path = tmp_path / "task.toml"
    path.write_text('[prices."openai:gpt-4o"]\ninput = 0.1\noutput = 0.3\n')
    assert PriceList.load(path).price_of("openai:gpt-4o").cost(3, 1) == Decimal("0.0000006")


def test_an_unknown_model_is_refused_with_the_lines_to_write() -> None:
    with pytest.raises(ModelRefused) as caught:
        PriceList.load().price_of("openai:gpt-4o-mni")
    message = str(caught.value)
    assert '[prices."openai:gpt-4o-mni"]\ninput = ...\noutput = ...' in message
    assert "--price openai:gpt-4o-mni=INPUT,OUTPUT" in message
    assert "Did you mean 'openai:gpt-4o-mini'?" in message


@pytest.mark.parametrize(
    ("entry", "expected"),
    [
        ({"input": -1, "output": 1}, "0 to 1,000,000"),
        ({"input": float("nan"), "output": 1}, "0 to 1,000,000"),
        ({"input": 1, "output": float("inf")}, "0 to 1,000,000"),
        ({"input": "cheap", "output": 1}, "must be a number, found 'cheap'"),
        ({"input": True, "output": 1}, "must be a number"),
        ({"input": 1}, "output is missing"),
        ({"input": 1, "ouput": 1}, "Did you mean 'output'?"),
        (3, "expected input and output"),
    ],
)
def test_what_is_not_a_price_is_one_clear_error(entry: object, expected: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        PriceList.load({"acme:x": entry})
    assert "'acme:x'" in str(caught.value)
    assert expected in str(caught.value)


def test_a_broken_or_missing_file_is_one_clear_error(tmp_path: Path) -> None:
    path = tmp_path / "task.toml"
    with pytest.raises(InvalidInput, match="cannot be read"):
        PriceList.load(path)
    path.write_text("prices = [")
    with pytest.raises(InvalidInput, match="not valid TOML"):
        PriceList.load(path)
    path.write_text("prices = 3")
    with pytest.raises(InvalidInput, match="must be tables"):
        PriceList.load(path)


def test_the_command_lines_price_is_read() -> None:
    name, price = parse_price("openai:foo=0.5,1.5,0.1")
    assert name == "openai:foo"
    assert price == Price(Decimal("0.5"), Decimal("1.5"), cached_input=Decimal("0.1"))
    assert PriceList.load({name: price}).price_of(name) == price


@pytest.mark.parametrize("text", ["", "x", "x=1", "=1,2", "x=a,b", "x=1,2,3,4", "x=-1,2"])
def test_a_wrong_price_on_the_command_line_is_refused(text: str) -> None:
    with pytest.raises(InvalidInput, match="--price"):
        parse_price(text)
