"""A run's configuration: TOML in, every error with file, key, value and remedy out.

This is the only place below `app/` that reads the environment.
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

from pydantic import (
    BaseModel,
    Field,
    ValidationError,
    model_validator,
)

from querist.graph.sections import (
    AnnotatorSection,
    BudgetSection,
    ChatSection,
    DataSection,
    GeneratorSection,
    LessonsSection,
    LoopSection,
    MindsSection,
    ModelsSection,
    PeopleSection,
    Section,
    TaskSection,
    TrainingSection,
    VerifierSection,
)
from querist.memory.errors import InvalidInput
from querist.memory.records import LabelClass, Task
from querist.tools.calls import read_call, write_call
from querist.tools.data.encoding import decode
from querist.tools.kinds import find_kind
from querist.tools.wording import listed, quoted, shorten, suggest

_MOST_DIGITS = 15
_MOST_ERRORS = 5
"""Of a configuration, that one message names."""


class RunConfig(Section):
    """Everything about a run."""

    task: TaskSection
    data: DataSection
    budget: BudgetSection = BudgetSection()
    models: ModelsSection = ModelsSection()
    minds: MindsSection = MindsSection()
    chat: ChatSection = ChatSection()
    lessons: LessonsSection = LessonsSection()
    loop: LoopSection = LoopSection()
    annotator: AnnotatorSection = AnnotatorSection()
    generator: GeneratorSection = GeneratorSection()
    verifier: VerifierSection = VerifierSection()
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
        return _as_task(self.task, self.data.text)

    @property
    def mind_model(self) -> str:
        """The model that agents deliberate with."""
        return self.models.mind or self.models.annotator

    @property
    def answer_usd(self) -> Decimal:
        """What a person's answer costs with the second opinions and gold checks that it brings."""
        checks = Decimal(str(self.people.second_opinions + self.people.gold_checks))
        return self.budget.human_label_usd * (1 + checks) if checks else self.budget.human_label_usd

    @property
    def distilled(self) -> int:
        """How many texts the language model may label when the run ends, for a tuned target."""
        target, embedder = (
            read_call(name)[0] for name in (self.training.target, self.data.embedder)
        )
        is_tuned = target == "fine_tuned" or (target == "auto" and embedder == "minilm")
        are_there = self.annotator.enabled and self.people.kind != "none"
        return self.training.distill if is_tuned and are_there else 0

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


def stored_task(body: Mapping[str, Any]) -> Task:
    """Make the record of a configuration that was checked before it was stored.

    Nothing else of it is checked again, which would load whatever it names.
    """
    return _as_task(TaskSection.model_validate(body["task"]), body["data"].get("text"))


def _as_task(section: TaskSection, text: str | Sequence[str] | None) -> Task:
    fields = (text,) if isinstance(text, str) else tuple(text or ("text",))
    said = [guideline.text for guideline in section.guidelines if guideline.until is None]
    return Task(
        name=section.name,
        kind=section.kind,
        labels=tuple(LabelClass(name, words) for name, words in section.labels.items()),
        instructions="\n".join([section.instructions, *said]).strip()
        if said
        else section.instructions,
        fields=fields,
        version=section.version,
    )


def make_config(body: Mapping[str, Any], *, source: str) -> RunConfig:
    """Validate a configuration; errors name `source`."""
    try:
        config = RunConfig.model_validate(body)
    except ValidationError as error:
        raise InvalidInput(explain(error, source)) from error
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

    paths: dict[str, str | None]
    paths = {name: fix(getattr(data, name)) for name in ("pool", "test", "validation")}
    paths["embedder"] = _located(data.embedder, folder)
    return data.model_copy(update=paths)


def _located(embedder: str, folder: Path) -> str:
    """Write the folder of an embedder's weights in full, so that its model predicts anywhere."""
    name, values = read_call(embedder)
    model = values.get("model")
    if not isinstance(model, str) or not (folder / model).is_dir():
        return embedder
    return write_call(name, {**values, "model": str((folder / model).resolve())})


def explain(error: ValidationError, source: str, *, prefix: str = "") -> str:
    """Say what is wrong with a file: its name, the key, the value and what to do.

    `prefix` is a first part of the keys that the file does not write.
    """
    problems = error.errors()
    lines = []
    for problem in problems[:_MOST_ERRORS]:
        place = problem["loc"]
        is_inner = prefix and place and place[0] == prefix
        place = place[1:] if is_inner else place
        key = ".".join(str(part) for part in place) or "the file"
        shown = _written(problem.get("input"))
        remedy = (
            (_no_such_key(place) if not prefix else "there is no such key; remove it")
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
