"""One registry for everything that can be named: strategies, stopping rules, embedders, trainers.

An entry is declared where it is written, by the decorator of its kind (`strategy`, `trainer`, …),
and declaring it changes nothing anywhere. A registry imports the modules that Querist ships and
asks the installed packages for more, once, when something is first looked up. So it is the same
whatever was imported before, and in whatever order.

A plug-in names its entries in its own package, under the registry's entry point group; the object
is an entry, a tuple of entries, or a module that declares some:

    [project.entry-points."querist.strategy"]
    mine = "my_package.strategies"

Parameters of an entry are the keyword-only parameters of its function or class, with their types
and defaults; they are checked before anything runs.
"""

from __future__ import annotations

import difflib
import inspect
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from types import ModuleType, NoneType, UnionType
from typing import (
    Annotated,
    Any,
    Generic,
    Literal,
    TypeVar,
    Union,
    get_args,
    get_origin,
    get_type_hints,
)

from pydantic import BaseModel, ConfigDict, Field, ValidationError, create_model

from querist.memory.errors import InvalidInput
from querist.tools.calls import Scalar, read_call, write_value
from querist.tools.wording import any_of, listed, shorten, suggest

__all__ = [
    "Count",
    "Declaration",
    "Entry",
    "Parameter",
    "Positive",
    "Registry",
    "Share",
    "declare",
    "make_card",
]

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)

Count = Annotated[int, Field(ge=1, le=1_000_000_000)]
"""A parameter that counts: a whole number, at least 1."""
Share = Annotated[float, Field(ge=0, le=1)]
"""A parameter between 0 and 1."""
Positive = Annotated[float, Field(gt=0)]
"""A parameter above 0."""

_WORDS = {bool: "true or false", int: "a whole number", float: "a number", str: "text"}
_BOUNDS = {"ge": "at least", "gt": "above", "le": "at most", "lt": "below"}
_UNBOUNDED = 1_000_000_000
"""A bound that only keeps numbers from overflowing, and is not worth telling."""
_STRICT = ConfigDict(strict=True, extra="forbid", allow_inf_nan=False, frozen=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class Card:
    """What people are told of an entry before they use it."""

    summary: str
    section: str = ""
    """Section of the survey (2502.11767); empty for a method that it does not name."""
    cost: str = ""
    citation: str = ""
    explanation: str = ""
    """When to use it and when not, and what it computes, in plain words."""


@dataclass(frozen=True, slots=True)
class Parameter:
    """One parameter as people read it."""

    name: str
    words: str
    """What it can be: `a whole number, at least 1`."""
    default: Scalar | None

    @property
    def shown(self) -> str:
        """The default as a task file writes it."""
        return "none" if self.default is None else write_value(self.default)

    def __str__(self) -> str:
        """Write it in a sentence."""
        return f"{self.name} ({self.words}; {self.shown})"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Entry(Generic[T_co]):
    """Something that can be named, and how it is made."""

    group: str
    """The registry that it is for, by its entry point group."""
    name: str
    card: Card
    factory: Callable[..., T_co]
    """Called with the parameters that were given, by keyword."""
    parameters: type[BaseModel]
    needs: frozenset[str] = frozenset()
    """What it must be shown."""
    origin: str = ""
    """The module that declares it."""

    def __call__(self, **values: object) -> T_co:
        """Make it with these parameters; raises `InvalidInput` naming parameter and remedy."""
        return self.make(values)

    def make(self, values: Mapping[str, object]) -> T_co:
        """Make it; unknown parameters and impossible values are refused."""
        return self.factory(**self.validated(values))

    def validated(self, values: Mapping[str, object]) -> dict[str, Any]:
        """Give the values as the factory takes them; raises `InvalidInput` where it would not."""
        try:
            checked = self.parameters.model_validate(dict(values))
        except ValidationError as error:
            raise InvalidInput(self._explain(error)) from None
        given = [name for name in self.parameters.model_fields if name in checked.model_fields_set]
        return {name: getattr(checked, name) for name in given}

    def described(self) -> list[Parameter]:
        """List the parameters."""
        return [
            Parameter(name, _in_words(field.annotation, field.metadata), field.default)
            for name, field in self.parameters.model_fields.items()
        ]

    def _explain(self, error: ValidationError) -> str:
        problem = error.errors()[0]
        name = str(problem["loc"][0])
        known = self.described()
        if problem["type"] == "extra_forbidden":
            near = suggest(name, self.parameters.model_fields)
            what = f"{self.name!r} has no parameter {shorten(name)}.{near}"
        else:
            wanted = next(parameter.words for parameter in known if parameter.name == name)
            given = problem["input"]
            given = write_value(given) if isinstance(given, Scalar) else shorten(given)
            what = f"{self.name!r}: {name} = {given} cannot be; it is {wanted}."
        takes = f"takes: {listed(known, 20)}" if known else "takes none"
        return f"{what} It {takes}."


def declare(
    group: str,
    name: str,
    *,
    factory: Callable[..., T],
    card: Card,
    signature: Callable[..., object] | None = None,
    needs: Iterable[str] = (),
) -> Entry[T]:
    """Describe something that can be named; nothing is registered by it.

    Parameters are read from `signature`, or else from the factory. Raises `InvalidInput` where one
    has no default, or a type that no task file can write.
    """
    source = signature or factory
    return Entry(
        group=group,
        name=name,
        card=card,
        factory=factory,
        parameters=_read_parameters(source, name=name),
        needs=frozenset(needs),
        origin=source.__module__,
    )


class Declaration(Generic[T]):
    """The decorator of a port: it takes a class, or a function that makes one, in by its name.

    What it takes must make a T. Its keyword-only parameters are the entry's.
    """

    def __init__(self, group: str) -> None:
        """`group` is the entry point group of the port's registry."""
        self._group = group

    def __call__(
        self,
        name: str,
        *,
        summary: str,
        cost: str = "",
        citation: str = "",
        explanation: str = "",
        needs: Iterable[str] = (),
    ) -> Callable[[Callable[..., T]], Entry[T]]:
        """Declare an entry under the name that task files use, with what people read of it."""
        card = make_card(summary, cost=cost, citation=citation, explanation=explanation)
        return lambda factory: declare(self._group, name, factory=factory, card=card, needs=needs)


def make_card(
    summary: str, *, section: str = "", cost: str = "", citation: str = "", explanation: str = ""
) -> Card:
    """Make a card of texts that may be indented as code is."""
    tidy = " ".join(explanation.split())
    return Card(summary=summary, section=section, cost=cost, citation=citation, explanation=tidy)


def _read_parameters(source: Callable[..., object], *, name: str) -> type[BaseModel]:
    """Make a model of the keyword-only parameters of a function or class."""
    function = source.__init__ if isinstance(source, type) else source  # type: ignore[misc]
    found = [
        parameter
        for parameter in inspect.signature(function).parameters.values()
        if parameter.kind is inspect.Parameter.KEYWORD_ONLY
    ]
    hints = get_type_hints(function, include_extras=True) if found else {}
    fields: dict[str, Any] = {}
    for parameter in found:
        if parameter.default is inspect.Parameter.empty or not _is_plain(hints[parameter.name]):
            raise InvalidInput(
                f"The parameter {parameter.name!r} of {name!r} must have a default, and be a "
                "number, true or false, a text or a choice of texts: so that a task file can name "
                "it."
            )
        fields[parameter.name] = (hints[parameter.name], parameter.default)
    model: type[BaseModel] = create_model(name, __config__=_STRICT, **fields)
    return model


class Registry(Generic[T]):
    """All entries of one kind, by name."""

    def __init__(
        self, noun: str, *, group: str, modules: tuple[str, ...], listing: str = ""
    ) -> None:
        """`modules` are those that Querist ships; `listing` is the command that shows all."""
        self.noun, self.group = noun, group
        self._modules, self._listing = modules, listing
        self._loaded: tuple[dict[str, Entry[T]], dict[str, str]] | None = None

    def entries(self) -> tuple[Entry[T], ...]:
        """List every entry by name, plug-ins included."""
        known, _ = self._load()
        return tuple(known[name] for name in sorted(known))

    def troubles(self) -> dict[str, str]:
        """Say which plug-ins could not be taken in, by name, and why."""
        return dict(self._load()[1])

    def find(self, name: str) -> Entry[T]:
        """Look one up; raises `InvalidInput` with the nearest names when there is none."""
        known, troubles = self._load()
        if name in known:
            return known[name]
        if name in troubles:
            raise InvalidInput(f"The {self.noun} {name!r} is not usable here: {troubles[name]}")
        near = difflib.get_close_matches(name, known, n=3, cutoff=0.5)
        hint = f" Did you mean {any_of(near)}?" if near else ""
        see = f" See: {self._listing}" if self._listing else ""
        raise InvalidInput(
            f"No {self.noun} is called {name!r}.{hint} There are: {listed(sorted(known))}.{see}"
        )

    def make(self, name: str, values: Mapping[str, object] | None = None) -> T:
        """Make what goes by a name; raises `InvalidInput` for unknown names and parameters."""
        entry, checked = self._validated(name, values or {})
        return entry.factory(**checked)

    def read(self, text: str) -> T:
        """Make what a text names, with its arguments: `name` or `name(key=value)`."""
        return self.make(*read_call(text))

    def check(self, text: str) -> None:
        """Refuse what `read` would refuse, without making anything."""
        self._validated(*read_call(text))

    def _validated(
        self, name: str, values: Mapping[str, object]
    ) -> tuple[Entry[T], dict[str, Any]]:
        entry = self.find(name)
        try:
            return entry, entry.validated(values)
        except InvalidInput as error:
            see = f" See: {self._listing} show {name}" if self._listing else ""
            raise InvalidInput(f"The {self.noun} {error}{see}") from None

    def _load(self) -> tuple[dict[str, Entry[T]], dict[str, str]]:
        if self._loaded is None:
            known: dict[str, Entry[T]] = {}
            for module in self._modules:
                for entry in entries_in(import_module(module), self.group):
                    if entry.name in known:
                        raise InvalidInput(f"Two {self.noun} entries are called {entry.name!r}.")
                    known[entry.name] = entry
            troubles: dict[str, str] = {}
            # Sorted, so that of two plug-ins with one name the same one wins everywhere.
            for point in sorted(
                _points(tuple(sys.path)).select(group=self.group), key=lambda point: point.value
            ):
                self._take_in(point, known, troubles)
            self._loaded = known, troubles
        return self._loaded

    def _take_in(
        self, point: EntryPoint, known: dict[str, Entry[T]], troubles: dict[str, str]
    ) -> None:
        """Add a plug-in's entries; one that is broken takes nothing else with it."""
        try:
            found = list(entries_in(point.load(), self.group))
        except Exception as error:  # noqa: BLE001 - code of others may fail in any way
            troubles[point.name] = (
                f"{point.value} cannot be loaded ({type(error).__name__}: {error}). Mend or "
                "uninstall the package that brings it."
            )
            return
        if not found:
            troubles[point.name] = f"{point.value} declares nothing for {self.group}."
        for entry in found:
            if entry.name in known:
                troubles[f"{entry.name} of {point.value}"] = (
                    f"another {self.noun} has that name already; it stays what it was."
                )
            else:
                known[entry.name] = entry


def entries_in(found: object, group: str) -> Iterator[Entry[Any]]:
    """Give the entries for a group in an entry, a tuple of such things, or a module's own names."""
    if isinstance(found, Entry):
        if found.group == group:
            yield found
    elif isinstance(found, tuple | list):
        for part in found:
            yield from entries_in(part, group)
    elif isinstance(found, ModuleType):
        for part in list(vars(found).values()):
            # What a module imported from another is that module's.
            if isinstance(part, tuple) or (isinstance(part, Entry) and _is_from(part, found)):
                yield from entries_in(part, group)


def _is_from(entry: Entry[Any], module: ModuleType) -> bool:
    return entry.origin == module.__name__


def _is_plain(hint: object) -> bool:
    """Tell whether a task file can write a value of this type."""
    origin = get_origin(hint)
    if origin is Annotated:
        return _is_plain(get_args(hint)[0])
    if origin is Literal:
        return all(isinstance(value, str) for value in get_args(hint))
    if origin in (Union, UnionType):
        return all(part is NoneType or _is_plain(part) for part in get_args(hint))
    return hint in _WORDS


def _in_words(hint: Any, bounds: Sequence[object] = ()) -> str:
    """Say what a value of a type can be, within bounds as pydantic keeps them."""
    origin, parts = get_origin(hint), get_args(hint)
    if origin is Annotated:
        # In a union, where pydantic has not taken the `Field` apart.
        inside = [own for part in parts[1:] for own in getattr(part, "metadata", [part])]
        return _in_words(parts[0], inside)
    if origin is Literal:
        return any_of([repr(value) for value in parts])
    if origin in (Union, UnionType):
        return any_of([_in_words(part) for part in parts if part is not NoneType])
    words = [str(_WORDS.get(hint, hint)), *filter(None, map(_bound_in_words, bounds))]
    return ", ".join(words)


def _bound_in_words(bound: object) -> str:
    said = [
        f"{word} {value:g}"
        for name, word in _BOUNDS.items()
        if (value := getattr(bound, name, None)) is not None and value < _UNBOUNDED
    ]
    return ", ".join(said)


@lru_cache(maxsize=4)
def _points(path: tuple[str, ...]) -> Any:  # noqa: ARG001
    """Read what is installed on a path once: each of six registries would read all of it."""
    return entry_points()
