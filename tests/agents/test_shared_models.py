"""Runs of one process share what is open: one client, one pacer an endpoint."""

import asyncio
import gc
from pathlib import Path

from querist.agents.models.catalogue import ModelAccess
from querist.agents.models.shared import give_back, take_model

HERE = "http://127.0.0.1:9/v1"


def take(tell=print, *, name="m", patience=9.0, **more):
    access = ModelAccess(cache=Path("cache"), base_url=HERE, tell=tell, **more)
    return take_model(name, access, patience=patience)


class Closes:
    def __init__(self, model):
        self.times, self._close = 0, model.aclose
        model.aclose = self.close

    async def close(self):
        self.times += 1
        await self._close()


def test_two_who_take_one_model_share_it_and_the_last_closes_it():
    async def both():
        said: dict[str, list[str]] = {"first": [], "second": []}
        tellers = [said["first"].append, said["second"].append]
        first, second = (take(tell) for tell in tellers)
        closes = Closes(first.model)
        assert first is second
        assert first.pacer is second.pacer
        first.model._tell("it thinks")
        assert said == {"first": ["it thinks"], "second": ["it thinks"]}
        await give_back(first, tellers[0])
        assert closes.times == 0
        assert take(tellers[0]) is second
        await give_back(second, tellers[0])
        await give_back(second, tellers[1])
        assert closes.times == 1
        assert take(tellers[1]) is not second

    asyncio.run(both())


def test_who_takes_a_model_twice_gives_it_back_twice():
    async def twice():
        model = take()
        assert take() is model
        closes = Closes(model.model)
        await give_back(model, print)
        assert closes.times == 0
        await give_back(model, print)
        assert closes.times == 1

    asyncio.run(twice())


def test_what_differs_is_not_shared():
    async def several():
        keys = ({}, {"api_key": "k"}, {"in_flight": 3}, {"timeout": 1.0}, {"thinking": 7},
                {"name": "n"}, {"patience": 1.0})  # fmt: skip
        assert len({id(take(**key)) for key in keys}) == len(keys)

    asyncio.run(several())


def test_event_loops_share_nothing():
    async def taken():
        return take()

    first, second = asyncio.run(taken()), asyncio.run(taken())
    assert first is not second
    assert take() is not take()
    gc.collect()
