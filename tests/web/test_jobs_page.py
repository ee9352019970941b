"""What a job gets later, and what all may cost, by the forms of the jobs' page."""

import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from decimal import Decimal

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import expect
from tests_jobs_support import models, work
from tests_web_support import NEEDS_BROWSER, wait_for

from querist.graph.jobs import read_request, submit
from querist.memory.records import JobStatus
from querist.memory.run.journal import Journal
from querist.memory.run.ledger import Ledger
from querist.memory.run.pool import Pool
from querist.memory.run.runs import Runs
from querist.memory.workspace.caps import Caps
from querist.memory.workspace.jobs import Jobs

pytestmark = NEEDS_BROWSER


@pytest.fixture
def jobs(served, tmp_path):
    """A workspace with a job that was paused, and a file with more for it."""
    server = served()
    for name, texts in (
        ("pool", ["the tap drips"]),
        ("more", ["the tap drips", "no light"]),
    ):
        rows = "\n".join(json.dumps({"text": text}) for text in texts)
        (tmp_path / f"{name}.jsonl").write_text(rows)
    config = {
        "task": {"name": "tenants", "labels": ["a", "b"]},
        "data": {"pool": str(tmp_path / "pool.jsonl"), "embedder": "hashing"},
        "people": {"kind": "none"},
        "budget": {"usd": 2},
    }
    job = submit(read_request({"kind": "label", "config": config}, source="test"), server.store)
    Jobs(server.store).pause(job.id)
    return server, job


def worked_off(store, **changes):
    """Work a job off beside Playwright's event loop."""
    with ThreadPoolExecutor(1) as beside:
        return beside.submit(work, store, **changes).result()


def test_a_job_gets_rows_rounds_and_money(jobs, browse, tmp_path):
    server, job = jobs
    page = browse(server.owner_link("/jobs"))
    page.get_by_role("button", name="Give it more").click()
    drawer = page.locator("#drawer")
    drawer.get_by_role("button", name="Give it", exact=True).click()
    expect(drawer.get_by_role("status")).to_contain_text("Say what it gets")
    drawer.get_by_label("US dollars that it may cost").fill("3.5")
    drawer.get_by_label("Rounds").fill("9")
    drawer.get_by_label("A file with more rows").set_input_files(tmp_path / "more.jsonl")
    assert not Axe().run(page).response["violations"]
    drawer.get_by_role("button", name="Give it", exact=True).click()
    expect(drawer.get_by_role("status")).to_contain_text("in the queue again", timeout=30_000)
    expect(drawer).to_contain_text("1 new row; left out: 1 in the pool already.")
    row = Runs(server.store).get(job.run)
    assert row.config["loop"]["rounds"] == 9
    assert Ledger(server.store, job.run).balance().cap == Decimal("3.5")
    assert len(Pool(server.store, dataset=row.dataset, run=job.run).ids()) == 2
    assert Jobs(server.store).get(job.id).status is JobStatus.QUEUED


def test_owners_set_what_all_may_cost_and_take_it_back(jobs, browse):
    server, _ = jobs
    page = browse(server.owner_link("/jobs"))
    page.get_by_text("What all runs and jobs may cost").click()
    form = page.locator("#caps")
    expect(form).to_contain_text("No cap is set.")
    form.get_by_label("US dollars that all may cost a day").fill("2.5")
    assert not Axe().run(page).response["violations"]
    form.get_by_role("button", name="Set").click()
    expect(form).to_contain_text("Of 2.50 USD today, 2.50 USD are left")
    assert [(cap.name, cap.usd) for cap in Caps(server.store).all()] == [("day", Decimal("2.5"))]
    form.get_by_label("US dollars that all may cost a day").fill("")
    form.get_by_role("button", name="Set").click()
    wait_for(lambda: not Caps(server.store).all())
    viewer = browse(server.link("vera", "viewer", to="/jobs"))
    expect(viewer.locator("#jobs")).to_contain_text("paused")
    assert viewer.locator("#caps").count() == 0
    assert viewer.get_by_role("button", name="Give it more").count() == 0


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_create_job_tells_wave_by_wave_who_decided_what_and_why(served, browse, scheme):
    server = served()
    job = worked_off(server.store, given=models(hits=0.1), rows=60, patience=400)
    made = Journal(server.store, job.run).decisions()
    waves = max(decision.round for decision in made)
    assert waves > 10
    page = browse(server.link("vera", "viewer", to="/jobs"), color_scheme=scheme)
    page.get_by_role("button", name="How it goes").click()
    box = page.locator("#drawer .decisions")
    expect(box.locator(".card")).to_have_count(0)
    box.get_by_text("What the agents decided").click()
    expect(box.locator(".card")).to_have_count(10)
    expect(box.locator(".card").first).not_to_have_attribute("open", "")
    # In the last one the budget controller only ended the job.
    box.get_by_text(f"Wave {waves - 1} ").click()
    last = box.locator(".card").nth(1)
    for agent in ("budget controller", "selector", "generator", "verifier"):
        expect(last.get_by_role("heading", name=agent)).to_be_visible()
    for decision in made:
        if decision.round == waves - 1:
            expect(last).to_contain_text(decision.reason)
    expect(last).to_contain_text("What it knew")
    assert not Axe().run(page).response["violations"]
    while box.get_by_role("button", name="Earlier waves").is_visible():
        count = box.locator(".card").count()
        box.get_by_role("button", name="Earlier waves").click()
        expect(box.locator(".card").nth(count)).to_be_visible()
    assert box.locator(".card > summary").count() == waves


def test_what_a_model_gave_as_its_reason_is_text_only(served, browse):
    server = served()
    job = worked_off(server.store)
    [first, *_] = Journal(server.store, job.run).decisions()
    evil = replace(first, reason="<img src=x onerror=alert(1)>", round=99, turn=99)
    Journal(server.store, job.run).decided(evil)
    page = browse(server.owner_link("/jobs"))
    page.get_by_role("button", name="How it goes").click()
    box = page.locator("#drawer .decisions")
    box.get_by_text("What the agents decided").click()
    box.get_by_text("Wave 99 ").click()
    expect(box).to_contain_text(evil.reason)
    assert box.locator("img").count() == 0
