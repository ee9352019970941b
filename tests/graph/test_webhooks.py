"""Webhooks: signed, sent at least once, never to where they may not go, and held up by nobody."""

import asyncio
import hashlib
import hmac
import json
from contextlib import asynccontextmanager

import pytest
from aiohttp import web
from tests_jobs_support import models, request

from querist.graph import jobs
from querist.graph.jobs.request import WebhookSection
from querist.graph.jobs.webhooks import send, send_due
from querist.memory.records import JobStatus
from querist.memory.store import open_store
from querist.memory.workspace.jobs import Jobs
from querist.memory.workspace.outbox import Message, Outbox


@asynccontextmanager
async def receiver(answer):
    """Serve an address that keeps what it gets."""
    got = []

    async def take(asked):
        got.append((dict(asked.headers), await asked.read()))
        return await answer(len(got))

    app = web.Application()
    app.router.add_post("/hook", take)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port = site._server.sockets[0].getsockname()[1]
    try:
        yield f"http://127.0.0.1:{port}/hook", got
    finally:
        await runner.cleanup()


async def ok(_):
    return web.Response()


def message(url, *, private=True):
    hook = {"url": url, "private": private}
    return Message("job/done/1", "job", {"hook": hook, "told": {"event": "done", "rows": 3}})


def test_a_body_is_signed_so_that_the_receiver_can_check_it(monkeypatch):
    monkeypatch.setenv("QUERIST_SECRET", "s3cret")

    async def go():
        async with receiver(ok) as (url, got):
            assert await send(message(url)) == ""
            return got[0]

    headers, body = asyncio.run(go())
    stamp, digest = (
        part[2:] for part in headers["Querist-Signature"].replace("v1", "v").split(",")
    )
    expected = hmac.new(b"s3cret", stamp.encode() + b"." + body, hashlib.sha256).hexdigest()
    assert digest == expected
    assert headers["Querist-Id"] == "job/done/1"
    assert json.loads(body) == {"event": "done", "rows": 3}


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:9/x", "http://localhost:9/x", "http://10.0.0.1/", "http://[::1]/",
            "http://169.254.169.254/latest"],
)  # fmt: skip
def test_private_addresses_are_refused_unless_they_are_allowed(url):
    trouble = asyncio.run(send(message(url, private=False), seconds=2))
    assert "private address" in trouble
    assert "webhook.private = true" in trouble


def test_who_hangs_is_left_after_a_while_and_who_redirects_is_not_followed():
    async def hang(_):
        await asyncio.sleep(5)
        return web.Response()

    async def redirect(_):
        return web.Response(status=302, headers={"Location": "http://127.0.0.1:9/"})

    async def go():
        async with receiver(hang) as (url, _):
            first = await send(message(url), seconds=0.3)
        async with receiver(redirect) as (url, _):
            return first, await send(message(url))

    assert asyncio.run(go()) == ("no answer within 0.3 s", "answered 302")


def test_what_is_not_taken_is_tried_again_later_and_what_is_refused_is_given_up(tmp_path):
    async def busy(count):
        return web.Response(status=503 if count == 1 else 404)

    with open_store(tmp_path) as store:
        outbox = Outbox(store)

        async def go():
            async with receiver(busy) as (url, got):
                outbox.put(message(url))
                await send_due(store)
                assert outbox.of("job")[0].trouble == "answered 503"
                assert outbox.of("job")[0].status == "due"
                await send_due(store)
                assert len(got) == 1, "it is not due yet"
                outbox.failed(outbox.of("job")[0], "answered 404", is_final=True)

        asyncio.run(go())
        assert outbox.of("job")[0].status == "given up"


def test_a_job_tells_when_most_of_the_money_is_gone_and_when_it_is_done(tmp_path):
    with open_store(tmp_path) as store:

        async def go():
            async with receiver(ok) as (url, got):
                hook = {"url": url, "private": True}
                asked = request(rows=60, budget={"usd": "0.02"}, webhook=hook)
                job = jobs.submit(asked, store)
                await jobs.Worker(store, models=models()).work_off()
                return job, [json.loads(body) for _, body in got]

        job, told = asyncio.run(go())
        assert [body["event"] for body in told] == ["spent_80", "done"]
        assert all(body["job"] == job.id for body in told)
        assert told[1]["stop"] == "cap"
        assert all(one.status == "sent" for one in Outbox(store).of(job.id))


def test_what_is_told_of_a_long_job_is_told_while_it_is_at_work(tmp_path):
    with open_store(tmp_path) as store:
        seen = []

        async def look(_):
            seen.append(Jobs(store).all()[0].status)
            return web.Response()

        async def go():
            async with receiver(look) as (url, _):
                hook = {"url": url, "private": True}
                # 80 % is spent some waves before the rows are there.
                jobs.submit(request(rows=900, budget={"usd": "0.5"}, webhook=hook), store)
                await jobs.Worker(store, models=models(delay=0.1), poll=0.02).work_off()

        asyncio.run(go())
        assert seen[0] is JobStatus.RUNNING
        assert seen[-1] is JobStatus.DONE


@pytest.mark.parametrize("host", ["169.254.169.254", "127.0.0.1", "[::1]", "10.0.0.8:8080"])
def test_a_private_address_in_numbers_is_refused_before_the_job_is_handed_in(host):
    with pytest.raises(ValueError, match="private address"):
        WebhookSection(url=f"http://{host}/hook")
    assert WebhookSection(url=f"http://{host}/hook", private=True).private
