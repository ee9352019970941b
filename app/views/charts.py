"""Charts as SVG that takes its colours from the page: light, dark and printed alike.

Each function returns markup that is safe to put into a page; every word in it is escaped. A chart
never stands alone: the page has the same numbers in a table beside it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import ceil, floor, log10

from markupsafe import Markup, escape

WIDTH, HEIGHT = 560, 300
LEFT, RIGHT, _TOP, BOTTOM = 46, 14, 14, 42
ROW, _GAP = 22, 8
_COLOURS = {"human": 0, "llm": 1, "generated": 2, "model": 3, "gold": 4}
"""Each source has one colour, whichever others there are, in every chart of every report."""
_OTHER_COLOUR = 5
NAMES, NUMBERS = 150, 96


@dataclass(frozen=True, slots=True)
class Point:
    """One round on a curve; `low` and `high` bound `value`."""

    x: float
    value: float | None
    low: float | None = None
    high: float | None = None
    test: float | None = None
    words: str = ""


@dataclass(frozen=True, slots=True)
class Bar:
    """A horizontal bar of one or more parts, by series name."""

    name: str
    parts: Mapping[str, float]
    words: str = ""


def colour(source: str) -> int:
    """Number a source's colour as the page's style knows it."""
    return _COLOURS.get(source, _OTHER_COLOUR)


def curve(
    points: Sequence[Point], *, title: str, x_label: str, beside: Sequence[Point] = ()
) -> Markup:
    """Draw quality against what it took, with its interval, and the test accuracy dashed.

    `beside` is another run's curve, to compare: its test accuracy, else its own measure.
    """
    known = [point for point in points if point.value is not None or point.test is not None]
    if not known:
        return Markup()
    others = [(point, shown) for point in beside if (shown := _shown(point)) is not None]
    low, high = _y_range([*known, *(Point(point.x, shown) for point, shown in others)])
    most = max(point.x for point in [*known, *(point for point, _ in others)]) or 1.0
    ticks = _ticks(most)
    most = max(most, ticks[-1])

    def at(x: float, y: float) -> tuple[float, float]:
        return (
            LEFT + x / most * (WIDTH - LEFT - RIGHT),
            _TOP + (high - y) / (high - low) * (HEIGHT - _TOP - BOTTOM),
        )

    parts = [_grid(low, high, at), _x_axis(ticks, at, low=low, label=x_label)]
    band = [point for point in known if point.low is not None and point.high is not None]
    if band:
        there = [at(point.x, point.high or 0.0) for point in band]
        back = [at(point.x, point.low or 0.0) for point in reversed(band)]
        parts.append(f'<polygon class="band" points="{_path([*there, *back])}"/>')
    measured = [(point, at(point.x, point.value)) for point in known if point.value is not None]
    tested = [(point, at(point.x, point.test)) for point in known if point.test is not None]
    compared = [(point, at(point.x, shown)) for point, shown in others]
    for kind, series in (("other", compared), ("measured", measured), ("test", tested)):
        if series:
            path = _path([place for _, place in series])
            parts.append(f'<polyline class="line {kind}" points="{path}"/>')
            parts += [_dot(place, kind, point.words) for point, place in series]
    return _svg("".join(parts), title=title, height=HEIGHT)


def _shown(point: Point) -> float | None:
    return point.value if point.test is None else point.test


def bars(rows: Sequence[Bar], *, title: str) -> Markup:
    """Draw horizontal bars; each part has the colour of its source, and its place."""
    most = max((sum(row.parts.values()) for row in rows), default=0.0) or 1.0
    room = WIDTH - NAMES - NUMBERS
    parts = []
    for number, row in enumerate(rows):
        y, x = _TOP + number * (ROW + _GAP), float(NAMES)
        middle = y + ROW * 0.7
        parts.append(f'<text class="name" x="{NAMES - 8}" y="{middle}">{_cut(row.name)}</text>')
        for name, value in sorted(row.parts.items(), key=lambda part: colour(part[0])):
            width = value / most * room
            words = escape(f"{row.name}, {name}: {value:g}")
            parts.append(
                f'<rect class="s{colour(name)}" x="{x:.1f}" y="{y}" width="{width:.1f}" '
                f'height="{ROW}"><title>{words}</title></rect>'
            )
            x += width
        parts.append(f'<text x="{x + 6:.1f}" y="{middle}">{escape(row.words)}</text>')
    return _svg("".join(parts), title=title, height=2 * _TOP + len(rows) * (ROW + _GAP))


def reliability(
    bins: Sequence[tuple[float, float, int]], *, title: str, source: str = "model"
) -> Markup:
    """Draw (confidence, accuracy, count) triples against the line of perfect honesty."""
    size = 260

    def at(x: float, y: float) -> tuple[float, float]:
        return LEFT + x * size, _TOP + (1 - y) * size

    start, end = at(0, 0), at(1, 1)
    parts = [
        _grid(0.0, 1.0, at, right=LEFT + size),
        f'<path class="ideal" d="M{start[0]} {start[1]} L{end[0]} {end[1]}"/>',
    ]
    for share in (0.0, 0.5, 1.0):
        x, y = at(share, 0.0)
        parts.append(f'<text class="mid" x="{x:.0f}" y="{y + 16:.0f}">{100 * share:.0f} %</text>')
    parts.append(
        f'<text class="mid" x="{LEFT + size / 2:.0f}" y="{_TOP + size + 34}">how sure it is</text>'
    )
    most = max((count for _, _, count in bins), default=1)
    for confidence, accuracy, count in bins:
        x, y = at(confidence, accuracy)
        words = escape(f"{confidence:.0%} sure, {accuracy:.0%} right, {count} examples")
        radius = 4 + 8 * (count / most) ** 0.5
        parts.append(
            f'<circle class="s{colour(source)}" cx="{x:.1f}" cy="{y:.1f}" r="{radius:.1f}">'
            f"<title>{words}</title></circle>"
        )
    return _svg("".join(parts), title=title, height=_TOP + size + BOTTOM, width=size + LEFT + 30)


# ---------------------------------------------------------------- pieces


def _svg(body: str, *, title: str, height: float, width: float = WIDTH) -> Markup:
    return Markup(  # noqa: S704 - numbers, and words escaped where they were put in
        f'<svg role="img" width="{width:.0f}" '
        f'viewBox="0 0 {width:.0f} {height:.0f}"><title>{escape(title)}</title>{body}</svg>'
    )


def _grid(low: float, high: float, at: object, *, right: float = WIDTH - RIGHT) -> str:
    assert callable(at)
    step = 0.1 if high - low <= 0.6 else 0.2
    lines = []
    for number in range(ceil(low / step - 1e-9), floor(high / step + 1e-9) + 1):
        _, y = at(0, number * step)
        lines.append(
            f'<path class="grid" d="M{LEFT} {y:.1f} H{right:.0f}"/>'
            f'<text class="name" x="{LEFT - 6}" y="{y + 4:.1f}">{100 * number * step:.0f} %</text>'
        )
    return "".join(lines)


def _x_axis(ticks: Sequence[float], at: object, *, low: float, label: str) -> str:
    assert callable(at)
    marks = []
    for value in ticks:
        x, y = at(value, low)
        marks.append(f'<text class="mid" x="{x:.1f}" y="{y + 16:.1f}">{value:g}</text>')
    middle = (LEFT + WIDTH - RIGHT) / 2
    marks.append(f'<text class="mid" x="{middle:.0f}" y="{HEIGHT - 6}">{escape(label)}</text>')
    return "".join(marks)


def _y_range(points: Sequence[Point]) -> tuple[float, float]:
    values = [
        v
        for point in points
        for v in (point.value, point.low, point.high, point.test)
        if v is not None
    ]
    low, high = floor(min(values) * 10 - 0.01) / 10, ceil(max(values) * 10 + 0.01) / 10
    # Of a flat curve a window of a fifth is shown, so that noise does not look like progress.
    low = min(low, high - 0.2)
    return max(0.0, low), min(1.0, max(high, low + 0.2))


def _ticks(most: float) -> list[float]:
    step = 10.0 ** floor(log10(most)) if most > 0 else 1.0
    while most / step < 4:
        step /= 2
    count = ceil(most / step - 1e-9)
    return [round(i * step, 10) for i in range(count + 1)]


def _path(places: Sequence[tuple[float, float]]) -> str:
    return " ".join(f"{x:.1f},{y:.1f}" for x, y in places)


def _dot(place: tuple[float, float], kind: str, words: str) -> str:
    return (
        f'<circle class="dot {kind}" cx="{place[0]:.1f}" cy="{place[1]:.1f}" r="3.5">'
        f"<title>{escape(words)}</title></circle>"
    )


def _cut(text: str, limit: int = 22) -> Markup:
    return escape(text if len(text) <= limit else text[: limit - 1] + "…")
