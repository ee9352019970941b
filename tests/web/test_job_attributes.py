"""Attributes of a job that are found in its seeds, over the web: by processes, paid, and edited."""

import asyncio
import json
from contextlib import ExitStack
from decimal import Decimal

import httpx
import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import expect
from tests_web_support import NEEDS_BROWSER, serving_desk, wait_for

from querist.app.client import ApiError, AsyncClient, Client
from querist.evals.mock_server import Behaviour, serving
from querist.graph.jobs import read_request
from querist.memory.run.ledger import Ledger
from querist.memory.run.runs import Runs
from querist.memory.store import open_store
from querist.memory.workspace.jobs import Jobs

SEEDS = 12


@pytest.fixture
def offered(tmp_path, monkeypatch):
    """Serve a workspace, and a model that fills whatever form it is asked to fill."""
    monkeypatch.setenv("OPENAI_API_KEY", "k")

    def serve(*, seeds=SEEDS, **behaviour):
        path = tmp_path / "seeds.jsonl"
        path.write_text("\n".join(json.dumps({"text": f"mend my door {n}"}) for n in range(seeds)))
        model = opened.enter_context(serving(Behaviour(**behaviour)))
        store = opened.enter_context(open_store(tmp_path / "work"))
        return opened.enter_context(serving_desk(store)), model, path

    with ExitStack() as opened:
        yield serve


def asking(model):
    """What a request has to say of the model."""
    return {
        "models": {"annotator": "openai:mock", "base_url": model.base_url},
        "prices": {"openai:mock": {"input": 1, "output": 2, "per_call": "0.001"}},
    }


def job_of(model, file, **changes):
    task = {"name": "t", "labels": {"good": "", "bad": ""}}
    base = {"kind": "create", "name": "rows", "rows": 5, "task": task, "seeds": {"file": file}}
    return base | asking(model) | changes


def test_what_seeds_vary_in_is_found_by_the_writer_and_metered(offered):
    server, model, path = offered()
    with Client(server.url, server.desk.owner_secret) as client:
        request = job_of(model, client.upload(path).file)
        found = client.find_attributes(request, sample=8, most=2)
        # One call names them, and one more a seed says what it has.
        assert model.counts.answered == 9
        assert found.sample == 8
        assert 1 <= len(found.attributes) <= 2
        assert any("seeds.jsonl: " in line for line in found.told), "by the name that they know"
        for name, attribute in found.attributes.items():
            assert sum(attribute.shares) == pytest.approx(1)
            assert len(attribute.values) == len(attribute.shares) > 1
            assert found.placed[name] <= 8
        balance = Ledger(server.store, found.run).balance()
        assert found.usd == balance.settled > Decimal("0.009")
        assert (balance.cap, balance.reserved) == (Decimal("0.10"), 0)
        assert Runs(server.store).get(found.run).status == "finished"
        assert not Jobs(server.store).all()
        # As it is, it is a part of a request.
        tables = {name: one.model_dump() for name, one in found.attributes.items()}
        made = read_request(
            job_of(model, None, seeds={}) | {"attributes": tables}, source="the test"
        )
        assert set(made.attributes) == set(found.attributes)

    async def again():
        async with AsyncClient(server.url, server.desk.owner_secret) as other:
            return await other.find_attributes(request, sample=8, most=2)

    assert asyncio.run(again()).attributes == found.attributes
    assert model.counts.answered == 9, "asked again, it costs nothing"


def test_what_cannot_be_found_is_said_and_only_owners_ask(offered):
    server, model, path = offered()
    with Client(server.url, server.desk.owner_secret) as client:
        file = client.upload(path).file
        request = job_of(model, file)
        with pytest.raises(ApiError, match=r"name them in seeds\.file"):
            client.find_attributes(request | {"seeds": {}})
        with pytest.raises(ApiError) as error:
            client.find_attributes(request, usd=Decimal("0.002"))
        assert error.value.code == "budget"
        with pytest.raises(ApiError, match="is no uploaded file"):
            client.find_attributes(request | {"seeds": {"file": "/etc/passwd"}})
        task = {"name": "t", "labels": ["a", "b"]}
        config = {"task": task, "data": {"pool": file}, "budget": {"usd": 1}}
        with pytest.raises(ApiError, match="Only jobs that create rows"):
            client.find_attributes({"kind": "label", "config": config})
        with pytest.raises(ApiError, match=r"^seeds\.jsonl has no column of words"):
            client.find_attributes(request | {"seeds": {"file": file, "label": "text"}})
    said = httpx.post(
        f"{server.url}/api/jobs/attributes",
        headers=server.headers("ann", "annotator"),
        json={"request": request},
    )
    assert said.status_code == 403


def test_who_does_not_wait_for_it_does_not_pay_for_it(offered):
    server, model, path = offered(latency=0.5, seeds=60)
    with Client(server.url, server.desk.owner_secret) as client:
        request = job_of(model, client.upload(path).file)
        request["models"]["in_flight"] = 2
    with Client(server.url, server.desk.owner_secret, timeout=4) as client:
        with pytest.raises(ApiError):
            client.find_attributes(request, sample=60)
        runs = Runs(server.store)

        def ended():
            # The status is written first, and the lease handed back after it.
            return [r for r in runs.all() if r.status == "failed" and not runs.is_driven(r)]

        [row] = wait_for(ended)
        assert Ledger(server.store, row.id).balance().reserved == 0
        # What was under way is paid, and nothing more is asked.
        lines = Ledger(server.store, row.id).lines()
        paid = [line for line in lines if line.entry == "settle"]
        assert 0 < len(paid) == model.counts.answered < 40


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("_", [pytest.param(0, marks=NEEDS_BROWSER)])
def test_the_form_finds_attributes_shows_them_and_lets_them_be_edited(offered, browse, scheme, _):
    server, model, path = offered()
    page = browse(server.owner_link("/jobs"), color_scheme=scheme)
    asked = []

    def send(route):
        if route.request.method == "GET":
            return route.continue_()
        # The form names models of this machine alone; the test's one is behind an address.
        body = route.request.post_data_json
        if "request" in body:
            body["request"] |= asking(model)
        else:
            body |= asking(model)
        asked.append(body)
        return route.continue_(post_data=json.dumps(body))

    page.route("**/api/jobs/attributes", send)
    page.route("**/api/jobs/quote", send)
    page.route("**/api/jobs", send)
    page.get_by_text("Create rows", exact=True).click()
    form = page.locator("#create")
    expect(form.locator(".find-cost")).to_contain_text("paid like all its calls")
    expect(form.locator(".find-cost")).to_contain_text("0.10 USD")
    form.get_by_label("Labels, one a line").fill("good\nbad")
    form.get_by_role("button", name="Find attributes").click()
    expect(form.locator(".found")).to_contain_text("Choose a file with seeds first")
    field = form.get_by_label("What they vary in")
    field.fill("length: short | long")
    form.locator("input[type=file]").set_input_files(path)
    expect(form.locator(".upload")).to_contain_text(" kB")
    form.get_by_role("button", name="Find attributes").click()
    expect(form.locator(".found")).to_contain_text("That cost 0.0", timeout=60_000)
    expect(form.locator(".found table")).to_contain_text(f"of {SEEDS} seeds")
    lines = field.input_value().splitlines()
    assert lines[-1] == "length: short | long", "what was written already stays"
    assert len(lines) > 1
    button = form.get_by_role("button", name="Hand it in")
    expect(button).to_be_enabled(timeout=30_000)
    assert not Axe().run(page).response["violations"]
    field.fill("tone: very polite 62.5 % | angry 37.5 %\nlength: short | long")
    expect(button).to_be_disabled()
    expect(button).to_be_enabled(timeout=30_000)
    assert asked[-1]["attributes"] == {
        "tone": {"values": ["very polite", "angry"], "shares": [0.625, 0.375]},
        "length": {"values": ["short", "long"]},
    }
    button.click()
    expect(form.locator(".quote")).to_contain_text("is in the queue", timeout=30_000)
    [job] = Jobs(server.store).all()
    assert job.request["attributes"]["tone"]["shares"] == [0.625, 0.375]
    page.get_by_text("Create rows", exact=True).click()
    field.fill("tone: polite 60 % | angry 30 %")
    expect(form.locator(".quote")).to_contain_text("must add up to 1", timeout=30_000)
