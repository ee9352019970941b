"""How many planted faults each gate finds, and how many good rows it takes for faults.

    python -m querist.evals.creation.planted_faults [--seeds 6] [--rows 300]

The texts are those of the bundled example, embedded by MiniLM. A writer hands out half good rows
(texts of the pool that are no seeds, with their right label), and eleven kinds of faults in equal
parts.
"""

from __future__ import annotations

import argparse
import json
import random
import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

from querist.agents.models.port import ChatReply, ChatRequest, Usage
from querist.agents.models.providers.scripted import ScriptedModel
from querist.evals.creation.one_job import STRONG, WRITER, Ran, run_job
from querist.evals.creation.scripted_world import label_of
from querist.memory.records import Confidence
from querist.tools.arms.protocol import wilson

GOOD = "good rows"
FAULTS = (
    "copy of a seed",
    "copy, case and marks changed",
    "copy, one word in ten changed",
    "copy, one word in four changed",
    "copy of an earlier row, case and marks changed",
    "wrong label",
    "test text",
    "test text within other words",
    "short test text within other words",
    "test text, one word in six changed",
    "one topic only",
)
_GATES: Mapping[str, tuple[str, ...]] = {
    "exact": ("exact",),
    "minhash": ("minhash",),
    "embedding": ("embedding",),
    "contamination": ("contamination",),
    "classifier": ("classifier",),
    "label_check": ("label_check",),
    "all": ("exact", "minhash", "contamination", "embedding", "classifier", "label_check"),
    "minhash(run=1)": ("minhash(run=1)",),
}
_SKILL = (0.8, 1.0)
"""The checker is right in 0.9 of the cases, and knows how sure it is."""
_EACH = 20
"""Seeds of a class."""
_SHORT = 6
"""Words of a short test text: less than the run that the gate contamination looks for."""
_CUT = 40
"""Test texts that are cut to short ones."""
_TOPIC = "plumbing"
_TAPS = (
    ("The kitchen tap", "My kitchen faucet", "The mixer over the kitchen sink", "Our kitchen tap"),
    ("drips", "is dripping again", "won't stop dripping", "loses a drop every second"),
    ("since Monday", "all night", "even when it is turned off", "and the bucket is full by noon"),
    ("please send a plumber", "can someone come", "it drives me mad", "thanks for a quick repair"),
)


@dataclass(frozen=True, slots=True)
class Planted:
    """A row as it is handed out."""

    text: str
    fault: str
    truth: str
    """Its right label."""
    wanted: str
    """The label that it is written as."""


@dataclass(frozen=True, slots=True)
class Plot:
    """What one seed of the experiment plays with."""

    seeds: tuple[tuple[str, str], ...]
    tests: tuple[tuple[str, str], ...]
    rows: tuple[Planted, ...]

    @property
    def labels(self) -> list[str]:
        """The classes."""
        return sorted({label for _, label in self.seeds})


def plot(seed: int, *, rows: int) -> Plot:
    """Draw seeds, and rows of which half are good and each fault has an equal part."""
    rng = random.Random(seed)  # noqa: S311 - a simulation
    pool, tests = _texts("pool.jsonl"), _texts("test.jsonl")
    cut = [(" ".join(text.split()[:_SHORT]), label) for text, label in tests[:_CUT]]
    tests = cut + tests[_CUT:]
    rng.shuffle(pool)
    counts: Counter[str] = Counter()
    seeds: list[tuple[str, str]] = []
    stock: list[tuple[str, str]] = []
    for text, label in pool:
        counts[label] += 1
        (seeds if counts[label] <= _EACH else stock).append((text, label))
    words = [word for text, _ in pool for word in text.split()]
    good = [Planted(text, GOOD, label, label) for text, label in stock[: rows // 2]]
    others = stock[rows // 2 :]
    each = rows // 2 // len(FAULTS)
    planted = [
        row
        for fault in FAULTS
        for row in _plant(
            fault, each, seeds=seeds, tests=tests, stock=others, good=good, words=words, rng=rng
        )
    ]
    # Copies of earlier rows come after what they are copies of.
    late = [row for row in planted if row.fault == FAULTS[4]]
    early = good + [row for row in planted if row.fault != FAULTS[4]]
    rng.shuffle(early)
    return Plot(tuple(seeds), tuple(tests), (*early, *late))


def _plant(
    fault: str,
    count: int,
    *,
    seeds: Sequence[tuple[str, str]],
    tests: Sequence[tuple[str, str]],
    stock: Sequence[tuple[str, str]],
    good: Sequence[Planted],
    words: Sequence[str],
    rng: random.Random,
) -> Iterator[Planted]:
    earlier = [(row.text, row.truth) for row in good]
    labels = sorted({label for _, label in seeds})
    sources = {
        "copy of an": earlier,
        "wrong label": stock,
        "test text": [(text, label) for text, label in tests if not _is_short(text)],
        "short test text": [(text, label) for text, label in tests if _is_short(text)],
    }
    source = next((found for key, found in sources.items() if fault.startswith(key)), seeds)
    topics = rng.sample([(a, b, c, d) for a in range(4) for b in range(4) for c in range(4)
                         for d in range(4)], count)  # fmt: skip
    for place, (text, label) in enumerate(rng.sample(list(source), min(count, len(source)))):
        wanted = label
        if fault == "wrong label":
            wanted = rng.choice([name for name in labels if name != label])
        if fault == "one topic only":
            parts = [_TAPS[i][j] for i, j in enumerate(topics[place])]
            yield Planted("{} {} {}, {}".format(*parts), fault, _TOPIC, _TOPIC)
            continue
        yield Planted(_changed(text, fault, words, rng), fault, label, wanted)


def _changed(text: str, fault: str, words: Sequence[str], rng: random.Random) -> str:
    if "case and marks" in fault:
        return text.upper().replace(",", " -").replace(".", "!") + " !"
    if "within other words" in fault:
        before = rng.choice(["Hello, I live on the third floor.", "Hi, a short note from flat 12."])
        return f"{before} {text} Looking forward to your reply."
    every = {"one word in ten": 10, "one word in four": 4, "one word in six": 6}
    for key, step in every.items():
        if key in fault:
            pieces = text.split()
            for start in range(0, len(pieces), step):
                place = min(len(pieces) - 1, start + rng.randrange(step))
                pieces[place] = rng.choice(words)
            return " ".join(pieces)
    return text


def _is_short(text: str) -> bool:
    return len(text.split()) <= _SHORT


def _texts(name: str) -> list[tuple[str, str]]:
    file = resources.files("querist.examples.tenant_requests") / name
    rows = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
    return [(" ".join(row["text"].split()), row["label"]) for row in rows]


class _Hand:
    """Hands the rows of a plot out, each once, to whoever asks for their label."""

    def __init__(self, drawn: Plot) -> None:
        self._left = {
            label: [row.text for row in drawn.rows if row.wanted == label] for label in drawn.labels
        }

    def write(self, request: ChatRequest) -> str:
        left = self._left[label_of(request)]
        texts, left[:4] = left[:4], []
        return json.dumps({"texts": texts})


def _checker(drawn: Plot, seed: int) -> ScriptedModel:
    truth = {row.text: row.truth for row in drawn.rows}
    # The longest first: one text may stand in another.
    known = sorted(truth, key=len, reverse=True)

    def answer(request: ChatRequest) -> ChatReply:
        asked = request.messages[-1].content
        plain = {asked, *_strings(asked)}
        text = next(
            (known_text for known_text in known if any(known_text in said for said in plain)), None
        )
        names = request.choices
        chances = dict.fromkeys(names, 1 / len(names))
        if text is not None:
            rng = random.Random(f"{seed}{text}")  # noqa: S311 - a simulation
            sure = rng.uniform(*_SKILL)
            right = truth[text]
            wrong = rng.choice([name for name in names if name != right])
            said = right if rng.random() < sure else wrong
            rest = (1 - sure) / (len(names) - 1)
            chances = {name: sure if name == said else rest for name in names}
        best = max(chances, key=lambda name: chances[name])
        return ChatReply(best, Usage(len(asked.split()), 1), chances, Confidence.LOGPROBS)

    return ScriptedModel(answer, name=STRONG)


def _strings(content: str) -> list[str]:
    try:
        found = json.loads(content)
    except ValueError:
        return []
    return [value for value in found.values() if isinstance(value, str)] if found else []


def _run_plot(drawn: Plot, gates: Sequence[str], *, seed: int, within: Path | None = None) -> Ran:
    """Work the rows of a plot off; the job ends when there are no more to be had.

    Jobs `within` one folder need a `seed` each: equal calls would be replayed there.
    """
    body = {
        "task": {"labels": drawn.labels},
        "rows": 2 * len(drawn.rows),
        "gates": ("schema", *gates),
        "embedder": "minilm",
        "patience": 30,
        "learn": False,
        "seed": seed,
    }
    models = [ScriptedModel(_Hand(drawn).write, name=WRITER), _checker(drawn, seed)]
    tests = [text for text, _ in drawn.tests]
    ran = run_job(body, models, seeds=drawn.seeds, tests=tests, within=within)
    # What was asked for in vain, when all had been handed out, is no row.
    return Ran(tuple(row for row in ran.rows if row.record), ran.usd, ran.stop)


Caught = dict[str, list[bool]]


def caught(drawn: Plot, ran: Ran) -> Caught:
    """Tell of each row, by its fault, whether it was rejected."""
    faults = {(row.text, row.wanted): row.fault for row in drawn.rows}
    found: Caught = {name: [] for name in (*FAULTS, GOOD)}
    for row in ran.rows:
        found[faults[row.text, row.label or ""]].append(row.status == "rejected")
    return found


def _share(flags: Sequence[bool]) -> str:
    """Write a share with its 90 % Wilson interval as a cell of a table."""
    if not flags:
        return "-"
    mean = sum(flags) / len(flags)
    low, high = wilson(mean, len(flags))
    return f"{mean:.0%} ({low:.0%}-{high:.0%})"


def _table(seeds: int, rows: int, names: Sequence[str]) -> str:
    found: dict[str, Caught] = {name: {fault: [] for fault in (*FAULTS, GOOD)} for name in names}
    for seed in range(seeds):
        drawn = plot(seed, rows=rows)
        with tempfile.TemporaryDirectory() as folder:
            for number, (name, gates) in enumerate(_GATES.items()):
                if name not in names:
                    continue
                ran = _run_plot(drawn, gates, seed=100 * seed + number, within=Path(folder))
                for fault, flags in caught(drawn, ran).items():
                    found[name][fault] += flags
    lines = [f"| planted | rows | {' | '.join(names)} |", "|---|---|" + "---|" * len(names)]
    for fault in (*FAULTS, GOOD):
        cells = " | ".join(_share(found[name][fault]) for name in names)
        lines.append(f"| {fault} | {len(found[names[0]][fault])} | {cells} |")
    return "\n".join(lines)


def main() -> None:
    """Print the table: the share of each kind of row that each gate rejects."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=6)
    parser.add_argument("--rows", type=int, default=300)
    parser.add_argument("--gates", nargs="*", default=list(_GATES), choices=list(_GATES))
    options = parser.parse_args()
    print(_table(options.seeds, options.rows, options.gates))


if __name__ == "__main__":
    main()
