"""How long a person waits for the pages of a large run, in a real browser.

    python -m querist.evals.bench.pages [--examples 100000] [--times 7]

Needs playwright and a chromium. A run of a few rounds over a made pool (the language model is
scripted), a fifth of the pool labelled and 1,000 questions open. The server has a process of its
own. Times are read in the page, by the browser's clock: from navigation (or the last key) to the
frame after what was waited for is in the document. A page is warm when it was loaded before.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from statistics import median
from typing import Any

from querist.agents.models.providers.scripted import ScriptedModel
from querist.evals.bench.inbox_load import Server
from querist.evals.bench.scale import LABELS, reply, write_pool
from querist.graph.config import make_config
from querist.graph.run import Run
from querist.memory.answers import Choice
from querist.memory.asking.inbox import Inbox
from querist.memory.questions import Option, QuestionPayload
from querist.memory.records import ExampleId, Label, Question, RunId
from querist.memory.run.labelling import Labelling
from querist.memory.run.pool import Pool
from querist.memory.run.runs import Runs
from querist.memory.store import Store, open_store
from querist.memory.workspace.people import People

_FLAGS = ("--no-sandbox", "--disable-gpu", "--disable-quic", "--disable-background-networking")
_PAGES = {
    "runs": ("/runs", "#runs table"),
    "loop": ("/runs/{run}", "#curve svg"),
    "data": ("/runs/{run}/data", ".list .item :nth-child(2):not(:empty)"),
    "inbox": ("/runs/{run}/inbox", "#desk[data-painted]"),
    "agreement": ("/runs/{run}/inbox/disputes", "#nothing h2"),
    "jobs": ("/jobs", "#jobs :not(.muted)"),
    "people": ("/people", "#people table"),
    "lessons": ("/lessons", "#lessons :not(.muted)"),
}
"""Pages, and what is in the document when they can be used."""
_WATCH = """() => {
    window.watch = (selector, since) => new Promise((done) => {
        const look = () => {
            if (!document.querySelector(selector)) return requestAnimationFrame(look);
            requestAnimationFrame(() => setTimeout(() => done(performance.now() - since)));
        };
        look();
    });
}"""
_FILTER = """([name, value]) => {
    const input = document.getElementById(name);
    const count = document.getElementById("count");
    for (const line of document.querySelectorAll(".list .item")) line.replaceChildren();
    count.textContent = "";
    input.value = value;
    const since = performance.now();
    const row = ".list .item :nth-child(2):not(:empty)";
    input.dispatchEvent(new Event("input", {bubbles: true}));
    const when = (isThere) => new Promise((done) => {
        const look = () => {
            if (!isThere()) return requestAnimationFrame(look);
            requestAnimationFrame(() => setTimeout(() => done(performance.now() - since)));
        };
        look();
    });
    return Promise.all([when(() => document.querySelector(row)), when(() => count.textContent)]);
}"""
_SAY = """(words) => {
    const said = document.querySelector("#chat .said");
    const line = document.getElementById("chat-line");
    line.value = words;
    return new Promise((done) => {
        const since = performance.now();
        new MutationObserver((_, observer) => {
            const last = said.lastElementChild;
            if (!last || !last.dataset.id || last.querySelector("[role=status]")) return;
            observer.disconnect();
            requestAnimationFrame(() => setTimeout(() => done(performance.now() - since)));
        }).observe(said, {childList: true, subtree: true});
        line.form.requestSubmit();
    });
}"""


def main() -> None:
    """Run and print a Markdown table."""
    from playwright.sync_api import sync_playwright

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--examples", type=int, default=100_000)
    parser.add_argument("--times", type=int, default=7)
    parser.add_argument("--said", type=int, default=50, help="how often each command is said")
    options = parser.parse_args()
    chromium = shutil.which("chromium") or "/usr/bin/chromium"
    with tempfile.TemporaryDirectory() as folder, open_store(Path(folder) / "work") as store:
        run = _drive(store, Path(folder), options.examples)
        token = People(store).invite("olga", "owner")
        print(f"{options.examples:,} examples, {options.times} times each\n")
        print("| what | median / worst (ms) | wanted (ms) |\n|---|---|---|")
        with Server(store.folder, "") as server, sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=chromium, args=_FLAGS)
            page = browser.new_page()
            page.goto(f"{server.root}/login?token={token}&to=/runs")
            page.wait_for_url("**/runs")
            sizes = [f"idle {server.memory_now()}"]
            for what, times, wanted in _measure(page, server.root, run, options):
                print(f"| {what} | {median(times):.0f} / {max(times):.0f} | {wanted} |", flush=True)
                sizes.append(f"{what.partition(':')[0]} {server.memory_now()}")
            print(f"| largest size of the server (MB) | {server.memory()} | 150 |")
            print(
                f"\nSize of the server after each line (MB): {', '.join(_without_repeats(sizes))}."
            )
            browser.close()


def _drive(store: Store, folder: Path, examples: int) -> str:
    """Run the loop over a made pool; then label a fifth of it and ask a thousand questions."""
    pool = folder / "pool.jsonl"
    write_pool(pool, examples)
    body: dict[str, Any] = {
        "task": {"name": "pages", "labels": list(LABELS)},
        "data": {"pool": str(pool), "text": "text", "gold": "label", "embedder": "hashing"},
        "people": {"kind": "simulated"},
        "loop": {"rounds": 5, "batch": 100},
        "generator": {"enabled": False},
        "budget": {"usd": 20},
    }
    run = Run.create(make_config(body, source="bench"), store)
    run.use(models={"local": ScriptedModel(reply, name="local", in_flight=64)})
    asyncio.run(run.drive())
    _label(store, run.id)
    _ask(store, run.id)
    return run.id


def _label(store: Store, run: RunId) -> None:
    runs = Runs(store)
    ids = Pool(store, dataset=runs.get(run).dataset, run=run).ids()
    lease = runs.take(run)
    labels = [
        Label(
            example=ExampleId(name),
            answer=Choice(LABELS[place % len(LABELS)]),
            source="model",
            who="model:linear",
            weight=1.0,
            p_correct=0.5 + (place % 50) / 100,
            round=5,
        )
        for place, name in enumerate(ids[::5])
    ]
    Labelling(store, run, lease=lease).relabel(labels)
    runs.give_up(lease)


def _ask(store: Store, run: RunId) -> None:
    options = tuple(map(Option, LABELS))
    questions = [
        Question(
            id=f"q-{number:07d}",
            example=ExampleId(str(3 + 5 * number)),
            payload=QuestionPayload({"text": f"Text number {number} is about this."}, options),
            answer_schema={"kind": "choice", "enum": list(LABELS)},
            reason="doubtful",
            value=1 - number / 1000,
            purpose="escalation",
            round=5,
        )
        for number in range(1000)
    ]
    Inbox(store, run).ask(questions)


def _without_repeats(words: list[str]) -> list[str]:
    return [word for before, word in itertools.pairwise(["", *words]) if word != before]


def _measure(
    page: Any, root: str, run: str, options: argparse.Namespace
) -> Iterator[tuple[str, list[float], str]]:
    times = options.times
    for name, (path, selector) in _PAGES.items():
        taken = [_load(page, root + path.format(run=run), selector) for _ in range(times + 1)]
        yield f"{name}: page usable, warm", taken[1:], "1000"
    page.goto(f"{root}/runs/{run}/data")
    for words, name, values in (
        ("a text (harbour, violin, ...)", "q", ["harbour", "violin", "bread", "engine", "river"]),
        ("a rare text", "q", ["99998 ", "77777 ", "12345 ", "54321 "]),
        ("no text", "q", ["", " ", ""]),
        ("a label", "label", [*LABELS, *LABELS]),
        ("label and a text", "q", ["harbour", "violin", "bread"]),
    ):
        filtered = [page.evaluate(_FILTER, [name, value]) for value in values]
        yield f"data: rows after filtering by {words}", [rows for rows, _ in filtered], "1000"
        yield f"data: their count after filtering by {words}", [count for _, count in filtered], ""
    _load(page, f"{root}/runs/{run}", _PAGES["loop"][1])
    page.get_by_role("button", name="Chat").click()
    for words in ("/status", "/spend", "/why 0"):
        spoken = [page.evaluate(_SAY, words) for _ in range(options.said)]
        yield f"chat: {words}, Enter to the answer, {options.said} times", spoken, "100"


def _load(page: Any, url: str, selector: str) -> float:
    """Go to a page; give the milliseconds from navigation until it can be used."""
    page.goto(url, wait_until="commit")
    page.evaluate(_WATCH)
    return float(page.evaluate("selector => window.watch(selector, 0)", selector))


if __name__ == "__main__":
    main()
