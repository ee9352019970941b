"""What a job asks for: typed, versioned, checked before anything is written or spent."""

from __future__ import annotations

import ipaddress
import tomllib
from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import Field, TypeAdapter, ValidationError, field_validator, model_validator

from querist.agents.generator.methods.port import METHODS
from querist.agents.verifier.gates.port import MODEL_GATES
from querist.graph.config import RunConfig, explain, load_config, put
from querist.graph.jobs.cells import check_cells
from querist.graph.jobs.seeds_section import SeedsSection
from querist.graph.jobs.thresholds import thresholds_of
from querist.graph.names import EmbedderName
from querist.graph.sections import BudgetSection, MindsSection, ModelsSection, Section, TaskSection
from querist.memory.errors import InvalidInput
from querist.memory.records import LabelClass, Task
from querist.tools.calls import read_call
from querist.tools.data.encoding import decode
from querist.tools.gates.form import validator_of
from querist.tools.gates.port import GATES
from querist.tools.gates.sampling import least_sample
from querist.tools.kinds import DEFAULT

_MOST_ROWS = 100_000_000
_USUAL_GATES = ("schema", "length", "exact", "embedding")


class WebhookSection(Section):
    """Who is told when a job is done, failed, waits for people or has spent 80 %."""

    url: str
    secret_env: str = "QUERIST_SECRET"  # noqa: S105 - its name
    """The environment variable, of the worker, that holds the secret for the signature."""
    private: bool = False
    """Whether the address may be a private one."""

    @field_validator("url")
    @classmethod
    def _is_address(cls, value: str) -> str:
        parts = urlsplit(value)
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            raise ValueError("a webhook is an http:// or https:// address")
        return value

    @model_validator(mode="after")
    def _is_allowed(self) -> WebhookSection:
        # Names are looked up when they are called; a number can be refused before the work.
        host = urlsplit(self.url).hostname or ""
        if not self.private and is_private_number(host):
            raise ValueError(private_words(host, host))
        return self


def is_private_number(host: str) -> bool:
    """Tell whether a host is written as an address that only a private network knows."""
    try:
        return not ipaddress.ip_address(host).is_global
    except ValueError:
        return False


def private_words(host: str, address: str) -> str:
    """Say why an address is not called."""
    return (
        f"{host} is the private address {address}, and those are not called. Allow it with "
        "webhook.private = true, if it is yours"
    )


class _Common(Section):
    """What every job may say."""

    version: Literal[1] = 1
    name: str = Field(default="job", min_length=1, max_length=80)
    priority: int = Field(default=0, ge=-1_000, le=1_000)
    """The higher goes first."""
    minutes: float | None = Field(default=None, gt=0)
    """From the submission; what is there by then is delivered."""
    webhook: WebhookSection | None = None


class LabelRequest(_Common):
    """Label a pool: what a task file says."""

    kind: Literal["label"]
    config: RunConfig


class AttributeSection(Section):
    """Something that the rows vary in."""

    values: tuple[str, ...] = Field(min_length=1, max_length=200)
    shares: tuple[float, ...] | None = None
    """Equal ones, if not given."""

    @model_validator(mode="after")
    def _fits(self) -> AttributeSection:
        if len(set(self.values)) < len(self.values):
            raise ValueError("a value is named twice")
        if self.shares is not None:
            if len(self.shares) != len(self.values):
                raise ValueError(f"{len(self.values)} values have {len(self.shares)} shares")
            _check_shares(self.shares)
        return self


class RecordSection(Section):
    """Free records, instead of a task with labels."""

    json_schema: dict[str, Any] = Field(alias="schema")
    instructions: str = Field(default="", max_length=20_000)

    @field_validator("json_schema")
    @classmethod
    def _is_schema(cls, value: dict[str, Any]) -> dict[str, Any]:
        if value.get("type") != "object" or not value.get("properties"):
            raise ValueError('the schema of a record is of type "object" and has properties')
        try:
            validator_of(value)
        except InvalidInput as error:
            raise ValueError(str(error)) from None
        return value


class SampleSection(Section):
    """A sample of the rows that people label, without being told what they were written as."""

    sample: int = Field(default=0, ge=0, le=10_000)
    """How many rows; 0 asks nobody."""
    bound: float = Field(default=0.1, gt=0, lt=1)
    """The share of wrong rows that must not be reached (with 90 % confidence)."""

    @model_validator(mode="after")
    def _can_tell(self) -> SampleSection:
        if self.sample and self.sample < (least := least_sample(self.bound)):
            raise ValueError(
                f"{self.sample} answers cannot show an error below {self.bound:.0%}, not even "
                f"without a wrong one: ask about {least} rows at least"
            )
        return self


class CreateModels(ModelsSection):
    """Who writes and who checks."""

    checker: str | None = None
    """Who judges where a gate asks a model; the writer only if it is named here."""

    @property
    def writer(self) -> str:
        """The model that writes."""
        return self.generator or self.annotator


class CreateRequest(_Common):
    """Create rows that pass gates."""

    kind: Literal["create"]
    rows: int = Field(ge=1, le=_MOST_ROWS)
    task: TaskSection | None = None
    shares: dict[str, float] = Field(default_factory=dict)
    """Of each label; equal ones, if not given. A label of share 0 is not written."""
    record: RecordSection | None = None
    seeds: SeedsSection = SeedsSection()
    attributes: dict[str, AttributeSection] = Field(default_factory=dict)
    never: tuple[dict[str, str], ...] = ()
    """Combinations that are not written: `{tone = "angry", label = "praise"}`."""
    methods: tuple[str, ...] = Field(default=("conditioned",), min_length=1)
    gates: tuple[str, ...] = _USUAL_GATES
    people: SampleSection = SampleSection()
    tests: tuple[str, ...] = ()
    """Files whose texts must not be given away; see the gate `contamination`."""
    budget: BudgetSection = BudgetSection()
    models: CreateModels = CreateModels()
    prices: dict[str, dict[str, Any]] = Field(default_factory=dict)
    embedder: EmbedderName = "minilm"
    per_call: int = Field(default=4, ge=1, le=50)
    """Rows that a call asks for."""
    tokens: int = Field(default=100, ge=10, le=4_000)
    """That a row may take."""
    patience: int = Field(default=60, ge=10, le=100_000)
    """Rows in a row without an accepted one after which a job gives up."""
    learn: bool = True
    """Whether the commonest reasons of rejection go into the next prompts."""
    seed: int = Field(default=0, ge=0, le=100_000)
    minds: MindsSection = MindsSection()
    """Who takes the agents' decisions, as in a task file."""
    bounds: dict[str, dict[str, tuple[float, float]]] = Field(default_factory=dict)
    """Within which the verifier may move thresholds: `{label_check = {least = [0.4, 0.7]}}`."""

    @model_validator(mode="after")
    def _is_whole(self) -> CreateRequest:
        if (self.task is None) == (self.record is None):
            raise ValueError(
                "say what is to be written: either [task] with labels, or [record] with a schema"
            )
        _check_names(self.methods, self.gates)
        thresholds_of(self.gates, self.bounds)
        self._check_needs()
        self._check_shown()
        if unknown := set(self.shares) - set(self.labels):
            raise ValueError(f"shares names {sorted(unknown)}, which are no labels of the task")
        if self.shares:
            _check_shares(tuple(self.shares.values()))
        check_cells(self.labels, self.shares, self.attributes, self.never)
        return self

    def _check_needs(self) -> None:
        for text in self.methods:
            name = read_call(text)[0]
            needs = METHODS.read(text).needs
            if "seeds" in needs and not self.seeds.has_rows:
                raise ValueError(f"the method {name} works on seeds: name them in seeds.file")
            if "passages" in needs and self.seeds.passages is None:
                raise ValueError(f"the method {name} needs a text in seeds.passages")
            if "labels" in needs and (len(self.labels) < 2 or not self.seeds.has_labels):
                raise ValueError(
                    f"the method {name} needs a task of two labels or more, and seeds with labels "
                    "(seeds.label names their column)"
                )
        self._check_labels()

    def _check_labels(self) -> None:
        if self.seeds.run is not None and not self.labels:
            raise ValueError("seeds.run gives labelled texts, and free records have no labels")
        named = {*self.seeds.confused, *self.seeds.confused.values()}
        if strange := named - set(self.labels):
            raise ValueError(f"seeds.confused names {sorted(strange)}, which are no labels")
        if self.people.sample and not self.labels:
            raise ValueError("people.sample compares labels, and free records have none")
        for name, _ in map(read_call, self.gates):
            if name in {"label_check", "classifier", "trial"} and not self.labels:
                raise ValueError(f"the gate {name} compares labels, and free records have none")
            if name in {"classifier", "trial"} and not self.seeds.has_labels:
                raise ValueError(f"the gate {name} learns from seeds.file and seeds.label")
            if name == "contamination" and not self.tests:
                raise ValueError("the gate contamination needs files to compare with: tests")

    def _check_shown(self) -> None:
        if self.seeds.show != "random" and not self.seeds.has_rows:
            raise ValueError(f"seeds.show = {self.seeds.show!r} needs seeds: name them, seeds.file")
        if self.seeds.show == "hard" and (len(self.labels) < 2 or not self.seeds.has_labels):
            raise ValueError(
                'seeds.show = "hard" needs a task of two labels or more, and seeds with labels '
                "(seeds.label names their column)"
            )

    @property
    def labels(self) -> tuple[str, ...]:
        """The classes, of a task."""
        return () if self.task is None else tuple(self.task.labels)

    @property
    def wanted(self) -> tuple[str, ...]:
        """The classes that rows are wanted of: seeds and gates need to know no others."""
        return tuple(name for name in self.labels if not self.shares or self.shares.get(name))

    @property
    def asking_gates(self) -> tuple[str, ...]:
        """The gates that ask a model."""
        known = {entry.name for entry in MODEL_GATES.entries()}
        return tuple(text for text in self.gates if read_call(text)[0] in known)

    def as_task(self) -> Task:
        """Make the record that agents see."""
        if self.record is not None:
            fields = tuple(self.record.json_schema["properties"])
            # No labels: nothing of the kind is asked for but that there is one.
            return Task(self.name, DEFAULT.name, (), self.record.instructions, fields)
        assert self.task is not None  # one of both, as was checked
        labels = tuple(LabelClass(name, words) for name, words in self.task.labels.items())
        text = self.seeds.text if isinstance(self.seeds.text, str) else "text"
        return Task(self.task.name, self.task.kind, labels, self.task.instructions, (text,))


JobRequest = Annotated[LabelRequest | CreateRequest, Field(discriminator="kind")]
"""Either of both kinds of job."""
_ADAPTER: TypeAdapter[LabelRequest | CreateRequest] = TypeAdapter(JobRequest)


def _check_shares(shares: tuple[float, ...]) -> None:
    """Refuse shares that are negative or do not add up to 1."""
    if min(shares) < 0 or abs(sum(shares) - 1) > 0.001:
        written = " + ".join(f"{share:g}" for share in shares)
        raise ValueError(f"the shares must add up to 1, and {written} = {sum(shares):g}")


def _check_names(methods: tuple[str, ...], gates: tuple[str, ...]) -> None:
    known = {entry.name for entry in MODEL_GATES.entries()}
    try:
        for text in methods:
            METHODS.check(text)
        for text in gates:
            (MODEL_GATES if read_call(text)[0] in known else GATES).read(text)
    except InvalidInput as error:
        raise ValueError(str(error)) from None
    names = [read_call(text)[0] for text in gates]
    twice = sorted({name for name in names if names.count(name) > 1} - {"regex", "json", "rubric"})
    if twice:
        raise ValueError(f"gates names {', '.join(twice)} twice")


def read_request(body: Mapping[str, Any], *, source: str) -> LabelRequest | CreateRequest:
    """Validate a request; raises `InvalidInput` that names `source`, key, value and remedy."""
    try:
        return _ADAPTER.validate_python(dict(body))
    except ValidationError as error:
        if body.get("kind") not in ("label", "create"):
            raise InvalidInput(
                f'{source}: kind must be "label" or "create", and is {body.get("kind")!r}.'
            ) from None
        raise InvalidInput(explain(error, source, prefix=str(body["kind"]))) from None


def load_request(
    path: Path | str, *, changes: Mapping[str, Any] | None = None
) -> LabelRequest | CreateRequest:
    """Read a job file, or a task file as a job to label its pool; paths become absolute.

    `changes` are laid over it (`{"rows": 20}`). Raises `InvalidInput`.
    """
    path = Path(path)
    try:
        text = decode(path.read_bytes(), str(path)).replace("\r\n", "\n").replace("\r", "\n")
        body = tomllib.loads(text)
    except FileNotFoundError:
        raise InvalidInput(f"There is no job file {path}.") from None
    except OSError as error:
        raise InvalidInput(f"{path} cannot be read: {error.strerror or error}.") from error
    except tomllib.TOMLDecodeError as error:
        raise InvalidInput(f"{path} is not valid TOML: {error}") from error
    if "kind" not in body and "data" in body:
        config = load_config(path, changes=changes)
        return read_request(_label(config), source=str(path))
    for key, value in (changes or {}).items():
        put(body, key, value)
    if body.get("kind") == "label" and isinstance(body.get("task"), str):
        config = load_config(path.parent / body.pop("task"))
        return read_request({**_label(config), **body}, source=str(path))
    return read_request(_absolute(body, path.parent), source=str(path))


def _label(config: RunConfig) -> dict[str, Any]:
    return {"kind": "label", "name": config.task.name, "config": config.model_dump(mode="json")}


def _absolute(body: dict[str, Any], folder: Path) -> dict[str, Any]:
    def fix(value: Any) -> Any:
        is_path = isinstance(value, str) and not value.startswith("hf://")
        return str((folder / value).resolve()) if is_path else value

    seeds = body.get("seeds")
    if isinstance(seeds, dict):
        fixed = {key: fix(seeds[key]) for key in ("file", "passages") if key in seeds}
        body = {**body, "seeds": {**seeds, **fixed}}
    if isinstance(body.get("tests"), list):
        body = {**body, "tests": [fix(value) for value in body["tests"]]}
    return body


def cap_of(request: LabelRequest | CreateRequest) -> Decimal:
    """Tell what a job may spend."""
    return request.config.budget.usd if isinstance(request, LabelRequest) else request.budget.usd
