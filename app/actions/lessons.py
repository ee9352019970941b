"""Lessons approved, rejected and retired by a person."""

from __future__ import annotations

from typing import Literal

from querist.app.terminal.place import Place, user_name
from querist.app.views.lessons import say_changed
from querist.memory.workspace.lessons import Lessons


def change_lesson(
    place: Place,
    name: str,
    how: Literal["approve", "reject", "retire"],
    *,
    text: str | None = None,
) -> None:
    """Change a lesson in a person's name."""
    by = f"human:{user_name()}"
    with place.open() as store:
        lessons = Lessons(store)
        if how == "approve":
            made = lessons.approve(name, by=by, text=text)
        elif how == "reject":
            made = lessons.reject(name, by=by)
        else:
            made = lessons.retire(name, by=by)
    say_changed(place, made)
