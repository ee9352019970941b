"""Models that several runs of a process use: each opened once, with one pacer an endpoint.

Who takes a model gives it back, and the last one closes it; a worker that wants one kept for its
next job holds it meanwhile. Connections and pacers belong to an event loop, so does what is shared.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field, replace
from weakref import WeakKeyDictionary

from querist.agents.models.catalogue import ModelAccess, open_model
from querist.agents.models.pacing import Pacer, Patience
from querist.agents.models.port import ChatModel


@dataclass(eq=False)
class Endpoint:
    """A model as it is open, the pacer of its calls, and who hears what is learnt about it."""

    model: ChatModel
    pacer: Pacer
    listeners: list[Callable[[str], None]] = field(default_factory=list)


_OPEN: WeakKeyDictionary[asyncio.AbstractEventLoop, dict[Hashable, Endpoint]] = WeakKeyDictionary()


def take_model(name: str, access: ModelAccess, *, patience: float) -> Endpoint:
    """Open a model, or take it as it is open already in this event loop.

    `access.tell` hears what is learnt about the endpoint from now on. Raises what `open_model`
    does. Outside an event loop nothing is shared.
    """
    key = _key(name, access, patience)
    known = _OPEN.setdefault(loop, {}) if (loop := _loop()) else {}
    endpoint = known.get(key)
    if endpoint is None:
        listeners: list[Callable[[str], None]] = []

        def tell(words: str) -> None:
            for listener in tuple(listeners):
                listener(words)

        model = open_model(name, replace(access, tell=tell))
        pacer = Pacer(model.in_flight, patience=Patience(total=patience))
        endpoint = known[key] = Endpoint(model, pacer, listeners)
    endpoint.listeners.append(access.tell)
    return endpoint


async def give_back(endpoint: Endpoint, listener: Callable[[str], None]) -> None:
    """Use a model no more, as who took it with this `tell`; the last one closes it."""
    if listener in endpoint.listeners:
        endpoint.listeners.remove(listener)
    if endpoint.listeners:
        return
    for known in _OPEN.values():
        for key in [key for key, value in known.items() if value is endpoint]:
            del known[key]
    await endpoint.model.aclose()


def _loop() -> asyncio.AbstractEventLoop | None:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None


def _key(name: str, access: ModelAccess, patience: float) -> Hashable:
    """Whatever makes two of one name differ."""
    told_apart = replace(access, tell=print, options={})
    options = tuple(sorted((key, repr(value)) for key, value in access.options.items()))
    return name, patience, repr(told_apart), options
