"""Descriptors that make a method of both clients from the description of a request."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from functools import wraps
from typing import Any, Concatenate, Generic, ParamSpec, TypeVar, overload

from querist.app.client.asks import Ask, Course, T
from querist.app.client.senders import AsyncSender, SyncSender

P = ParamSpec("P")
D = TypeVar("D")


class _Method(Generic[P, D]):
    """What the three have in common; each says in its own types what a client gets of it."""

    def __init__(self, make: Callable[Concatenate[Any, P], D]) -> None:
        """`make` describes the request, or the requests."""
        self._make = make
        self.__doc__ = make.__doc__

    def _bound(
        self, sender: SyncSender | AsyncSender | None, do: Callable[[Any, D], Any]
    ) -> Callable[..., Any]:
        if sender is None:
            return self._make

        @wraps(self._make)
        def call(*args: P.args, **kwargs: P.kwargs) -> Any:
            return do(sender, self._make(sender, *args, **kwargs))

        return call


class Route(_Method[P, Ask[T]], Generic[P, T]):
    """A method that sends one request."""

    @overload
    def __get__(self, sender: SyncSender, of: type) -> Callable[P, T]: ...
    @overload
    def __get__(self, sender: AsyncSender, of: type) -> Callable[P, Awaitable[T]]: ...
    @overload
    def __get__(self, sender: None, of: type) -> Callable[Concatenate[Any, P], Ask[T]]: ...
    def __get__(self, sender: SyncSender | AsyncSender | None, of: type) -> Any:
        """Bind it to a client; of the class itself it is the description."""
        return self._bound(sender, lambda sender, told: sender.send(told))


class Listing(_Method[P, Course[T]], Generic[P, T]):
    """A method that gives values one by one, however many requests they take."""

    @overload
    def __get__(self, sender: SyncSender, of: type) -> Callable[P, Iterator[T]]: ...
    @overload
    def __get__(self, sender: AsyncSender, of: type) -> Callable[P, AsyncIterator[T]]: ...
    @overload
    def __get__(self, sender: None, of: type) -> Callable[Concatenate[Any, P], Course[T]]: ...
    def __get__(self, sender: SyncSender | AsyncSender | None, of: type) -> Any:
        """Bind it to a client; of the class itself it is the description."""
        return self._bound(sender, lambda sender, told: sender.walk(told))


class Waiting(_Method[P, Course[T]], Generic[P, T]):
    """A method that gives one value, after as many requests as it takes."""

    @overload
    def __get__(self, sender: SyncSender, of: type) -> Callable[P, T]: ...
    @overload
    def __get__(self, sender: AsyncSender, of: type) -> Callable[P, Awaitable[T]]: ...
    @overload
    def __get__(self, sender: None, of: type) -> Callable[Concatenate[Any, P], Course[T]]: ...
    def __get__(self, sender: SyncSender | AsyncSender | None, of: type) -> Any:
        """Bind it to a client; of the class itself it is the description."""
        return self._bound(sender, _first)


def _first(sender: SyncSender | AsyncSender, course: Course[Any]) -> Any:
    if isinstance(sender, SyncSender):
        return next(sender.walk(course))
    return anext(sender.walk(course))
