"""From what was typed after `querist choose` to a configuration and arms, or one clear message."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from querist.agents.annotator.prompt import Demonstration
from querist.app.terminal.inputs import Inputs
from querist.graph.choosing.heads import PROPOSERS
from querist.graph.choosing.labellers import METHODS, Piece
from querist.graph.config import RunConfig
from querist.memory.answers import name_of
from querist.memory.errors import InvalidInput
from querist.tools.data.encoding import decode
from querist.tools.data.load import ColumnMap, Imported, load_examples
from querist.tools.kinds import find_kind
from querist.tools.money.prices import PriceList
from querist.tools.wording import listed, shorten, suggest

_EXAMPLES = {
    "prompt": "querist choose prompt task.toml prompts/*.md --budget 0.5",
    "context": "querist choose context task.toml demonstrations.jsonl --top 4",
    "model": "querist choose model task.toml local openai:gpt-5-mini --budget 1",
    "features": "querist choose features table.csv --target price",
    "hyperparameters": "querist choose hyperparameters task.toml",
    "architecture": "querist choose architecture task.toml",
    "examples": "querist choose examples task.toml --labels 50 --output to-annotate.jsonl",
    "evaluation": "querist choose evaluation task.toml --labels 50",
}
"""What can be chosen, each with a command to start from."""
_OTHER_METHODS = {
    "evaluation": ("lure", "ase"),
    "features": ("score", "rank", "seq"),
    "architecture": ("generations", "ti-ucb"),
}
_PASSAGES = {".md", ".txt"}
_LONGEST = 20_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """The words of `querist choose`."""

    what: str
    subject: Path | None = None
    arms: Sequence[str] = ()
    method: str | None = None
    evaluations: int | None = None
    top: int | None = None
    labels: int | None = None
    target: str | None = None
    of: str = "annotator"
    propose: str | None = None
    by_length: bool = False
    answers: Path | None = None
    output: Path | None = None
    encoding: str | None = None
    budget: str | None = None
    model: str | None = None
    base_url: str | None = None
    prices: Sequence[str] = ()
    changes: Sequence[str] = ()
    seed: int | None = None

    def check(self) -> None:
        """Refuse what cannot be meant, before anything is read."""
        if self.what not in _EXAMPLES:
            raise InvalidInput(
                f"There is no choosing {shorten(self.what)}.{suggest(self.what, _EXAMPLES)} "
                f"There is: {', '.join(_EXAMPLES)}. For example: {_EXAMPLES['prompt']}"
            )
        if self.subject is None:
            raise InvalidInput(f"What to choose for is missing. For example: {self.example}")
        if self.arms and self.what not in {"prompt", "context", "model"}:
            raise InvalidInput(
                f"{listed(self.arms)}: choosing {self.what} takes one file. For example: "
                f"{self.example}"
            )
        if self.output is not None and not self.output.expanduser().parent.is_dir():
            raise InvalidInput(
                f"--output {self.output}: there is no folder {self.output.parent}; make it first."
            )
        if self.what == "evaluation" and self.labels is None:
            raise InvalidInput(
                f"--labels N is missing: how many examples may be labelled. For example: "
                f"{self.example}"
            )
        known = (*METHODS.get(self.what, ()), *_OTHER_METHODS.get(self.what, ()))
        self._check("--method", self.method, known)
        self._check("--propose", self.propose, PROPOSERS)
        self._check("--of", self.of, ("annotator", "head"))
        if self.evaluations is not None and not self._evaluates:
            raise InvalidInput(
                f"--evaluations {self.evaluations} says nothing here: this search trains as much "
                "as it needs, in seconds. Leave it out."
            )

    @property
    def _evaluates(self) -> bool:
        """Tell whether a number of evaluations means something for what is chosen."""
        if self.what == "architecture":
            return self.method == "ti-ucb"
        if self.what == "hyperparameters":
            return self.of == "annotator"
        return self.what in METHODS and self.method not in {"go", "mmr"}

    @property
    def example(self) -> str:
        """A command that works."""
        return _EXAMPLES[self.what]

    def config(self) -> RunConfig:
        """Read the task file with the options laid over it."""
        assert self.subject is not None
        options = {
            "encoding": self.encoding,
            "budget": self.budget,
            "base_url": self.base_url,
            "prices": self.prices,
            "changes": self.changes,
            "seed": self.seed,
        }
        if self.what == "features":
            return self._table_config()
        model = self.model
        if self.what == "model":
            self._refuse_model()
            remote = [name for name in self.arms if name.partition(":")[0] != "local"]
            model = (remote or list(self.arms))[0]
        config = Inputs(task=self.subject, model=model, **options).config()  # type: ignore[arg-type]
        for name in self.arms if self.what == "model" else ():
            PriceList.load(config.prices).price_of(name)
        return config

    def _table_config(self) -> RunConfig:
        if self.target is None:
            raise InvalidInput(
                f"--target COLUMN is missing: what the features are to predict. For example: "
                f"{self.example}"
            )
        # The loop's settings of models and money serve here too; the table is never labelled.
        inputs = Inputs(
            pool=str(self.subject),
            labels="kept,left",
            encoding=self.encoding,
            budget=self.budget,
            model=self.model,
            base_url=self.base_url,
            prices=self.prices,
            changes=self.changes,
            seed=self.seed,
        )
        return inputs.config()

    def _refuse_model(self) -> None:
        if self.model is not None:
            raise InvalidInput(
                f"--model {self.model}: name the models to choose from after the task file. For "
                f"example: {self.example}"
            )
        _refuse_few(self.arms, "models", self.example)
        twice = sorted({name for name in self.arms if self.arms.count(name) > 1})
        if twice:
            raise InvalidInput(f"{listed(twice)} is named twice; name each model once.")

    def _check(self, option: str, value: str | None, known: Sequence[str]) -> None:
        if value is None or value in known:
            return
        if not known:
            raise InvalidInput(f"{option} {value}: there is one way to choose {self.what}.")
        raise InvalidInput(
            f"{option} {value}: unknown for {self.what}.{suggest(value, known)} There is: "
            f"{listed(known)}."
        )


def read_prompts(wanted: Wanted) -> dict[str, str]:
    """Read prompt files: instructions by file name."""
    paths = _expand(wanted.arms, wanted.example, "prompt files")
    texts = {str(path): _text(path) for path in paths}
    for name, text in texts.items():
        other = next(
            (earlier for earlier, said in texts.items() if earlier < name and said == text), None
        )
        if other is not None:
            raise InvalidInput(f"{other} and {name} say the same; leave one of them out.")
    _refuse_few(paths, "prompts", wanted.example)
    return texts


def read_pieces(wanted: Wanted, config: RunConfig) -> list[Piece]:
    """Read contexts: passages from .md and .txt files, labelled demonstrations from data files."""
    pieces: list[Piece] = []
    for path in _expand(wanted.arms, wanted.example, "contexts"):
        if path.suffix in _PASSAGES:
            pieces.append(Piece(str(path), passage=_text(path)))
        else:
            pieces += _demonstrations(path, config)
    _refuse_few(pieces, "contexts", wanted.example)
    return pieces


def read_answers(path: Path | None, config: RunConfig) -> dict[str, str] | None:
    """Read what people answered: labels by example id."""
    if path is None:
        return None
    text = config.data.text
    fields = (text,) if isinstance(text, str) else tuple(text or ())
    columns = ColumnMap(fields=fields, id="id", gold="label")
    found = _load(path, columns, config)
    return {example.id: name_of(example.gold) for example in found.examples if example.gold}


def _load(path: Path, columns: ColumnMap, config: RunConfig) -> Imported:
    data, labels = config.data, tuple(config.task.labels)
    return load_examples(
        path,
        columns=columns,
        labels=labels,
        kind=find_kind(config.task.kind),
        encoding=data.encoding,
        header=data.header,
    )


def write_records(path: Path, records: Sequence[object]) -> None:
    """Write JSON lines."""
    lines = [json.dumps(record, ensure_ascii=False) for record in records]
    try:
        path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    except OSError as error:
        raise InvalidInput(f"{path} cannot be written: {error.strerror or error}.") from error


def _demonstrations(path: Path, config: RunConfig) -> list[Piece]:
    text = config.data.text
    fields = (text,) if isinstance(text, str) else tuple(text or ())
    columns = ColumnMap(fields=fields, gold=config.data.gold or "label")
    found = _load(path, columns, config)
    rows = [(example, example.gold) for example in found.examples if example.gold]
    if not rows:
        raise InvalidInput(f"{path} has no rows with a label, so there is nothing to show.")
    return [
        Piece(
            name=f"{path.name}:{row.id}",
            shown=Demonstration(row, answer),
            record={"id": row.id, **row.fields, "label": name_of(answer)},
        )
        for row, answer in rows
    ]


def _expand(patterns: Sequence[str], example: str, noun: str) -> list[Path]:
    """Find the files; a pattern that the shell left as it is matches here."""
    if not patterns:
        raise InvalidInput(f"There are no {noun} to choose from. For example: {example}")
    found: dict[Path, None] = {}
    for pattern in patterns:
        path = Path(pattern).expanduser()
        matches = [path] if path.is_file() else sorted(_glob(path))
        if not matches:
            raise InvalidInput(
                f"No file matches {pattern}. Give existing files, for example: {example}"
            )
        found.update(dict.fromkeys(matches))
    return list(found)


def _glob(path: Path) -> list[Path]:
    base = Path(path.anchor) if path.is_absolute() else Path()
    pattern = str(path.relative_to(path.anchor)) if path.is_absolute() else str(path)
    if not any(mark in pattern for mark in "*?["):
        return [entry for entry in path.iterdir() if entry.is_file()] if path.is_dir() else []
    return [entry for entry in base.glob(pattern) if entry.is_file()]


def _text(path: Path) -> str:
    try:
        text = decode(path.read_bytes(), str(path)).strip()
    except OSError as error:
        raise InvalidInput(f"{path} cannot be read: {error.strerror or error}.") from error
    if not text:
        raise InvalidInput(f"{path} is empty; write what annotators are to go by, or leave it out.")
    if len(text) > _LONGEST:
        raise InvalidInput(
            f"{path} has {len(text):,} characters, and {_LONGEST:,} are the most that instructions "
            "may have; shorten it."
        )
    return text


def _refuse_few(arms: Sequence[object], noun: str, example: str) -> None:
    if len(arms) < 2:
        raise InvalidInput(
            f"There {'is one' if arms else 'are no'} {noun if not arms else noun[:-1]} to choose "
            f"from; name two or more. For example: {example}"
        )
