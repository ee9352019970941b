"""The pictures in README and docs: taken from real runs when asked to, else looked at.

    QUERIST_PICTURES=1 pytest tests/web/test_pictures.py           # makes the runs, five minutes
    QUERIST_PICTURES=WORKSPACE pytest tests/web/test_pictures.py   # of runs that were made so

The runs are those of `querist demo`, `querist demo create`, and the same task with people in place
of the simulated one; all with the embedded models.
"""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image
from playwright.sync_api import expect
from tests_graph_support import EXAMPLE
from tests_web_support import serving_desk

from querist.memory.run.runs import Runs
from querist.memory.store import open_store

ROOT = Path(__file__).resolve().parents[2]
FIGURES = ROOT / "docs" / "figures"
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
WANTED = os.environ.get("QUERIST_PICTURES", "")
TAKES = pytest.mark.skipif(not WANTED, reason="QUERIST_PICTURES=1 takes the pictures anew")
SCREEN = {"viewport": {"width": 1240, "height": 800}, "device_scale_factor": 1.5}
COMMANDS = (
    ("demo",),
    ("demo", "create"),
    ("run", str(EXAMPLE / "task.toml"), "--set", "people.kind=inbox", "--set", "task.name=tenants"),
)


def shown():
    """The pictures that pages show, each by its path."""
    return {
        (page.parent / target).resolve()
        for page in PAGES
        for target in re.findall(r"!\[[^\]]*\]\(([^)]+\.png)\)", page.read_text())
    }


@pytest.fixture(scope="module")
def worked(tmp_path_factory):
    """A workspace with a run that ended, one that waits for people, and a job that was done."""
    if WANTED != "1":
        return Path(WANTED)
    folder = tmp_path_factory.mktemp("pictures") / "work"
    querist = Path(sys.executable).with_name("querist")
    for command in COMMANDS:
        done = subprocess.run(
            [querist, *command, "--workspace", folder],
            capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr
    return folder


@pytest.fixture
def site(worked):
    with open_store(worked) as store, serving_desk(store) as server:
        names = [str(run.id) for run in Runs(store).all()]
        ended = next(name for name in names if name.startswith("tenant-requests"))
        waiting = next(name for name in names if name.startswith("tenants"))
        yield server, ended, waiting


def take(page, name, height=800):
    """Take a picture of what is on the screen, with as many colours as a palette has."""
    page.set_viewport_size({"width": 1240, "height": height})
    page.mouse.move(0, 0)
    page.wait_for_timeout(400)  # what fades in is there
    path = FIGURES / f"{name}.png"
    page.screenshot(path=path)
    with Image.open(path) as picture:
        # Coverage, not the median: a dot of four pixels keeps its colour.
        small = picture.convert("RGB").quantize(256, Image.Quantize.MAXCOVERAGE, kmeans=1)
    small.save(path, optimize=True)


@TAKES
@pytest.mark.timeout(900)
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_loop_is_pictured(site, browse, scheme):
    server, ended, _ = site
    page = browse(server.owner_link(f"/runs/{ended}"), color_scheme=scheme, **SCREEN)
    expect(page.locator("#now")).to_contain_text("Finished")
    expect(page.locator("#curve svg")).to_be_visible()
    take(page, "page_loop" if scheme == "light" else "page_loop_dark", height=1000)


@TAKES
@pytest.mark.timeout(900)
def test_where_a_label_comes_from_is_pictured(site, browse):
    server, ended, _ = site
    page = browse(server.owner_link(f"/runs/{ended}/data"), **SCREEN)
    page.get_by_label("Which").select_option("labelled")
    page.get_by_label("From").select_option("human")
    page.get_by_label("Round").fill("2")
    expect(page.locator("#count")).not_to_contain_text("80")
    page.wait_for_timeout(500)  # the rows follow the count
    page.locator(".item").first.click()
    expect(page.locator("#drawer")).to_contain_text("chosen in round")
    take(page, "page_data")


@TAKES
@pytest.mark.timeout(900)
def test_the_inbox_is_pictured(site, browse):
    server, _, waiting = site
    page = browse(server.link("ann", to=f"/runs/{waiting}/inbox"), **SCREEN)
    expect(page.locator("#desk")).to_be_visible()
    take(page, "page_inbox")


@TAKES
@pytest.mark.timeout(900)
def test_a_proposal_in_the_chat_is_pictured(site, browse):
    server, _, waiting = site
    page = browse(server.owner_link(f"/runs/{waiting}"), **SCREEN)
    page.locator("h1").click()
    page.keyboard.press("/")
    line, chat = page.get_by_label("Say something"), page.locator("#chat")
    for words in (
        "/status",
        "/guideline A shower that stays cold is plumbing; no hot water anywhere is heating.",
    ):
        line.fill(words)
        line.press("Enter")
    expect(chat.get_by_role("button", name="Approve")).to_be_visible()
    take(page, "page_chat")
    chat.get_by_role("button", name="Reject").click()


@TAKES
@pytest.mark.timeout(900)
def test_a_job_is_pictured(site, browse):
    server, _, _ = site
    page = browse(server.owner_link("/jobs"), **SCREEN)
    page.get_by_role("button", name="How it goes").click()
    page.wait_for_timeout(800)
    take(page, "page_jobs")


def test_every_picture_that_is_shown_is_there_and_shows_something():
    assert shown() == set(FIGURES.glob("*.png"))
    for path in shown():
        assert path.stat().st_size < 200_000, path.name
        with Image.open(path) as picture:
            assert picture.width >= 1200
            colours = picture.convert("RGB").getcolors(maxcolors=2**24)
        # A page that failed to load is one colour and a line of words.
        assert len(colours) > 40, path.name
        assert max(count for count, _ in colours) < 0.97 * sum(count for count, _ in colours)
