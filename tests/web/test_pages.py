"""The pages of a run that ended, in a browser: what they show is what the store has."""

import asyncio
import json
import re
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from decimal import Decimal

import httpx
import pytest
from playwright.sync_api import expect
from tests_graph_support import EXAMPLE, LABELS, weak_annotator
from tests_web_support import NEEDS_BROWSER, config_of, put_run, question, serving_desk

from querist.agents.models.providers.scripted import ScriptedModel
from querist.app.web.server import STATIC
from querist.graph.config import make_config
from querist.graph.run import Run
from querist.memory.answers import Choice
from querist.memory.asking.inbox import Inbox
from querist.memory.run.labelling import Labelling
from querist.memory.run.mailbox import Mailbox
from querist.memory.store import open_store
from querist.memory.workspace.lessons import Correction, Lesson, LessonKind, Lessons, MeasuredGain

pytestmark = NEEDS_BROWSER
STREAM = re.compile(r"/api/.*/stream")
ODD = "<img src=x onerror='window.caught=1'><script>window.caught=1</script>"


@pytest.fixture(scope="module")
def ended(tmp_path_factory):
    """A workspace with a run that ended; its first text would be markup."""
    folder = tmp_path_factory.mktemp("ended")
    rows = [json.loads(line) for line in (EXAMPLE / "pool.jsonl").read_text().splitlines()[:120]]
    rows[0]["text"] = ODD
    pool = folder / "pool.jsonl"
    pool.write_text("\n".join(json.dumps(row) for row in rows))
    body = {
        "task": {"name": "tenants", "labels": dict.fromkeys(LABELS, "what <b>belongs</b> to it")},
        "data": {"pool": str(pool), "test": str(EXAMPLE / "test.jsonl"), "text": "text",
                 "gold": "label", "embedder": "hashing"},
        "budget": {"usd": "4", "human_label_usd": "0.05"},
        "people": {"kind": "simulated", "error_rate": 0.1},
        "loop": {"rounds": 3, "batch": 20, "chunk": 8, "seed": 3},
        "generator": {"enabled": False},
        "training": {"target": "linear"},
    }  # fmt: skip
    with open_store(folder / "work") as store:
        run = Run.create(make_config(body, source="test"), store)
        run.use(models={"local": ScriptedModel(weak_annotator, name="local")})
        with ThreadPoolExecutor(1) as aside:  # Playwright has this thread's event loop
            aside.submit(asyncio.run, run.drive()).result()
    return folder / "work", run.id


@pytest.fixture
def site(ended):
    folder, run = ended
    with open_store(folder) as store, serving_desk(store) as server:
        yield server, run


def test_the_loops_page_tells_what_the_store_has(site, browse):
    server, run = site
    page = browse(server.owner_link(f"/runs/{run}"))
    labels = sum(Labelling(server.store, run).counts().values())
    expect(page.locator("#now")).to_contain_text("Finished")
    expect(page.locator("#tiles")).to_contain_text(f"{labels:,}")
    expect(page.locator("#curve svg")).to_be_visible()
    expect(page.locator("#curve table tbody tr")).to_have_count(3)
    expect(page.locator("#classes svg")).to_be_visible()
    expect(page.locator("#rounds tbody tr")).to_have_count(4)
    # Every decision opens with what was known, and every step with what was decided last.
    page.locator("#rounds button").first.click()
    expect(page.locator("#drawer")).to_contain_text("What it knew")
    page.keyboard.press("Escape")
    page.get_by_role("button", name="select: what was decided last").press("Enter")
    expect(page.locator("#drawer")).to_contain_text("the selector decided last")


def test_controls_reach_the_loop(site, browse):
    server, run = site
    page = browse(server.owner_link(f"/runs/{run}"))
    page.get_by_label("Budget (USD)").fill("7")
    page.get_by_label("Budget (USD)").press("Enter")
    expect(page.locator("#said")).to_contain_text("noted")
    sent = Mailbox(server.store, run).queued()
    assert [(command.name, dict(command.arguments)) for command in sent] == [
        ("budget", {"usd": "7"})
    ]
    page.get_by_role("button", name="Go on with the run").click()
    expect(page.locator("#said")).to_contain_text("starting")
    assert server.drivers.driven == [run]


def test_a_viewer_has_no_controls_and_no_pages_of_others(site, browse):
    server, run = site
    page = browse(server.link("vic", "viewer", to=f"/runs/{run}"))
    expect(page.locator("#now")).to_contain_text("Finished")
    expect(page.locator("#controls button")).to_have_count(0)
    for path in (f"/runs/{run}/inbox", "/people"):
        assert page.goto(server.url + path).status == 403


def test_examples_are_found_and_tell_where_their_label_comes_from(site, browse):
    server, run = site
    page = browse(server.owner_link(f"/runs/{run}/data"))
    expect(page.locator("#count")).to_have_text("120 examples")
    page.get_by_label("Which").select_option("labelled")
    labels = sum(Labelling(server.store, run).counts().values())
    expect(page.locator("#count")).to_have_text(f"{labels} examples")
    page.get_by_label("From").select_option("human")
    people = Labelling(server.store, run).counts()["human"]
    expect(page.locator("#count")).to_have_text(f"{people} examples")
    page.locator(".item").first.click()
    drawer = page.locator("#drawer")
    expect(drawer).to_contain_text("human:simulated")
    expect(drawer).to_contain_text("chosen in round")
    # A link shows the same.
    there = page.url
    assert "example=" in there
    page.goto(there)
    expect(page.locator("#count")).to_have_text(f"{people} examples")
    expect(drawer).to_contain_text("human:simulated")
    drawer.get_by_role("button", name="More like this").click()
    expect(drawer).to_contain_text("Most like it")
    drawer.get_by_label("Its right label").select_option("noise")
    drawer.get_by_role("button", name="Correct").click()
    expect(drawer).to_contain_text("Kept as yours")
    assert Mailbox(server.store, run).all()[-1].name == "correct"


def test_what_somebody_is_asked_about_again_is_told_to_owners_alone(site, browse):
    server, run = site
    inbox, label = server.inbox(run), Labelling(server.store, run).labels()[0]
    again = question(0, labels=LABELS, id="again", example=label.example, checks="second")
    inbox.ask([again])
    try:
        page = browse(server.link("vera", "viewer", to=f"/runs/{run}/data"))
        row = page.get_by_role("row", name=re.compile(f"^{label.example} "))
        expect(row).to_contain_text("asked again, blind")
        row.click()
        expect(page.locator("#drawer")).to_contain_text("asked for an opinion of their own")
        expect(page.locator("#drawer")).not_to_contain_text("Who said what")
        said = {who: httpx.get(
            f"{server.url}/api/runs/{run}/examples/{label.example}",
            headers=server.headers(who, role)).json()
            for who, role in (("bo", "annotator"), ("olive", "owner"))}  # fmt: skip
        assert said["bo"]["label"] is None
        assert said["bo"]["said"] == said["bo"]["verdicts"] == said["bo"]["questions"] == []
        right = said["olive"]["label"]["answer"]
        found = {who: httpx.get(
            f"{server.url}/api/runs/{run}/examples", params={"label": right, "limit": 500},
            headers=server.headers(who, role)).json()["examples"]
            for who, role in (("bo", "annotator"), ("olive", "owner"))}  # fmt: skip
        named = {who: {like["id"] for like in shown} for who, shown in found.items()}
        assert named["olive"] - named["bo"] == {label.example}
        count = httpx.get(
            f"{server.url}/api/runs/{run}/example-count", params={"label": right},
            headers=server.headers("bo", "annotator")).json()["count"]  # fmt: skip
        assert count == len(named["bo"])
    finally:
        inbox.skip("again", who="olive")
    page.reload()
    expect(row).not_to_contain_text("blind")


def test_the_list_goes_by_keys(site, browse):
    server, run = site
    page = browse(server.owner_link(f"/runs/{run}/data"))
    expect(page.locator("#count")).to_have_text("120 examples")
    page.locator("#list").focus()
    page.keyboard.press("End")
    expect(page.locator(".item[aria-selected=true]")).to_have_attribute("aria-rowindex", "120")
    page.keyboard.press("Enter")
    expect(page.locator("#drawer")).to_be_visible()


def test_a_click_counts_though_the_list_is_painted_anew_meanwhile(site, browse):
    server, run = site
    page = browse(server.owner_link(f"/runs/{run}/data"))
    expect(page.locator("#count")).to_have_text("120 examples")
    expect(page.locator(".item").first).to_contain_text("p001")
    page.locator(".item").nth(2).hover()
    page.mouse.down()
    page.evaluate("window.dispatchEvent(new Event('resize'))")  # paints
    page.mouse.up()
    expect(page.locator(".item[aria-selected=true]")).to_have_attribute("aria-rowindex", "3")
    expect(page.locator("#drawer")).to_be_visible()


def test_texts_are_shown_and_never_run(site, browse):
    server, run = site
    for path in (f"/runs/{run}/data?q=onerror", f"/runs/{run}", "/runs"):
        page = browse(server.owner_link(path.replace("?", "%3F").replace("&", "%26")))
        page.wait_for_timeout(500)
        assert page.evaluate("window.caught") is None
    page = browse(server.owner_link(f"/runs/{run}/data"))
    page.get_by_label("Text").fill("onerror")
    expect(page.locator("#count")).to_have_text("1 example")
    page.locator(".item").first.click()
    expect(page.locator("#drawer")).to_contain_text(ODD)
    assert page.evaluate("window.caught") is None


def test_the_chat_answers_proposes_and_tells_what_became_of_it(site, browse):
    server, run = site
    page = browse(server.owner_link(f"/runs/{run}"))
    expect(page.locator("#now")).to_contain_text("Finished")
    page.locator("h1").click()
    page.keyboard.press("/")
    line = page.get_by_label("Say something")
    expect(line).to_have_value("/")
    page.keyboard.type("stra")
    expect(page.get_by_role("option", name="/strategy")).to_be_visible()
    line.fill("/status")
    line.press("Enter")
    chat = page.locator("#chat")
    expect(chat).to_contain_text("is finished")
    line.fill("/budget 9")
    line.press("Enter")
    chat.get_by_role("button", name="Edit").click()
    chat.get_by_label("Arguments").fill('{"usd": "8"}')
    chat.get_by_role("button", name="Approve").click()
    expect(chat).to_contain_text("querist resume")
    assert Mailbox(server.store, run).all()[-1].arguments["usd"] == "8"
    line.fill("/nonsense")
    line.press("Enter")
    expect(chat).to_contain_text("There is no /nonsense")
    # It is kept, and there on the next page.
    page.goto(f"{server.url}/runs/{run}/data")
    page.get_by_role("button", name="Chat").click()
    expect(page.locator("#chat")).to_contain_text("There is no /nonsense")


def test_a_link_for_somebody_is_made_and_taken_back(site, browse):
    server, _ = site
    page = browse(server.owner_link("/people"))
    page.get_by_label("Name").fill("Ann Example")
    page.get_by_role("button", name="Make a link").click()
    link = page.locator("#link code").inner_text()
    theirs = browse(link)
    assert theirs.url != link
    page.on("dialog", lambda dialog: dialog.accept())
    page.get_by_role("button", name="Shut Ann Example out").click()
    expect(page.get_by_role("row", name=re.compile("Ann Example"))).to_contain_text("shut out")
    assert theirs.goto(f"{server.url}/runs").status == 401


@pytest.fixture
def learnt(site):
    """A guideline that was proposed, in words that would be markup."""
    server, run = site
    task = config_of(labels=LABELS).as_task()
    made = Correction("p001", "d", {"text": ODD}, said="billing", answer=Choice("noise"))
    gain = MeasuredGain(0.021, 0.004, 0.038, texts=40, usd=Decimal("0.01"))
    words = f"A dog that barks is noise. {ODD}"
    lesson = Lesson("g1", LessonKind.GUIDELINE, task, words, "proposed", run, 1, "llm:m",
                    corrections=(made,), gain=gain)  # fmt: skip
    return Lessons(server.store).add(lesson)


def test_owners_read_lessons_and_take_them_into_use(site, learnt, browse):
    server, run = site
    page = browse(server.owner_link("/runs"))
    page.get_by_role("link", name="Lessons").click()
    row = page.get_by_role("row", name=re.compile("A dog that barks"))
    expect(row).to_contain_text("proposed")
    expect(row).to_contain_text("+2.1 points (+0.4 to +3.8) on 40 texts")
    row.get_by_role("button").click()
    drawer = page.locator("#drawer")
    expect(drawer).to_contain_text("noise, not billing")
    expect(drawer.get_by_role("link", name="p001")).to_have_attribute(
        "href", f"/runs/{run}/data?example=p001"
    )
    drawer.get_by_role("button", name="Approve").click()
    expect(row).to_contain_text("in use")
    expect(drawer).to_contain_text("changed byhuman:olga: approved")
    page.reload()  # the address names the lesson
    expect(drawer.get_by_role("button", name="Retire")).to_be_visible()
    Lessons(server.store).approve("g1", by="human:ann", text="A dog that barks is no noise.")
    drawer.get_by_role("button", name="Retire").click()
    expect(page.locator("#said")).to_contain_text("was changed by human:ann meanwhile")
    assert Lessons(server.store).get("g1").state == "active"
    page.reload()
    drawer.get_by_role("button", name="Retire").click()
    expect(page.locator("#said")).to_contain_text("is retired")
    assert Lessons(server.store).get("g1").by == "human:olga"
    page.get_by_label("Which").select_option("active")
    expect(row).to_have_count(0)
    assert page.evaluate("window.caught") is None


def test_others_read_lessons_and_judge_none(site, learnt, browse):
    server, _ = site
    page = browse(server.link("vic", "viewer", to="/lessons?lesson=g1"))
    expect(page.locator("#drawer")).to_contain_text("Made of these texts")
    expect(page.locator("#drawer button")).to_have_text(["Close"])
    body = {"verdict": "approve", "version": learnt.version}
    for role in ("viewer", "annotator"):
        said = httpx.post(
            f"{server.url}/api/lessons/g1/decision", json=body, headers=server.headers(role, role)
        )
        assert said.status_code == 403


def test_a_page_takes_up_the_stream_where_it_was(site, browse):
    """A server that is away for a while is told to the person, and found again."""
    server, run = site
    page = browse(server.owner_link(f"/runs/{run}"))
    expect(page.locator("#now")).to_contain_text("Finished")
    page.context.route(STREAM, lambda route: route.abort())
    other = page.context.new_page()
    other.goto(f"{server.url}/runs/{run}")
    expect(other.locator("#now")).to_contain_text("Finished")
    page.close()  # the other tab takes the stream over
    expect(other.locator("#line")).to_be_visible()
    page.context.unroute(STREAM)
    expect(other.locator("#line")).to_be_hidden(timeout=10_000)


def test_twelve_tabs_load(site, browse):
    server, run = site
    first = browse(server.owner_link(f"/runs/{run}"))
    for _ in range(11):
        page = first.context.new_page()
        page.goto(f"{server.url}/runs/{run}", wait_until="domcontentloaded")
        expect(page.locator("#now")).to_contain_text("Finished")


# ---------------------------------------------------------------- for everybody


OPENED = {
    "/runs": "#runs table",
    "/runs/{ended}": "#curve svg",
    "/runs/{ended}/data": ".item strong",
    "/runs/{ended}/data?example={labelled}": "#drawer dl",
    "/runs/{ended}/inbox": "#nothing h2",
    "/runs/asked/inbox": "#desk[data-painted]",
    "/runs/asked/inbox/disputes": "#desk[data-painted]",
    "/jobs": "#jobs",
    "/people": "#people table",
    "/lessons?lesson=g1": "#drawer dl",
    "chat": "#chat .completions li",
    "/login": "h1",
}
"""Pages, and what is there when they are whole."""


@pytest.fixture
def asked(site):
    """Beside the run that ended, one with questions, one of them disputed."""
    server, run = site
    if not server.inbox("asked").counts():
        first = question(0)
        put_run(server.store, run="asked", questions=[first, question(1)])
        inbox = server.inbox("asked")
        inbox.answer(first.id, Choice("bug"), who="ann")
        second = replace(first, id="second", checks="second")
        inbox.ask([second])
        inbox.answer(second.id, Choice("praise"), who="bob")
        inbox.folded([one.id for one in inbox.unfolded()])
        inbox.ask([replace(first, id="third", checks="adjudication")])
    return server, run


def test_axe_finds_nothing_on_any_page(asked, learnt, browse):
    """All rules of axe-core; in the dark once more those about colours."""
    axe = pytest.importorskip("axe_playwright_python.sync_playwright").Axe()
    server, run = asked
    labelled = Labelling(server.store, run).labels()[0].example
    page, found = browse(server.owner_link("/runs")), []
    for path, whole in OPENED.items():
        if path == "/login":
            page.context.clear_cookies()
        there = "/runs/asked" if path == "chat" else path.format(ended=run, labelled=labelled)
        page.emulate_media(color_scheme="light")
        page.goto(server.url + there)
        if path == "chat":
            page.keyboard.press("/")
        page.locator(whole).first.wait_for()
        light = axe.run(page)
        page.emulate_media(color_scheme="dark")
        dark = axe.run(page, options={"runOnly": ["color-contrast", "link-in-text-block"]})
        found += [(path, said.generate_report()) for said in (light, dark) if said.violations_count]
    assert not found, found


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_words_stand_out_from_what_they_are_on(site, browse, scheme):
    """Contrast by WCAG 2.2: 4.5 for every text of every page."""
    server, run = site
    token = server.desk.owner_secret
    page = browse(f"{server.url}/login?token={token}&to=/runs", color_scheme=scheme)
    for path in (f"/runs/{run}", f"/runs/{run}/data", f"/runs/{run}/inbox", "/jobs", "/people"):
        page.goto(server.url + path)
        page.wait_for_timeout(600)
        faint = page.evaluate(FAINT)
        assert not faint, (path, faint[:5])


def test_every_page_has_a_language_a_heading_and_names_for_what_is_pressed(site, browse):
    server, run = site
    page = browse(server.owner_link("/runs"))
    for path in ("/runs", f"/runs/{run}", f"/runs/{run}/data", f"/runs/{run}/inbox", "/jobs"):
        page.goto(server.url + path)
        page.wait_for_timeout(400)
        assert page.locator("html").get_attribute("lang") == "en"
        assert page.locator("h1").count() == 1
        unnamed = page.evaluate(UNNAMED)
        assert not unnamed, (path, unnamed)


def test_what_is_not_there_is_said_in_a_page(site):
    server, run = site
    owner = {"Authorization": f"Bearer {server.desk.owner_secret}"}
    for path, headers, status in (
        ("/login?token=old", {}, 401), ("/runs", {}, 401),
        (f"/runs/{run[:-1]}", owner, 404), ("/runs/none/data", owner, 404),
    ):  # fmt: skip
        said = httpx.get(server.url + path, headers=headers)
        assert (said.status_code, said.headers["content-type"]) == (
            status, "text/html; charset=utf-8",
        ), path  # fmt: skip


def test_no_script_writes_markup():
    for path in STATIC.glob("*.js"):
        text = path.read_text()
        for word in ("innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval("):
            assert word not in text, (path.name, word)


def test_answers_of_the_api_are_typed(site):
    server, _ = site
    schema = httpx.get(f"{server.url}/api/openapi.json").json()
    for path, methods in schema["paths"].items():
        for method, told in methods.items():
            assert told.get("tags"), (method, path)
            done = [code for code in told["responses"] if code.startswith("2")]
            assert done, (method, path)


def test_open_questions_are_counted_in_the_rail(site, browse):
    server, run = site
    assert Inbox(server.store, run).counts().get("open", 0) == 0
    page = browse(server.owner_link(f"/runs/{run}/data"))
    page.wait_for_timeout(500)
    assert page.locator("#open-count").inner_text() == ""


FAINT = """() => {
  const light = (c) => { const [r, g, b] = c.map((v) => { v /= 255; return v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4; });
    return 0.2126 * r + 0.7152 * g + 0.0722 * b; };
  const parse = (s) => { const n = s.match(/[\\d.]+/g).map(Number); return { rgb: n.slice(0, 3), a: n[3] ?? 1 }; };
  const ground = (e) => { for (; e; e = e.parentElement) { const c = parse(getComputedStyle(e).backgroundColor); if (c.a > 0.99) return c.rgb; } return [255, 255, 255]; };
  const found = [];
  for (const e of document.querySelectorAll("main *, nav *, #chat *, #open-chat")) {
    const own = [...e.childNodes].some((n) => n.nodeType === 3 && n.data.trim());
    if (!own || e.closest("svg") || e.closest(":disabled") || !e.checkVisibility() || e.closest(".stale")) continue;
    const a = light(parse(getComputedStyle(e).color).rgb), b = light(ground(e));
    const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    if (ratio < 4.5) found.push([e.tagName, e.className, e.textContent.slice(0, 30), ratio.toFixed(2)]);
  }
  return found;
}"""  # noqa: E501
UNNAMED = """() => [...document.querySelectorAll("button, a[href], input, select, textarea")].filter((e) => {
  if (!e.checkVisibility() || e.type === "hidden") return false;
  const label = e.labels?.length ? [...e.labels].map((l) => l.textContent).join("") : "";
  return !(e.getAttribute("aria-label") || label.trim() || e.textContent.trim() || e.title);
}).map((e) => e.outerHTML.slice(0, 80))"""  # noqa: E501
