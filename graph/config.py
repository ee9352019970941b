"""A run's configuration: TOML in, every error with file, key, value and remedy out.

This is the only place below `app/` that reads the environment.
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)

from querist.graph.names import EmbedderName, StoppingRuleName, StrategyText, TrainerName
from querist.memory.errors import InvalidInput
from querist.memory.records import LabelClass, Task
from querist.tools.calls import write_call
from querist.tools.data.encoding import decode
from querist.tools.kinds import DEFAULT, find_kind
from querist.tools.wording import listed, quoted, shorten, suggest

MOST_USD = Decimal(1_000_000_000)
"""Above it an amount is a slip, and none that a database keeps."""
_MOST_DIGITS = 15
_MOST_ERRORS = 5
"""Of a configuration, that one message names."""


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class TaskSection(_Section):
    """What is to be learnt."""

    name: str = Field(default="task", min_length=1, max_length=80)
    kind: str = DEFAULT.name
    instructions: str = Field(default="", max_length=20_000)
    labels: dict[str, str] = Field(default_factory=dict, validate_default=True)
    """The answers' names with their descriptions; some kinds know theirs by themselves."""

    @field_validator("labels", mode="before")
    @classmethod
    def _names_only(cls, value: object) -> object:
        return dict.fromkeys(value, "") if isinstance(value, list) else value

    @field_validator("kind")
    @classmethod
    def _runs(cls, value: str) -> str:
        try:
            return find_kind(value).name
        except InvalidInput as error:
            raise ValueError(str(error)) from error

    @field_validator("labels")
    @classmethod
    def _complete(cls, value: dict[str, str], info: ValidationInfo) -> dict[str, str]:
        kind = info.data.get("kind")
        if kind is None:  # which was refused by itself
            return value
        labels = tuple(LabelClass(name, words) for name, words in value.items())
        try:
            task = find_kind(kind).complete(Task("", kind, labels))
        except InvalidInput as error:
            raise ValueError(str(error)) from error
        return {label.name: label.description for label in task.labels}


class DataSection(_Section):
    """Where the examples are."""

    pool: str
    test: str | None = None
    """Gold-labelled examples for the report; no agent ever sees them."""
    validation: str | None = None
    """Gold-labelled examples to steer by; without them people's first labels are used."""
    text: str | list[str] | None = None
    id: str | None = ""
    gold: str | None = None
    encoding: str = "auto"
    """Of text files; `auto` finds it, and the import says what it assumed."""
    header: bool = True
    """Whether the first line of a CSV names the columns."""
    left_out: dict[str, int] = Field(default_factory=dict)
    """Held-out texts that are in the pool too, by key of their file; the import counts them."""
    embedder: EmbedderName = "minilm"


class BudgetSection(_Section):
    """Money, in US dollars."""

    usd: Decimal = Field(default=Decimal(1), gt=0, le=MOST_USD)
    human_label_usd: Decimal = Field(default=Decimal("0.05"), ge=0, le=MOST_USD)

    @field_validator("usd", "human_label_usd", mode="before")
    @classmethod
    def _exact(cls, value: object) -> object:
        try:
            amount = Decimal(str(value))
        except InvalidOperation as error:
            raise ValueError("not an amount of money") from error
        if not amount.is_finite():
            raise ValueError("not a finite amount of money")
        return amount


class ModelsSection(_Section):
    """Which language models, and how to reach them."""

    annotator: str = "local"
    generator: str | None = None
    """The annotator's model, if not named."""
    base_url: str | None = None
    api_key_env: str = "OPENAI_API_KEY"
    in_flight: int = Field(default=32, ge=1, le=1024)
    timeout: float = Field(default=60.0, gt=0)
    patience: float = Field(default=120.0, ge=0)
    """Seconds to put up with an overloaded provider."""
    threads: int | None = Field(default=None, ge=1)
    thinking: int | None = Field(default=None, ge=0, le=200_000)
    """Tokens that a model may think beyond its answer; by its name, and as it turns out."""


class LoopSection(_Section):
    """How the loop turns."""

    batch: int = Field(default=40, ge=1, le=100_000)
    rounds: int = Field(default=10, ge=1, le=10_000)
    chunk: int = Field(default=200, ge=1, le=10_000)
    """Calls between two looks at the mailbox; a local model uses at most 20."""
    seed: int = 0
    strategy: StrategyText = Field(default="auto", max_length=1000)
    """In a table of its own: its name, with its parameters beside it."""
    stopping_rule: StoppingRuleName = "plateau"
    plateau_window: int = Field(default=4, ge=2)
    plateau_delta: float = Field(default=0.002, ge=0, le=1)

    @property
    def stopping_call(self) -> str:
        """The stopping rule with its parameters; those of a bare `plateau` are keys of ours."""
        if self.stopping_rule != "plateau":
            return self.stopping_rule
        return write_call("plateau", {"window": self.plateau_window, "delta": self.plateau_delta})


class ShownSection(_Section):
    """A labelled example that every prompt shows."""

    text: str | dict[str, str]
    """Of a task with several fields, a table of them."""
    label: str

    def fields(self, names: tuple[str, ...]) -> dict[str, str]:
        """Name the fields as the task does."""
        return {names[0]: self.text} if isinstance(self.text, str) else dict(self.text)


class AnnotatorSection(_Section):
    """How the language model labels."""

    enabled: bool = True
    votes: int = Field(default=1, ge=1, le=15)
    shared: int = Field(default=8, ge=0, le=64)
    """Demonstrations that all examples of a round share."""
    nearest: int | None = Field(default=None, ge=0, le=16)
    """Demonstrations retrieved for each example; 4 unless the model is local."""
    calibrate: bool = True
    demonstrations: tuple[ShownSection, ...] = Field(default=(), max_length=64)
    """Shown to the model before all others, from the first round on."""
    unreadable: float = Field(default=0.5, gt=0, le=1)
    """Share of a chunk's replies that cannot be read from which the run pauses; 1 never pauses."""
    labels_by_model: bool = False
    """Whether the trained model may label what the language model gave no answer to."""


class TrainingSection(_Section):
    """What is made of the labels in the end."""

    target: TrainerName = "linear"


class GeneratorSection(_Section):
    """Whether new examples may be written."""

    enabled: bool = True


class PatienceSection(_Section):
    """How long a round waits for its questions to people."""

    share: float = Field(default=0.8, ge=0, le=1)
    """Of the round's questions; 0 waits for none."""
    minutes: float = Field(default=1440.0, ge=0)


class PeopleSection(_Section):
    """Who answers the questions."""

    kind: Literal["inbox", "simulated", "none"] = "inbox"
    error_rate: float = Field(default=0.0, ge=0, le=1)
    """How often a simulated person gives a wrong label."""
    gold: str | None = None
    """Another column that a simulated person answers from (for recorded human labels)."""
    patience: PatienceSection = PatienceSection()
    """A number alone is the share."""
    wait: bool = True
    """Wait for open questions at the end."""

    @field_validator("patience", mode="before")
    @classmethod
    def _share_only(cls, value: object) -> object:
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        return {"share": value} if is_number else value


class RunConfig(_Section):
    """Everything about a run."""

    task: TaskSection
    data: DataSection
    budget: BudgetSection = BudgetSection()
    models: ModelsSection = ModelsSection()
    loop: LoopSection = LoopSection()
    annotator: AnnotatorSection = AnnotatorSection()
    generator: GeneratorSection = GeneratorSection()
    training: TrainingSection = TrainingSection()
    people: PeopleSection = PeopleSection()
    prices: dict[str, dict[str, Any]] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _shows_what_the_task_has(self) -> RunConfig:
        names = self.as_task().fields
        for demonstration in self.annotator.demonstrations:
            if demonstration.label not in self.task.labels:
                raise ValueError(
                    f"annotator.demonstrations has the label {shorten(demonstration.label)}, which "
                    f"is none of the task's ({quoted(self.task.labels)})"
                )
            if set(demonstration.fields(names)) != set(names):
                raise ValueError(
                    f"annotator.demonstrations must give {listed(names)}, the task's fields: "
                    "write text = {" + listed([f'{name} = "..."' for name in names]) + "}"
                )
        return self

    def as_task(self) -> Task:
        """Make the record that agents see."""
        section = self.task
        text = self.data.text
        fields = (text,) if isinstance(text, str) else tuple(text or ("text",))
        return Task(
            name=section.name,
            kind=section.kind,
            labels=tuple(LabelClass(name, words) for name, words in section.labels.items()),
            instructions=section.instructions,
            fields=fields,
        )

    @property
    def generator_model(self) -> str:
        """The generator's model."""
        return self.models.generator or self.models.annotator


def load_config(path: Path | str, *, changes: Mapping[str, Any] | None = None) -> RunConfig:
    """Read a task file and lay changes (`{"loop.batch": 20}`) over it; data paths become absolute.

    Raises `InvalidInput` naming file, key, value and remedy.
    """
    path = Path(path)
    try:
        text = decode(path.read_bytes(), str(path))
        # TOML knows no line ends of a carriage return alone.
        body = tomllib.loads(text.replace("\r\n", "\n").replace("\r", "\n"))
    except FileNotFoundError as error:
        raise InvalidInput(
            f"There is no task file {path}. Check its name, or do without one: querist run "
            "--pool FILE --labels a,b"
        ) from error
    except OSError as error:
        raise InvalidInput(f"{path} cannot be read: {error.strerror or error}.") from error
    except tomllib.TOMLDecodeError as error:
        raise InvalidInput(f"{path} is not valid TOML: {error}") from error
    for key, value in (changes or {}).items():
        put(body, key, value)
    config = make_config(body, source=str(path))
    return config.model_copy(update={"data": _absolute(config.data, path.parent)})


def make_config(body: Mapping[str, Any], *, source: str) -> RunConfig:
    """Validate a configuration; errors name `source`."""
    try:
        config = RunConfig.model_validate(body)
    except ValidationError as error:
        raise InvalidInput(_explain(error, source)) from error
    # Columns that nobody names are found in the file, and checked when it is read.
    if config.data.text is not None:
        try:
            find_kind(config.task.kind).check_fields(config.as_task().fields)
        except InvalidInput as error:
            raise InvalidInput(f"{source}: data.text: {error}") from None
    return config


def put(body: dict[str, Any], key: str, value: Any) -> None:
    """Set a dotted key in nested tables."""
    *parents, last = key.split(".")
    for parent in parents:
        body = body.setdefault(parent, {})
        if not isinstance(body, dict):
            raise InvalidInput(f"--set {key}: {parent!r} is not a table of the task file.")
    body[last] = value


def api_key(config: RunConfig) -> str:
    """Read the API key from the environment variable that the configuration names."""
    return os.environ.get(config.models.api_key_env, "")


def _absolute(data: DataSection, folder: Path) -> DataSection:
    def fix(value: str | None) -> str | None:
        if value is None or value.startswith("hf://") or Path(value).is_absolute():
            return value
        return str((folder / value).resolve())

    paths = {name: fix(getattr(data, name)) for name in ("pool", "test", "validation")}
    return data.model_copy(update=paths)


def _explain(error: ValidationError, source: str) -> str:
    problems = error.errors()
    lines = []
    for problem in problems[:_MOST_ERRORS]:
        key = ".".join(str(part) for part in problem["loc"]) or "the file"
        shown = _written(problem.get("input"))
        remedy = (
            _no_such_key(problem["loc"])
            if problem["type"] == "extra_forbidden"
            else problem["msg"].removeprefix("Value error, ")
        )
        lines.append(f"{source}: {key}{f' = {shown}' if shown else ''}: {remedy}")
    rest = len(problems) - len(lines)
    return "\n".join([*lines, *([f"... and {rest} more like these."] if rest > 0 else [])])


def _no_such_key(place: tuple[int | str, ...]) -> str:
    """Say which keys there are where a key was not expected."""
    *parents, key = map(str, place)
    model: type[BaseModel] = RunConfig
    for parent in parents:
        field = model.model_fields.get(parent)
        kind = field.annotation if field is not None else None
        if not (isinstance(kind, type) and issubclass(kind, BaseModel)):
            return "there is no such key; remove it"
        model = kind
    known = list(model.model_fields)
    return f"there is no such key.{suggest(key, known)} There is: {listed(known, 20)}"


def _written(value: object) -> str:
    """Write a value as a person would in the file; nothing for tables and lists."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, Decimal):
        # Written out, an amount such as 1e999999 would be a megabyte of noughts.
        is_short = value.is_finite() and abs(value.adjusted()) < _MOST_DIGITS
        return f"{value:f}" if is_short else str(value)
    if isinstance(value, str):
        return shorten(value)
    return str(value) if isinstance(value, int | float) else ""
