"""How each kind of task is asked of a language model."""

from __future__ import annotations

from functools import cache
from importlib.metadata import entry_points

from querist.agents.annotator.kinds import classification, matching, preference, relation
from querist.agents.annotator.kinds.port import Asking, Opinion
from querist.memory.errors import InvalidInput
from querist.tools.wording import listed

__all__ = ["Asking", "Opinion", "asking_of"]

_SHIPPED: dict[str, Asking] = {
    "classification": classification.ASKING,
    "matching": matching.ASKING,
    "relation": relation.ASKING,
    "preference": preference.ASKING,
}
_GROUP = "querist.asking"


@cache
def _all() -> dict[str, Asking]:
    return {entry.name: entry.load() for entry in entry_points(group=_GROUP)} | _SHIPPED


def asking_of(kind: str) -> Asking:
    """Find how a kind is asked; raises `InvalidInput` where nobody wrote it."""
    known = _all()
    if kind not in known:
        raise InvalidInput(
            f"The kind of task {kind!r} cannot be asked of a language model: no plug-in names it "
            f"under {_GROUP}. Those that can are {listed(sorted(known))}; or let people label "
            "alone: --set annotator.enabled=false"
        )
    return known[kind]
