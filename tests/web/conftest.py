"""Pages and API of a workspace that is really served; a browser where one is installed."""

import socket
from contextlib import ExitStack
from importlib.util import find_spec

import pytest
from tests_web_support import CHROMIUM, FLAGS, put_run, question, serving_desk

from querist.memory.store import open_store


@pytest.fixture(scope="session", autouse=True)
def _patience():
    """Wait for what a page is to show as long as a busy machine may take; it is seldom needed."""
    if find_spec("playwright") is not None:
        from playwright.sync_api import expect

        expect.set_options(timeout=20_000)


@pytest.fixture
def served(tmp_path):
    """Serve workspaces of the test: call it with how many questions a run `run` is to have.

    Keywords: `config` (see `config_of`), `status`, `labels`, `questions` (a list instead of a
    number), `store` (an open one, to which nothing is added).
    """
    with ExitStack() as open_:

        def serve(questions=0, *, store=None, labels=None, **run):
            if store is None:
                name = f"work{len(list(tmp_path.iterdir()))}"
                store = open_.enter_context(open_store(tmp_path / name))
                if isinstance(questions, int):
                    more = {} if labels is None else {"labels": labels}
                    questions = [question(number, **more) for number in range(questions)]
                put_run(store, questions=questions, **run)
            return open_.enter_context(serving_desk(store))

        yield serve


# Of a module, not of the session: Playwright's event loop would be in the way of other tests.
@pytest.fixture(scope="module")
def _chromium():
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture
def browse(_chromium):
    """Open a page by an address as a person of its own; it notes its errors and requests.

    What a page says of its requests is in `page.asked`, its errors are in `page.troubles`, and a
    test ends badly if there are any, or if any request went elsewhere.
    """
    contexts = []

    def open_(url, *, wait="load", **options):
        context = _chromium.new_context(**options)
        contexts.append(context)
        page = context.new_page()
        page.troubles, page.asked = [], []
        page.on("pageerror", lambda error: page.troubles.append(str(error)))
        page.on("request", lambda request: page.asked.append(request.url))
        page.goto(url, wait_until=wait)
        page.wait_for_url(lambda there: "/login" not in there)
        return page

    yield open_
    troubles, asked = [], []
    for context in contexts:
        for page in context.pages:
            troubles += getattr(page, "troubles", [])
            asked += getattr(page, "asked", [])
        context.close()
    assert not troubles
    elsewhere = [url for url in asked if not url.startswith(("http://127.0.0.1:", "data:"))]
    assert not elsewhere


@pytest.fixture
def unused_port():
    """A port that nobody listens on."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]
