"""The supervisor's answer on the page while it is written, by the processes that do so."""

import contextlib
import json
import threading
import time

import httpx
import pytest
from playwright.sync_api import expect
from tests_web_support import NEEDS_BROWSER, config_of, put_run, serving_desk, wait_for

from querist.app.web.drafts import Drafts
from querist.evals.mock_minds import Script
from querist.evals.mock_server import Behaviour, serving
from querist.memory.run.ledger import Ledger
from querist.memory.store import open_store
from querist.memory.workspace.chat import Chat

pytestmark = NEEDS_BROWSER
WORDS = "Three <b>texts</b> wait for people, café 🙂. " + " ".join(f"word{n}" for n in range(40))


@pytest.fixture
def talked(tmp_path, monkeypatch):
    """A run whose supervisor is a model that writes slowly, one of its tools first."""
    monkeypatch.setenv("OPENAI_API_KEY", "k")
    mind = Script((("status", {}), ("Answer", {"text": WORDS})))
    with (
        serving(Behaviour(mind=mind, pace=0.03)) as model,
        open_store(tmp_path / "work") as store,
        serving_desk(store) as server,
    ):
        config = config_of(
            chat={"model": "openai:mock", "usd": "1"},
            models={"base_url": model.base_url},
            prices={"openai:mock": {"input": 1, "output": 10}},
        )
        put_run(store, config=config, status="paused")
        yield server, model


def events_of(server, headers, found, **more):
    with httpx.stream(
        "GET", f"{server.url}/api/runs/run/chat/stream", headers={**headers, **more}, timeout=30
    ) as stream:
        name, number = "", ""
        for line in stream.iter_lines():
            key, _, value = line.partition(": ")
            name, number = (value, number) if key == "event" else (name, number)
            number = value if key == "id" else number
            if key == "data":
                found.append((time.monotonic(), name, number, json.loads(value)))
                if name == "said":
                    return


def test_the_answer_is_on_the_page_long_before_its_end_and_its_kept_text_after(talked, browse):
    server, _ = talked
    page = browse(server.owner_link("/runs/run"))
    page.get_by_role("button", name="Chat").click()
    page.evaluate(
        """() => { window.seen = []; new MutationObserver(() => {
          const draft = document.querySelector("#chat .draft");
          if (draft?.textContent) window.seen.push([performance.now(), draft.textContent]);
        }).observe(document.querySelector("#chat"), { subtree: true, childList: true }); }"""
    )
    line = page.get_by_label("Say something")
    line.fill("How is it going?")
    line.press("Enter")
    expect(page.locator("#chat .draft")).to_contain_text("Three", timeout=30_000)
    expect(page.locator("#chat .message", has_text="word39")).to_be_visible(timeout=30_000)
    expect(page.locator("#chat .draft")).to_have_count(0)
    end = page.evaluate("performance.now()")
    seen = page.evaluate("window.seen")
    assert end - seen[0][0] > 800
    assert all(WORDS.startswith(text) for _, text in seen)
    assert len({text for _, text in seen}) > 5
    answer = page.locator("#chat .message", has_text="word39").locator(".text")
    assert answer.inner_text() == WORDS
    assert page.locator("#chat .text b").count() == 0
    # What was asked stands there once.
    assert page.locator("#chat .text", has_text="How is it going?").count() == 1
    kept = Chat(server.store, "run").all()
    assert [message.text for message in kept] == ["How is it going?", WORDS]


def test_a_stop_in_the_middle_keeps_and_pays_what_came(talked, browse):
    server, _ = talked
    page = browse(server.owner_link("/runs/run"))
    page.get_by_role("button", name="Chat").click()
    line = page.get_by_label("Say something")
    line.fill("How is it going?")
    line.press("Enter")
    expect(page.locator("#chat .draft")).to_contain_text("Three", timeout=30_000)
    page.locator("#chat").get_by_role("button", name="Stop").click()
    expect(page.locator("#chat")).to_contain_text("Stopped.")
    part = Chat(server.store, "run").all()[1]
    assert part.who == "supervisor"
    assert part.text.startswith("Three")
    assert WORDS.startswith(part.text.removesuffix(" …"))
    assert "word39" not in part.text
    ledger = Ledger(server.store, "run")
    wait_for(lambda: ledger.balance().reserved == 0)
    assert ledger.by_agent()["supervisor", "llm"] > 0


def test_the_stream_is_taken_up_where_it_was_and_only_who_asked_hears_it(talked):
    server, _ = talked
    owner = {"Authorization": f"Bearer {server.desk.owner_secret}"}
    other = server.headers("vera", "viewer")
    heard, others = [], []
    threads = [
        threading.Thread(target=events_of, args=(server, owner, heard)),
        threading.Thread(target=_some_seconds, args=(server, other, others), daemon=True),
    ]
    for thread in threads:
        thread.start()
    begun = time.monotonic()
    answered = httpx.post(
        f"{server.url}/api/runs/run/chat", json={"text": "Well?"}, headers=owner, timeout=60
    ).json()
    over = time.monotonic()
    threads[0].join(10)
    assert answered[-1]["text"] == WORDS
    assert begun < heard[0][0] < over - 0.8
    asked = answered[0]["id"]
    assert {data["answers"] for *_, data in heard} == {asked}
    written = ""
    for _, name, _, data in heard:
        if name == "draft":
            written = data["text"] if data["is_new"] else written + data["text"]
    assert WORDS.startswith(written)
    assert heard[-1][1] == "said"
    assert others == []


def _some_seconds(server, headers, found):
    with contextlib.suppress(httpx.HTTPError):
        events_of(server, headers, found)


def test_a_draft_is_resumed_by_its_characters_and_begun_anew_where_it_changed():
    drafts = Drafts()
    drafts.put("run", "olga", 7, "One two 🙂")
    [whole] = drafts.news("run", "olga", {})
    assert "id: 7:0:9" in whole
    assert '"is_new": true' in whole
    drafts.put("run", "olga", 7, "One two 🙂 three")
    [rest] = drafts.news("run", "olga", {7: (0, 9)})
    assert '"text": " three"' in rest
    drafts.put("run", "olga", 7, "Else")
    [anew] = drafts.news("run", "olga", {7: (0, 15)})
    assert '"is_new": true, "text": "Else"' in anew
    assert drafts.news("other", "olga", {}) == drafts.news("run", "vera", {}) == []
    drafts.end(7)
    assert "event: said" in drafts.news("run", "olga", {7: (1, 4)})[0]
