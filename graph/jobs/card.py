"""The data card: what was asked, how it was made, what the gates let pass, what it cost, limits."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from decimal import Decimal

from querist.agents.generator.methods.port import METHODS
from querist.agents.verifier.gates.port import MODEL_GATES
from querist.graph.jobs.request import CreateRequest
from querist.graph.jobs.workbench import Workbench
from querist.memory.records import Job, Round
from querist.memory.workspace.creations import CreatedRow
from querist.tools.calls import read_call
from querist.tools.gates.drift import Drift, drift
from querist.tools.gates.port import GATES
from querist.tools.wording import counted

_LOCAL = (
    "Gemma 3 270M (`local`): Gemma's own terms of use apply to the weights and to what is made "
    "with them (https://ai.google.dev/gemma/terms)."
)


def gate_counts(accounts: Sequence[Round]) -> dict[str, tuple[int, int]]:
    """Add up what each gate saw and let pass, over all waves."""
    seen: Counter[str] = Counter()
    passed: Counter[str] = Counter()
    order: dict[str, None] = {}
    for account in accounts:
        gates = account.detail.get("gates")
        for name, (many, few) in (gates if isinstance(gates, dict) else {}).items():
            order[name] = None
            seen[name] += many
            passed[name] += few
    # Replies come first, whatever a wave's dictionary says.
    names = sorted(order, key=lambda name: name != "reply")
    return {name: (seen[name], passed[name]) for name in names}


def _measure_drift(bench: Workbench, rows: Sequence[CreatedRow]) -> Drift | None:
    """Compare the accepted rows with the seeds; None where there are none to compare."""
    # Of the written labels only: else a test would tell labels apart, and not written from real.
    labels = {row.label for row in rows if row.label is not None}
    by_label = bench.seeds.by_label
    likes = [example for label in sorted(labels) for example in by_label.get(label, ())]
    seeds = [example.text for example in (likes or bench.seeds.rows)]
    texts = [row.text for row in rows]
    if len(seeds) < 2 or len(texts) < 2:
        return None
    return drift(seeds, texts, real_vectors=bench.embed(seeds), written_vectors=bench.embed(texts))


def write_card(job: Job, bench: Workbench) -> str:
    """Write the card in Markdown."""
    request, rows = bench.request, bench.creations.all("accepted")
    accounts = bench.journal.rounds()
    balance = bench.ledger.balance()
    each = balance.settled / len(rows) if rows else Decimal(0)
    lines = [
        f"# {request.name}",
        "",
        f"{len(rows):,} rows of {request.rows:,} that were asked for, written by a language model "
        f"and accepted by the gates below (job {job.id}). {job.reason}".strip(),
        "",
        f"Cost: {balance.settled:f} of {balance.cap:f} USD, {each:.6f} USD an accepted row.",
        *_asked(request),
        *_made(bench, rows),
        *_gates(request, accounts),
        *_distributions(request, rows),
        *_drift(_measure_drift(bench, rows)),
        *_limits(request),
    ]
    return "\n".join(lines) + "\n"


def _asked(request: CreateRequest) -> Iterator[str]:
    yield from ("", "## What was asked for", "")
    task = request.as_task()
    if task.instructions:
        yield from (task.instructions.strip(), "")
    for label in task.labels:
        yield f"- {label.name}{f': {label.description}' if label.description else ''}"
    if request.record is not None:
        yield f"Records with the fields {', '.join(task.fields)}, held to a JSON schema."
    for name, attribute in request.attributes.items():
        yield f"- {name}: {', '.join(attribute.values)}"


def _made(bench: Workbench, rows: Sequence[CreatedRow]) -> Iterator[str]:
    request = bench.request
    yield from ("", "## How it was made", "")
    yield f"Writer: `{request.models.writer}`. Checker: `{request.models.checker or 'none'}`."
    yield f"Seeds: {len(bench.seeds.rows):,} rows, {len(bench.seeds.passages):,} passages."
    names = {request.models.writer, request.models.checker}
    if "local" in names:
        yield _LOCAL
    if names - {"local", None}:
        yield "The terms of the other models' providers are theirs; read them before you publish."
    counts = Counter(row.method for row in rows)
    for text in request.methods:
        name = read_call(text)[0]
        card = METHODS.find(name).card
        source = f" ({card.citation})" if card.citation else ""
        yield f"- `{text}`: {counted(counts[name], 'row')}. {card.summary}{source}"


def _gates(request: CreateRequest, accounts: Sequence[Round]) -> Iterator[str]:
    yield from ("", "## Gates", "", "| gate | looked at | let pass | |", "|---|---|---|---|")
    asked = {read_call(text)[0]: text for text in request.gates}
    known = {entry.name for entry in MODEL_GATES.entries()}
    for name, (seen, passed) in gate_counts(accounts).items():
        share = f"{passed / seen:.0%}" if seen else "-"
        summary = "A reply that holds rows."
        if name in asked:
            summary = (MODEL_GATES if name in known else GATES).find(name).card.summary
        yield f"| `{asked.get(name, name)}` | {seen:,} | {passed:,} ({share}) | {summary} |"


def _distributions(request: CreateRequest, rows: Sequence[CreatedRow]) -> Iterator[str]:
    if not request.labels and not request.attributes:
        return
    yield from ("", "## Distributions", "")
    labels = Counter(row.label for row in rows if row.label is not None)
    if labels:
        yield f"- label: {', '.join(f'{name} {labels[name]:,}' for name in request.labels)}"
    for name, attribute in request.attributes.items():
        found = Counter(row.attributes.get(name) for row in rows)
        yield f"- {name}: {', '.join(f'{value} {found[value]:,}' for value in attribute.values)}"
    if request.attributes:
        yield "Attributes are what the writer was told; no gate checks them unless you name one."


def _drift(found: Drift | None) -> Iterator[str]:
    yield from ("", "## Drift", "")
    if found is None:
        yield "There were no seeds to compare with."
        return
    if found.two_sample is None:
        yield f"Too few rows for a two-sample test ({found.compared} on each side)."
    else:
        yield (
            f"A linear classifier tells written rows from seeds in {found.two_sample:.0%} of cases "
            f"(90 % interval {found.low:.0%} to {found.high:.0%}; 50 % is chance, "
            f"{found.compared:,} on each side)."
        )
    words, two = found.distinct_written
    real_one, real_two = found.distinct_real
    yield (
        f"Different words a word {words:.2f} (seeds {real_one:.2f}), different pairs {two:.2f} "
        f"(seeds {real_two:.2f}), in equally many words."
    )
    if found.spread_written is not None and found.spread_real is not None:
        yield (
            f"Mean cosine distance of two rows {found.spread_written:.2f} "
            f"(seeds {found.spread_real:.2f})."
        )


def _limits(request: CreateRequest) -> Iterator[str]:
    yield from ("", "## Limits", "")
    if request.people.sample:
        yield f"- People looked at a sample of {request.people.sample} rows, and at no other."
    else:
        yield "- Nobody has looked at these rows, unless you did: gates are no people."
    if request.models.checker is None:
        yield "- No language model checked the rows."
    elif request.models.checker == request.models.writer:
        yield "- The writer checked itself: its mistakes pass its own check."
    yield "- Use them to train, never to measure: a test set is made of real rows."
