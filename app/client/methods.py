"""Descriptors that make a method of both clients from the description of a request."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from functools import wraps
from typing import Any, Concatenate, Generic, ParamSpec, overload

from querist.app.client.asks import Ask, Course, T
from querist.app.client.senders import AsyncSender, SyncSender

P = ParamSpec("P")


class Route(Generic[P, T]):
    """A method that sends one request."""

    def __init__(self, make: Callable[Concatenate[Any, P], Ask[T]]) -> None:
        """`make` describes the request."""
        self._make = make
        self.__doc__ = make.__doc__

    @overload
    def __get__(self, sender: SyncSender, of: type) -> Callable[P, T]: ...
    @overload
    def __get__(self, sender: AsyncSender, of: type) -> Callable[P, Awaitable[T]]: ...
    @overload
    def __get__(self, sender: None, of: type) -> Callable[Concatenate[Any, P], Ask[T]]: ...
    def __get__(self, sender: SyncSender | AsyncSender | None, of: type) -> Any:
        """Bind it to a client; of the class itself it is the description."""
        if sender is None:
            return self._make

        @wraps(self._make)
        def call(*args: P.args, **kwargs: P.kwargs) -> Any:
            return sender.send(self._make(sender, *args, **kwargs))

        return call


class Listing(Generic[P, T]):
    """A method that gives values one by one, however many requests they take."""

    def __init__(self, make: Callable[Concatenate[Any, P], Course[T]]) -> None:
        """`make` describes the requests."""
        self._make = make
        self.__doc__ = make.__doc__

    @overload
    def __get__(self, sender: SyncSender, of: type) -> Callable[P, Iterator[T]]: ...
    @overload
    def __get__(self, sender: AsyncSender, of: type) -> Callable[P, AsyncIterator[T]]: ...
    @overload
    def __get__(self, sender: None, of: type) -> Callable[Concatenate[Any, P], Course[T]]: ...
    def __get__(self, sender: SyncSender | AsyncSender | None, of: type) -> Any:
        """Bind it to a client; of the class itself it is the description."""
        if sender is None:
            return self._make

        @wraps(self._make)
        def call(*args: P.args, **kwargs: P.kwargs) -> Any:
            return sender.walk(self._make(sender, *args, **kwargs))

        return call


class Waiting(Generic[P, T]):
    """A method that gives one value, after as many requests as it takes."""

    def __init__(self, make: Callable[Concatenate[Any, P], Course[T]]) -> None:
        """`make` describes the requests, and gives a value once."""
        self._make = make
        self.__doc__ = make.__doc__

    @overload
    def __get__(self, sender: SyncSender, of: type) -> Callable[P, T]: ...
    @overload
    def __get__(self, sender: AsyncSender, of: type) -> Callable[P, Awaitable[T]]: ...
    @overload
    def __get__(self, sender: None, of: type) -> Callable[Concatenate[Any, P], Course[T]]: ...
    def __get__(self, sender: SyncSender | AsyncSender | None, of: type) -> Any:
        """Bind it to a client; of the class itself it is the description."""
        if sender is None:
            return self._make

        @wraps(self._make)
        def call(*args: P.args, **kwargs: P.kwargs) -> Any:
            course = self._make(sender, *args, **kwargs)
            if isinstance(sender, SyncSender):
                return next(sender.walk(course))
            return anext(sender.walk(course))

        return call
