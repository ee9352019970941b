"""Where words go: Rich on a terminal, plain lines and tab-separated tables in a pipe."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from decimal import Decimal
from functools import cached_property

from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

BARS = "▁▂▃▄▅▆▇█"
_SOURCES = {
    "human": "people",
    "llm": "the language model",
    "model": "the trained model",
    "generated": "written for the task",
    "gold": "the file",
}
# Control characters but tab and newline, and what turns the direction of writing around.
_OBEYED = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")


class Screen:
    """Standard output. Made anew for each command, so that tests may replace the stream."""

    @cached_property
    def console(self) -> Console:
        """The Rich console; nothing that is printed is read as markup."""
        return Console(markup=False, highlight=False, emoji=False)

    @property
    def is_terminal(self) -> bool:
        """Tell whether a person looks at it now."""
        return self.console.is_terminal

    def line(self, text: object = "", *, style: str = "") -> None:
        """Print a line of words; in a pipe it is neither wrapped nor held back."""
        shown = clean(str(text))
        if self.is_terminal:
            self.console.print(Text(shown, style=style))
        else:
            # Rich would turn tabs into blanks.
            self.console.file.write(f"{shown}\n")
            self.console.file.flush()

    def rewrite(self, text: str) -> None:
        """Write over the line that the cursor is on; in a pipe nothing is drawn."""
        if self.is_terminal:
            width = max(10, self.console.width - 1)
            self.console.file.write(f"\r\x1b[K{clean(text)[:width]}")
            self.console.file.flush()

    def code(self, text: str) -> None:
        """Print what is to be copied: the terminal wraps it, so no line break gets into it."""
        if self.is_terminal:
            self.console.print(Text(clean(text)), soft_wrap=True)
        else:
            self.line(text)

    @contextmanager
    def waiting(self, text: str) -> Iterator[None]:
        """Say what takes a while; on a terminal something moves meanwhile."""
        if not self.is_terminal:
            self.line(text)
            yield
            return
        with self.console.status(Text(clean(text))):
            yield

    @contextmanager
    def drafting(self, text: str) -> Iterator[Callable[[str], None]]:
        """Say what takes a while, and show what is written meanwhile; it is gone at the end."""
        if not self.is_terminal:
            self.line(text)
            yield lambda _: None
            return
        with Live(Text(clean(text)), console=self.console, transient=True) as live:
            yield lambda written: live.update(Text(clean(written or text)))

    def title(self, text: str) -> None:
        """Print a heading."""
        self.line()
        self.line(text, style="bold")

    def table(self, columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
        """Print a table; columns whose names end in `>` are aligned to the right."""
        names = [name.removesuffix(">") for name in columns]
        cells = [[clean(str(value)) for value in row] for row in rows]
        if not self.is_terminal:
            for row in [names, *cells]:
                self.line("\t".join(" ".join(cell.split()) for cell in row))
            return
        table = Table(box=None, header_style="bold", pad_edge=False)
        for column, name in zip(columns, names, strict=True):
            table.add_column(name, justify="right" if column.endswith(">") else "left")
        for row in cells:
            table.add_row(*(Text(cell) for cell in row))
        self.console.print(table)


def clean(text: str) -> str:
    """Take out what a terminal would obey: texts of a pool and of models are not trusted."""
    return _OBEYED.sub("", text)


def dollars(amount: Decimal, *, places: int = 2) -> str:
    """Write money to the cent; small amounts with as many digits as show something."""
    if amount and abs(amount) < Decimal("0.01"):
        places = 6
    return f"{amount:,.{places}f} USD"


def percent(share: float | None) -> str:
    """Write a share as a percentage; nothing known is a dash."""
    return "-" if share is None else f"{100 * share:.1f} %"


def plural(count: int, noun: str) -> str:
    """Count things in words: `1 question`, `2,000 questions`."""
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"


def source_words(source: str) -> str:
    """Name who a label is from."""
    return _SOURCES.get(source, source)


def sparkline(values: Sequence[float | None]) -> str:
    """Draw a small curve, lowest to highest; gaps are dots."""
    known = [value for value in values if value is not None]
    if not known:
        return ""
    low, span = min(known), (max(known) - min(known)) or 1.0
    top = len(BARS) - 1
    return "".join("·" if v is None else BARS[round((v - low) / span * top)] for v in values)


def duration(seconds: float) -> str:
    """Write a time to come roughly: nobody needs seconds of an estimate in hours."""
    if seconds < 90:
        return f"{max(1, round(seconds))} s"
    if seconds < 5_400:
        return f"{round(seconds / 60)} min"
    hours = seconds / 3_600
    return f"{hours:.1f} h" if hours < 100 else f"{hours / 24:,.0f} days"
