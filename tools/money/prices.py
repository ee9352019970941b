"""What a call costs: dated prices per million tokens, overridable, exact to the last digit.

A model without a price is refused rather than guessed, since a budget cannot hold on a guess.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal, DecimalException
from pathlib import Path

from querist.memory.errors import InvalidInput, ModelRefused
from querist.tools.wording import shorten, suggest

_SHIPPED = Path(__file__).with_name("prices.toml")
_DEAREST = 1_000_000
_KEYS = ("input", "output", "cached_input", "per_call")


@dataclass(frozen=True, slots=True)
class Price:
    """What one model costs in US dollars, per million tokens and per call."""

    input: Decimal
    output: Decimal
    cached_input: Decimal | None = None
    """For input read from the provider's cache; None: as other input."""
    per_call: Decimal = Decimal(0)

    def cost(self, input_tokens: int, output_tokens: int, *, cached_tokens: int = 0) -> Decimal:
        """Price what was used. The cached tokens are counted within the input tokens."""
        cached = min(cached_tokens, input_tokens)
        rate = self.input if self.cached_input is None else self.cached_input
        millionths = (
            (input_tokens - cached) * self.input + cached * rate + output_tokens * self.output
        )
        # Shifting the point keeps the value exact where a division might round.
        return millionths.scaleb(-6) + self.per_call

    def ceiling(self, input_tokens: int, output_tokens: int) -> Decimal:
        """Price the most that a call with these limits can cost, whatever the cache does."""
        dearest = max(self.input, self.cached_input or Decimal(0))
        millionths = input_tokens * dearest + output_tokens * self.output
        return millionths.scaleb(-6) + self.per_call


@dataclass(frozen=True, slots=True)
class PriceList:
    """Prices by model name, or by a beginning of it with `*` at the end."""

    prices: Mapping[str, Price]
    as_of: date
    """When the shipped prices were noted down."""

    @classmethod
    def load(cls, overrides: Path | Mapping[str, object] | None = None) -> PriceList:
        """Read the shipped list and lay overrides over it.

        Overrides are a TOML file with a `[prices]` table, or that table itself: a model's name to
        a `Price` or to its keys. Raises `InvalidInput` for anything that is not a price.
        """
        shipped = _read(_SHIPPED)
        as_of = shipped["as_of"]
        if not isinstance(as_of, date):
            raise TypeError(as_of)
        prices = _parsed(shipped["prices"], _SHIPPED.name)
        if isinstance(overrides, Path):
            prices |= _parsed(_read(overrides).get("prices", {}), overrides.name)
        elif overrides is not None:
            prices |= _parsed(overrides, "prices")
        return cls(prices=prices, as_of=as_of)

    def price_of(self, model: str) -> Price:
        """Find a model's price; raises `ModelRefused` with the lines to write if there is none."""
        if model in self.prices:
            return self.prices[model]
        fitting = [name for name in self.prices if name.endswith("*")]
        fitting = [name for name in fitting if model.startswith(name[:-1])]
        if fitting:
            return self.prices[max(fitting, key=len)]
        raise ModelRefused(
            f"No price is known for the model {model!r}.{suggest(model, self.prices)} Look it up "
            "(US dollars per million tokens; 0 on your own machine) and write in your task.toml:\n"
            f'[prices."{model}"]\ninput = ...\noutput = ...\n'
            f"or pass --price {model}=INPUT,OUTPUT"
        )


def parse_price(text: str) -> tuple[str, Price]:
    """Read what `--price` takes, `MODEL=INPUT,OUTPUT[,CACHED_INPUT]`, into a name and its price."""
    model, _, numbers = text.rpartition("=")
    values = numbers.split(",")
    if not model.strip() or len(values) not in {2, 3}:
        raise InvalidInput(
            f"--price {shorten(text)}: expected MODEL=INPUT,OUTPUT or MODEL=INPUT,OUTPUT,CACHED, "
            "as in openai:gpt-4o-mini=0.15,0.60 (US dollars per million tokens)."
        )
    amounts = [_amount(value.strip(), f"--price {shorten(text)}") for value in values]
    return model.strip(), Price(*amounts)


# ---------------------------------------------------------------- reading


def _read(path: Path) -> dict[str, object]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"), parse_float=Decimal)
    except OSError as error:
        raise InvalidInput(f"{path} cannot be read: {error.strerror or error}.") from error
    except ValueError as error:
        raise InvalidInput(f"{path.name} is not valid TOML: {error}.") from error


def _parsed(table: object, where: str) -> dict[str, Price]:
    if not isinstance(table, Mapping):
        raise InvalidInput(f'{where}: prices must be tables, as in [prices."openai:gpt-4o-mini"].')
    return {str(name): _price(value, f"{where}, {name!r}") for name, value in table.items()}


def _price(entry: object, where: str) -> Price:
    if isinstance(entry, Price):
        return entry
    if not isinstance(entry, Mapping):
        raise InvalidInput(f"{where}: expected input and output, found {shorten(entry)}.")
    for key in entry:
        if key not in _KEYS:
            raise InvalidInput(
                f"{where}: there is no key {key!r}.{suggest(str(key), _KEYS)} "
                f"The keys are {', '.join(_KEYS)}."
            )
    missing = [key for key in ("input", "output") if key not in entry]
    if missing:
        raise InvalidInput(f"{where}: {missing[0]} is missing (US dollars per million tokens).")
    amounts = {key: _amount(value, f"{where}, {key}") for key, value in entry.items()}
    return Price(**amounts)


def _amount(value: object, where: str) -> Decimal:
    """Read a price from a number, or from the text of one; floats as they were written."""
    try:
        if isinstance(value, bool) or not isinstance(value, (str, int, float, Decimal)):
            raise InvalidInput(f"{where}: a price must be a number, found {shorten(value)}.")
        amount = Decimal(str(value))
    except DecimalException as error:
        raise InvalidInput(f"{where}: a price must be a number, found {shorten(value)}.") from error
    # The upper bound keeps a slip of the keyboard from overflowing the arithmetic.
    if not amount.is_finite() or not 0 <= amount <= _DEAREST:
        raise InvalidInput(
            f"{where}: a price must be from 0 to {_DEAREST:,}, found {shorten(value)}."
        )
    return amount
