"""The forecast before anything is spent."""

from __future__ import annotations

import asyncio
from decimal import Decimal
from pathlib import Path
from tempfile import TemporaryDirectory

from querist.app.terminal.screen import Screen, dollars, duration, plural
from querist.graph.config import RunConfig
from querist.graph.quoting import Quote
from querist.memory.errors import BudgetExceeded


def show_quote(screen: Screen, quote: Quote) -> None:
    """Print what each agent is expected to cost, and at most."""
    screen.title("Quote")
    rows = [
        (line.agent, line.what, dollars(line.forecast), dollars(line.ceiling))
        for line in quote.lines
    ]
    screen.table(["agent", "what", "forecast>", "ceiling>"], rows)
    if quote.calls:
        screen.line(
            f"About {quote.calls:,} calls in {plural(quote.rounds, 'round')}: "
            f"{quote.input_tokens:,} tokens in, {quote.output_tokens:,} out"
            + (f", {duration(quote.seconds)} for these" if quote.seconds else "")
            + "; embedding, training and people take their time beside."
        )
    screen.line(
        f"Forecast {dollars(quote.forecast)}; never more than the budget, {dollars(quote.budget)}."
    )
    if quote.advice:
        screen.line(quote.advice)


def forecast(config: RunConfig) -> None:
    """Import the data into a folder that is thrown away, and print the quote."""
    from querist.graph.run import Run
    from querist.memory.store import open_store

    screen = Screen()
    with (
        TemporaryDirectory(prefix="querist-quote-") as folder,
        open_store(Path(folder)) as store,
    ):
        run = Run.create(config, store, tell=screen.line)
        asyncio.run(run.time_a_call())
        quote = run.quote()
    show_quote(screen, quote)
    screen.line("Nothing was spent, and nothing was kept.")
    if not quote.affordable:
        error = BudgetExceeded(wanted=Decimal(0), remaining=quote.budget)
        error.args = (quote.advice,)
        raise error
