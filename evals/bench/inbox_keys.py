"""From a key to the next question in the page, in a real browser.

    python -m querist.evals.bench.inbox_keys [--questions 10000 100000] [--keys 200]

Needs playwright and a chromium. The time runs from the event's own time stamp, which the browser
takes when the key arrives, to the change of the text in the page.
"""

from __future__ import annotations

import argparse
import shutil
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any

from querist.evals.bench.inbox_load import Server, figures, fill
from querist.memory.store import open_store
from querist.memory.workspace.people import People

_FLAGS = ("--no-sandbox", "--disable-gpu", "--disable-quic", "--disable-background-networking")
_NOTE = """() => {
    window.times = [];
    let pressed = 0;
    document.addEventListener("keydown", event => { pressed = event.timeStamp; }, true);
    new MutationObserver(() => {
        if (pressed) window.times.push(performance.now() - pressed);
        pressed = 0;
    }).observe(document.getElementById("item"), {childList: true, subtree: true});
}"""
_PAINTED = """last => {
    const desk = document.getElementById("desk");
    return !desk.hidden && desk.dataset.painted && desk.dataset.painted !== last;
}"""


def main() -> None:
    """Run and print a Markdown table."""
    from playwright.sync_api import sync_playwright

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--questions", type=int, nargs="+", default=[10_000, 100_000])
    parser.add_argument("--keys", type=int, default=200)
    options = parser.parse_args()
    chromium = shutil.which("chromium") or "/usr/bin/chromium"
    print("| what | measured |\n|---|---|")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=_FLAGS)
        for count in options.questions:
            for what, value in _measure(browser, count, options.keys):
                print(f"| {count:,} questions: {what} | {value} |", flush=True)
        browser.close()


def _measure(browser: Any, count: int, keys: int) -> list[tuple[str, str]]:
    with tempfile.TemporaryDirectory() as folder, open_store(Path(folder)) as store:
        fill(store, count)
        token = People(store).invite("ann", "annotator")
        with Server(Path(folder), "") as server:
            context = browser.new_context()
            page = context.new_page()
            page.goto(f"{server.root}/login?token={token}&to=/runs/run/inbox")
            _painted(page, "")
            page.evaluate(_NOTE)
            _press(page, keys)
            times = page.evaluate("window.times")
            warm = [_load(context, server.root) for _ in range(5)]
            begun = time.perf_counter()
            tabs = [_load(context, server.root) for _ in range(11)]
            rows = [
                ("key to next question p50 / p95 / p99 / worst (ms)", figures(times)),
                ("keys timed", str(len(times))),
                ("first question of a page that was loaded before (s)", f"{median(warm):.2f}"),
                (
                    "11 more tabs, one after the other: all (s) / the slowest (s)",
                    f"{time.perf_counter() - begun:.1f} / {max(tabs):.2f}",
                ),
                ("largest size of the server (MB)", str(server.memory())),
            ]
            context.close()
    return rows


def _painted(page: Any, last: str) -> str:
    page.wait_for_function(_PAINTED, arg=last)
    return str(page.evaluate("document.getElementById('desk').dataset.painted"))


def _press(page: Any, keys: int) -> None:
    last = _painted(page, "")
    for number in range(keys):
        page.keyboard.press(str(1 + number % 3))
        last = _painted(page, last)


def _load(context: Any, root: str) -> float:
    """Open one more tab; give the seconds until its first question may be answered."""
    page, begun = context.new_page(), time.perf_counter()
    page.goto(f"{root}/runs/run/inbox")
    _painted(page, "")
    return time.perf_counter() - begun


if __name__ == "__main__":
    main()
