"""How values, names and lists of them are written in messages."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from difflib import get_close_matches

_MOST_NAMES = 12
MOST_PLACES = 5


def shorten(value: object, limit: int = 60) -> str:
    """Quote a value for a message, cut to `limit` characters."""
    text = value if isinstance(value, str) else repr(value)
    return repr(text if len(text) <= limit else text[: limit - 1] + "…")


def suggest(wrong: str, known: Iterable[str]) -> str:
    """Say ` Did you mean 'x'?` when one of `known` is near, else nothing."""
    by_folded = {name.casefold(): name for name in known}
    near = get_close_matches(wrong.casefold(), by_folded, n=1)
    return f" Did you mean {by_folded[near[0]]!r}?" if near else ""


def listed(names: Collection[object], limit: int = _MOST_NAMES) -> str:
    """List names in a sentence: `a, b, c and 76 more`."""
    # One name more takes no more room than saying that it was left out.
    shown = [*names] if len(names) <= limit + 1 else [*names][:limit]
    rest = len(names) - len(shown)
    return ", ".join(map(str, shown)) + (f" and {rest:,} more" if rest else "")


def any_of(names: Collection[object], limit: int = _MOST_NAMES) -> str:
    """List names of which any is meant: `a or b`, `a, b, c or 76 more`."""
    if len(names) <= limit + 1:
        return " or ".join(map(str, names))
    return f"{', '.join(map(str, [*names][:limit]))} or {len(names) - limit:,} more"


def quoted(names: Collection[str], limit: int = _MOST_NAMES) -> str:
    """List names in quotation marks, each cut to a bearable length."""
    return listed([shorten(name) for name in names], limit)


def counted(number: int, noun: str) -> str:
    """Count things in words: `1 row`, `2,000 rows`."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def places(unit: str, numbers: Sequence[int], count: int | None = None) -> str:
    """Name the first of `count` rows: `lines 2, 3, 5, 7, 8 and 40 more`."""
    shown, total = numbers[:MOST_PLACES], len(numbers) if count is None else count
    rest = f" and {total - len(shown):,} more" if total > len(shown) else ""
    return f"{unit}{'s' if total != 1 else ''} {', '.join(map(str, shown))}{rest}"
