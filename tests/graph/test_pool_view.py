"""Examples that were read are kept as long as that is right and cheap."""

import asyncio
from unittest import mock

import pytest

from querist.graph.workplace import pool_view
from querist.memory.answers import name_of
from querist.memory.run.pool import Pool


@pytest.fixture
def reads(scripted):
    """A view of a pool, and the ids that it reads from the store."""
    view = scripted()[0].view().view
    read, get = [], Pool.get

    def note(pool, ids):
        read.extend(ids)
        return get(pool, ids)

    with mock.patch.object(Pool, "get", note):
        yield view, read


def test_an_example_is_read_once_and_given_in_the_order_asked_for(reads):
    view, read = reads
    first, second, third = view.ids[:3]
    assert [example.id for example in view.get([second, first])] == [second, first]
    assert [example.id for example in view.get([first, third, second])] == [first, third, second]
    assert read == [second, first, third]
    with pytest.raises(KeyError):
        view.get([first, "nobody"])


def test_what_is_kept_stays_small(reads, monkeypatch):
    view, read = reads
    monkeypatch.setattr(pool_view, "_MOST_KEPT", 3)
    for name in (*view.ids[:5], *view.ids[:2]):
        assert view.get([name])[0].id == name
    assert len(read) == 7
    read.clear()
    monkeypatch.setattr(pool_view, "_SHORT", 1)
    for _ in range(2):
        view.get([view.ids[9]])
    assert len(read) == 2, "a long one is read again"


def test_a_kept_answer_bears_the_name_that_its_label_has_now(scripted):
    run, _ = scripted()
    context = run.view()
    view = context.view
    old = next(example for example in view.get(list(view.ids)) if example.gold is not None)
    word = name_of(old.gold)
    run.post("label_rename", who="ann", old=word, new="renamed")
    asyncio.run(run.drive())
    after = run.view()
    context.configure(after.config)
    assert name_of(view.get([old.id])[0].gold) == "renamed"
