"""From what was typed to a run's configuration."""

from __future__ import annotations

import csv
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from querist.graph.config import RunConfig, load_config, make_config, put
from querist.graph.intake import check_models
from querist.graph.sections import MOST_USD
from querist.memory.errors import InvalidInput
from querist.tools.money.prices import parse_price
from querist.tools.wording import listed, shorten, suggest

_FREE_TABLES = ("task.labels", "prices")


@dataclass(frozen=True, slots=True, kw_only=True)
class Inputs:
    """The options of `run`, `quote` and `demo`; None is what was not typed."""

    task: Path | None = None
    pool: str | None = None
    text: str | None = None
    labels: str | None = None
    kind: str | None = None
    id: str | None = None
    gold: str | None = None
    encoding: str | None = None
    test: str | None = None
    instructions: str | None = None
    budget: str | None = None
    human_label_usd: str | None = None
    model: str | None = None
    base_url: str | None = None
    people: str | None = None
    seed: int | None = None
    prices: Sequence[str] = ()
    changes: Sequence[str] = ()

    def config(self) -> RunConfig:
        """Make the configuration, or raise `InvalidInput` before anything is written."""
        changes = self._typed() | dict(_change(text) for text in self.changes)
        if self.task is not None:
            self._refuse_file_options()
            config = load_config(self.task, changes=changes)
        else:
            config = self._from_file(changes)
        config = config.model_copy(update={"prices": config.prices | _prices(self.prices)})
        check_models(config)
        return config

    def _typed(self) -> dict[str, Any]:
        """Collect the options that change a key of the configuration."""
        values = {
            "task.kind": self.kind,
            "data.text": _columns(self.text),
            "data.id": self.id,
            "data.gold": self.gold,
            "data.encoding": self.encoding,
            "data.test": _absolute(self.test),
            "budget.usd": self.budget,
            "budget.human_label_usd": self.human_label_usd,
            "models.annotator": self.model,
            "models.base_url": self.base_url,
            "people.kind": self.people,
            "loop.seed": self.seed,
        }
        return {key: value for key, value in values.items() if value is not None}

    def _refuse_file_options(self) -> None:
        options = {
            "--pool": self.pool,
            "--labels": self.labels,
            "--instructions": self.instructions,
        }
        given = [name for name, value in options.items() if value is not None]
        if given:
            raise InvalidInput(
                f"{', '.join(given)} describe a run without a task file, but {self.task} was named "
                "too. Leave one of them out, or change the task file's keys: "
                "--set data.pool=/path/pool.csv --set data.text=body"
            )

    def _from_file(self, changes: Mapping[str, Any]) -> RunConfig:
        # Some kinds of task know their labels by themselves.
        is_complete = self.labels is not None or "task.kind" in changes
        if self.pool is None or not is_complete:
            missing = "--labels a,b,c (the classes)" if self.pool else "a task file, or a pool"
            raise InvalidInput(
                f"There is nothing to work on: {missing} is missing. For example:\n"
                "  querist run task.toml\n"
                "  querist run --pool tickets.csv --text body --labels billing,bug,praise"
            )
        task: dict[str, Any] = {
            "name": Path(self.pool).stem.split(".")[0] or "task",
            "labels": _labels(self.labels or ""),
            "instructions": self.instructions or "",
        }
        body: dict[str, Any] = {"task": task, "data": {"pool": _absolute(self.pool)}}
        for key, value in changes.items():
            put(body, key, value)
        return make_config(body, source="the command line")


def model_config(
    task: Path | None,
    model: str | None,
    *,
    base_url: str | None,
    prices: Sequence[str],
    changes: Sequence[str],
) -> RunConfig | None:
    """Make a configuration that names a model, for looking at it; None if nothing names one."""
    typed = {"models.annotator": model, "models.base_url": base_url}
    laid = {key: value for key, value in typed.items() if value is not None}
    laid |= dict(_change(text) for text in changes)
    if task is not None:
        config = load_config(task, changes=laid)
    elif laid:
        body: dict[str, Any] = {"task": {"labels": ["a", "b"]}, "data": {"pool": "none"}}
        for key, value in laid.items():
            put(body, key, value)
        config = make_config(body, source="the command line")
    else:
        return None
    return config.model_copy(update={"prices": config.prices | _prices(prices)})


def _labels(text: str) -> list[str]:
    """Split names at commas, but for those in double quotes: 'billing,"refunds, money"'."""
    cells = next(csv.reader([text], skipinitialspace=True), [])
    names = [name.strip() for name in cells if name.strip()]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise InvalidInput(f"--labels names {listed(twice)} twice.")
    return names


def _columns(text: str | None) -> str | list[str] | None:
    names = [name.strip() for name in (text or "").split(",") if name.strip()]
    if len(names) > 1:
        return names
    return names[0] if names else None


def _absolute(source: str | None) -> str | None:
    # A run is resumed from anywhere, so it remembers where its files really are.
    if source is None or source.startswith("hf://"):
        return source
    return str(Path(source).expanduser().resolve())


def read_amount(text: str, *, option: str = "--budget") -> Decimal:
    """Read the amount of an option; raises `InvalidInput`."""
    try:
        return amount_of(text)
    except InvalidInput as error:
        raise InvalidInput(f"{option} {text}: {error}.") from None


def amount_of(text: str) -> Decimal:
    """Read an amount of money; raises `InvalidInput`."""
    try:
        usd = Decimal(text)
    except InvalidOperation:
        usd = Decimal(0)
    if not usd.is_finite() or not 0 < usd <= MOST_USD:
        raise InvalidInput(
            "expected an amount of US dollars above 0, as in 2.50, and no more than "
            f"1,000,000,000, not {text}"
        )
    return usd


def _change(text: str) -> tuple[str, Any]:
    key, value = read_change(text)
    _check_key(key)
    return key, value


def read_change(text: str) -> tuple[str, Any]:
    """Read `key=value` of --set; the value is TOML, or else the text as it stands."""
    key, equals, raw = text.partition("=")
    key, raw = key.strip(), raw.strip()
    if not equals or not key:
        raise InvalidInput(f"--set {shorten(text)}: expected KEY=VALUE, as in loop.batch=20.")
    try:
        return key, tomllib.loads(f"value = {raw}")["value"]
    except tomllib.TOMLDecodeError:
        return key, raw


def read_changes(texts: Sequence[str], *, rounds: str | None = None) -> dict[str, Any]:
    """Read what `resume` changes: `--set KEY=VALUE`, and `--rounds` as one of them."""
    changes = dict(_change(text) for text in texts)
    if rounds is not None:
        if not rounds.isdigit() or int(rounds) < 1:
            raise InvalidInput(f"--rounds {rounds}: expected a whole number of at least 1.")
        changes["loop.rounds"] = int(rounds)
    return changes


def _check_key(key: str) -> None:
    """Refuse keys that no configuration has, with the nearest that there is."""
    known = _keys(RunConfig)
    if key in known or key.startswith(tuple(f"{table}." for table in _FREE_TABLES)):
        return
    if any(known_key.startswith(f"{key}.") for known_key in known):
        raise InvalidInput(f"--set {key}: that is a table; name a key in it, as {key}.KEY=VALUE.")
    section = key.partition(".")[0]
    near = [name for name in known if name.startswith(f"{section}.")]
    others = near or list(dict.fromkeys(f"{name.partition('.')[0]}.KEY" for name in known))
    raise InvalidInput(
        f"--set {key}: there is no such key.{suggest(key, known)} There is: {listed(others, 20)}."
    )


def _keys(model: type[BaseModel], prefix: str = "") -> list[str]:
    found: list[str] = []
    for name, field in model.model_fields.items():
        kind = field.annotation
        # A list of tables (annotator.demonstrations) is one value.
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            found += _keys(kind, f"{prefix}{name}.")
        else:
            found.append(f"{prefix}{name}")
    return found


def _prices(texts: Sequence[str]) -> dict[str, dict[str, str]]:
    found = {}
    for text in texts:
        name, price = parse_price(text)
        found[name] = {"input": f"{price.input:f}", "output": f"{price.output:f}"}
        if price.cached_input is not None:
            found[name]["cached_input"] = f"{price.cached_input:f}"
    return found
