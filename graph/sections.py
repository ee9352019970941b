"""The tables of a task file, one class each."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal, InvalidOperation
from typing import Literal, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    ValidationInfo,
    field_validator,
    model_validator,
)

from querist.graph.names import (
    AnnotatorName,
    EmbedderName,
    GeneratorName,
    SignalName,
    StoppingRuleName,
    StrategyText,
    TrainerName,
)
from querist.memory.errors import InvalidInput
from querist.memory.records import LabelClass, Task
from querist.tools.calls import read_call, write_call
from querist.tools.kinds import DEFAULT, find_kind

MOST_USD = Decimal(1_000_000_000)
"""Above it an amount is a slip, and none that a database keeps."""
LONGEST_INSTRUCTIONS = 20_000
"""Characters of what annotators are told, with all guidelines."""


class Section(BaseModel):
    """A table of the task file: no other keys than these."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class GuidelineSection(Section):
    """A guideline that a person added while the run went on."""

    text: str
    who: str
    at: datetime
    since: int
    """The version of the guidelines that it came with."""
    until: int | None = None
    """The version that it was taken back with."""
    command: int = 0


class TaskSection(Section):
    """What is to be learnt."""

    name: str = Field(default="task", min_length=1, max_length=80)
    kind: str = DEFAULT.name
    instructions: str = Field(default="", max_length=LONGEST_INSTRUCTIONS)
    labels: dict[str, str] = Field(default_factory=dict, validate_default=True)
    """The answers' names with their descriptions; some kinds know theirs by themselves."""
    guidelines: tuple[GuidelineSection, ...] = ()
    """Added by people while the run goes on."""
    version: int = Field(default=1, ge=1)
    """Of what annotators are told; it counts changes."""
    renamed: dict[str, str] = Field(default_factory=dict)
    """Earlier names of labels, and what each is called now."""

    @model_validator(mode="after")
    def _renamed_to_labels(self) -> Self:
        if not self.renamed.keys().isdisjoint(self.labels):
            raise ValueError("task.renamed has a label that is one of task.labels still")
        if not set(self.renamed.values()) <= set(self.labels):
            raise ValueError("task.renamed calls a label what none of task.labels is called")
        return self

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


class PartSection(Section):
    """A part of the pool: what was there first, or rows that were appended together."""

    rows: int = Field(ge=0)
    reserved: int = Field(ge=0)
    """How many are kept for the audit sample."""
    after: int = -1
    """The last round that there was when they came."""


class DataSection(Section):
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
    parts: tuple[PartSection, ...] = ()
    """Of a pool that rows were appended to, in their order; `querist job extend` writes them."""
    embedder: EmbedderName = "minilm"


class BudgetSection(Section):
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


class ModelsSection(Section):
    """Which language models, and how to reach them."""

    annotator: str = "local"
    generator: str | None = None
    """The annotator's model, if not named."""
    mind: str | None = None
    """Of agents that a language model decides for (see `minds`); the annotator's, if not named."""
    base_url: str | None = None
    api_key_env: str = "OPENAI_API_KEY"
    in_flight: int = Field(default=32, ge=1, le=1024)
    timeout: float = Field(default=60.0, gt=0)
    patience: float = Field(default=120.0, ge=0)
    """Seconds to put up with an overloaded provider."""
    threads: int | None = Field(default=None, ge=1)
    thinking: int | None = Field(default=None, ge=0, le=200_000)
    """Tokens that a model may think beyond its answer; by its name, and as it turns out."""


class LoopSection(Section):
    """How the loop turns."""

    batch: int = Field(default=40, ge=1, le=100_000)
    rounds: int = Field(default=10, ge=1, le=10_000)
    chunk: int = Field(default=200, ge=1, le=10_000)
    """Calls between two looks at the mailbox; a local model uses at most 20."""
    seed: int = 0
    strategy: StrategyText = Field(default="auto", max_length=1000)
    """In a table of its own: its name, with its parameters beside it."""
    stopping_rule: StoppingRuleName = "plateau"
    plateau_window: int = Field(default=3, ge=2)
    plateau_delta: float = Field(default=0.01, ge=0, le=1)

    @property
    def stopping_call(self) -> str:
        """The stopping rule with its parameters; those of a bare `plateau` are keys of ours."""
        if self.stopping_rule != "plateau":
            return self.stopping_rule
        return write_call("plateau", {"window": self.plateau_window, "delta": self.plateau_delta})


class ShownSection(Section):
    """A labelled example that every prompt shows."""

    text: str | dict[str, str]
    """Of a task with several fields, a table of them."""
    label: str

    def fields(self, names: tuple[str, ...]) -> dict[str, str]:
        """Name the fields as the task does."""
        return {names[0]: self.text} if isinstance(self.text, str) else dict(self.text)


class AnnotatorSection(Section):
    """How the language model labels."""

    enabled: bool = True
    method: AnnotatorName = "prompted"
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
    models: tuple[str, ...] = Field(default=(), max_length=8)
    """Besides `models.annotator`: those that the annotator's mind may choose for a round."""


class VerifierSection(Section):
    """How labels are checked."""

    signals: tuple[SignalName, ...] = ("neighbours", "model")
    """What speaks for an answer, besides the annotator."""
    ask: Literal["doubtful", "first"] = "doubtful"
    """Which of a batch people are asked: the first doubtful ones, or simply the first."""

    @field_validator("signals")
    @classmethod
    def _once_each(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        names = [read_call(text)[0] for text in value]
        if len(set(names)) < len(names):
            raise ValueError("each signal is named once")
        return value


class TrainingSection(Section):
    """What is made of the labels in the end."""

    target: TrainerName = "auto"
    """`auto` tunes an encoder where that is known to be worth it, and else delivers the head."""
    minutes: float = Field(default=10.0, gt=0)
    """How long training the target may take."""
    distill: int = Field(default=500, ge=0, le=100_000)
    """Texts that nobody was asked about and the language model may label when the run ends, for a
    tuned target to learn from, where labels held out say that its word helps; 0 for none."""
    self_training: bool = True
    """Whether the loop's head learns from its own surest predictions as well."""


MindName = Literal["rules", "llm", "auto"]


class MindsSection(Section):
    """Who takes the agents' decisions: their rules, or a language model within bounds."""

    mind: MindName = "rules"
    """For all agents; `auto` asks the model where it is likely to matter."""
    selector: MindName | None = None
    """For one agent, where it differs."""
    generator: MindName | None = None
    annotator: MindName | None = None
    verifier: MindName | None = None
    budget_controller: MindName | None = None
    speech: Literal["auto", "tools", "steps", "page"] = "auto"
    """How the model calls tools: by itself, step by step in JSON, or not at all."""
    calls: int = Field(default=8, ge=1, le=50)
    """The most for one decision, as the next three."""
    tokens: int = Field(default=30_000, ge=100)
    seconds: float = Field(default=180.0, gt=0)
    usd: Decimal = Field(default=Decimal("0.05"), ge=0, le=MOST_USD)
    share: float = Field(default=0.1, ge=0, le=1)
    """Of the budget, for all decisions of a run together."""
    every: int = Field(default=5, ge=1)
    """Rounds after which `auto` asks in any case."""
    turns: int = Field(default=2, ge=0, le=6)
    """Turns that each of two agents has where they want different things; 0 lets none speak."""

    def of(self, agent: str) -> MindName:
        """Give the mind of an agent."""
        own: MindName | None = getattr(self, agent, None)
        return own or self.mind


class ChatSection(Section):
    """The supervisor that people chat with."""

    model: str | None = None
    """`models.mind` or the annotator's, if not named; `none` for slash commands alone."""
    usd: Decimal = Field(default=Decimal("0.10"), ge=0, le=MOST_USD)
    """The most that it may spend of the run's budget."""


class LessonsSection(Section):
    """What is learnt for later rounds and runs, and what of that is used."""

    recall: bool = True
    """Use lessons of like tasks: active guidelines in prompts, the rest as facts for minds."""
    adopt: Literal["ask", "measured", "off"] = "ask"
    """When a proposed guideline is taken up: a person approves, or it gained on held-out labels."""
    writer: Literal["rules", "llm"] = "rules"
    """Who writes guidelines; the model is `models.mind`."""
    likeness: float = Field(default=0.6, ge=0, le=1)
    """Cosine of two tasks' vectors from which they are alike."""
    most: int = Field(default=3, ge=0, le=20)
    """Guidelines that a prompt holds, and that a run proposes, at most."""
    usd: Decimal = Field(default=Decimal("0.05"), ge=0, le=MOST_USD)
    """The most that writing and measuring guidelines costs in a run."""


class GeneratorSection(Section):
    """Whether new examples may be written, and how."""

    enabled: bool = True
    method: GeneratorName = "conditioned"


class PatienceSection(Section):
    """How long a round waits for its questions to people."""

    share: float = Field(default=0.8, ge=0, le=1)
    """Of the round's questions; 0 waits for none."""
    minutes: float = Field(default=1440.0, ge=0)


class PeopleSection(Section):
    """Who answers the questions."""

    kind: Literal["inbox", "simulated", "none"] = "inbox"
    error_rate: float = Field(default=0.0, ge=0, le=1)
    """How often a simulated person gives a wrong label."""
    annotators: int = Field(default=1, ge=1, le=20)
    """How many people are simulated."""
    gold: str | None = None
    """Another column that a simulated person answers from (for recorded human labels)."""
    patience: PatienceSection = PatienceSection()
    """A number alone is the share."""
    wait: bool = True
    """Wait for open questions at the end."""
    audit: float = Field(default=0.2, ge=0, le=0.5)
    """The share of people's answers that measures the model and teaches it nothing."""
    second_opinions: float = Field(default=0.0, ge=0, le=1)
    """For which share of people's answers somebody else is asked, too."""
    due_hours: float | None = Field(default=None, gt=0, le=10_000)
    """Hours after which a question is overdue, and is served before others."""
    gold_checks: float = Field(default=0.0, ge=0, le=0.5)
    """Questions of known answers among the others, as a share of people's answers."""

    @field_validator("patience", mode="before")
    @classmethod
    def _share_only(cls, value: object) -> object:
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        return {"share": value} if is_number else value
