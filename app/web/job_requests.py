"""Requests for jobs over the web: files are uploads, and are told of by their names."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from querist.app.web.aside import ask_aside
from querist.app.web.desk import Desk
from querist.app.web.uploads import Uploads
from querist.memory.errors import QueristError

_FILES = (("config", "data", "pool"), ("config", "data", "test"), ("config", "data", "validation"),
          ("seeds", "file"), ("seeds", "passages"))  # fmt: skip
"""Where a request names a file."""


def with_paths(desk: Desk, body: dict[str, Any]) -> dict[str, Any]:
    """Put the paths of uploads into a request; it can name no other file."""
    uploads = Uploads(desk.place.workspace)
    request = dict(body)
    for way in _FILES:
        request = _placed(request, way, uploads)
    if isinstance(request.get("tests"), list):
        request["tests"] = [uploads.path_of(str(name)) for name in request["tests"]]
    return request


def ask_about_files(desk: Desk, do: str, **values: Any) -> dict[str, Any]:
    """Have something done elsewhere; files are told of by the names that people know."""
    with names_of_files(desk):
        found = ask_aside(do, **values)
    return with_names(desk, found)


@contextmanager
def names_of_files(desk: Desk) -> Iterator[None]:
    """Call files in an error by the names that people know."""
    try:
        yield
    except QueristError as error:
        named = Uploads(desk.place.workspace).by_their_names(str(error))
        error.args = (named, *error.args[1:])
        raise


def with_names(desk: Desk, found: dict[str, Any]) -> dict[str, Any]:
    """Call files by the names that people know in what was `told`."""
    uploads = Uploads(desk.place.workspace)
    return found | {"told": [uploads.by_their_names(line) for line in found["told"]]}


def _placed(body: dict[str, Any], way: tuple[str, ...], uploads: Uploads) -> dict[str, Any]:
    name, *rest = way
    value = body.get(name)
    if rest:
        if not isinstance(value, dict):
            return body
        return {**body, name: _placed(value, tuple(rest), uploads)}
    return {**body, name: uploads.path_of(value)} if isinstance(value, str) else body
