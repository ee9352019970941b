"""The batch of a round: what people want annotated anew, then what a strategy chooses."""

from __future__ import annotations

import asyncio
from decimal import Decimal

from querist.agents.selector import rules as selector
from querist.graph.round import evidence
from querist.graph.round.audit import selectable
from querist.graph.round.deciding import rule
from querist.graph.round.pseudo_labels import save_pseudo
from querist.graph.round.select import query_context, strategy_for
from querist.graph.workplace.context import Context
from querist.graph.workplace.strategy_state import save_state
from querist.memory.events import Selected
from querist.tools.strategies.querying import QueryResult

_AGAIN = "annotated anew"


async def choose_batch(context: Context, *, number: int, turn: int) -> Selected:
    """Open the round's batch; what was put aside comes first and is part of what is planned."""
    most = evidence.plan_of(context.journal, number).batch
    again = context.labelling.aside()[:most] if number else []
    rows = selectable(context)
    if again and (len(again) >= most or not len(rows)):
        context.labelling.open_batch(number, again)
        return Selected(number, count=len(again), strategy=_AGAIN)
    ruling = await rule(
        context,
        selector.SPEC,
        lambda: evidence.for_selector(context, number=number, rows=rows),
        turn=turn,
        number=number,
        step="select",
    )
    asked = query_context(context, rows, number=number)
    # In a thread, so that a strategy may take its time and ask a language model meanwhile.
    chosen_by = strategy_for(context, ruling.strategy, ruling.favour)
    result = await asyncio.to_thread(chosen_by.query, asked, ruling.count)
    save_state(context.files, dict(asked.state), number=number)
    save_pseudo(context.files, result.diagnostics.get("pseudo"), number=number)
    context.labelling.open_batch(number, [*again, *result.ids])
    return _selected(result, ruling.strategy, number=number, again=len(again))


def _selected(result: QueryResult, name: str, *, number: int, again: int) -> Selected:
    """Tell of a batch, with what its strategy paid a language model for, if it asks one."""
    told = result.diagnostics
    trouble, calls, usd = (told.get(key) for key in ("fell_back", "llm_calls", "llm_usd"))
    return Selected(
        number,
        count=len(result.ids) + again,
        strategy=name,
        fell_back=None if trouble is None else str(trouble),
        llm_calls=None if calls is None else int(calls),
        llm_usd=None if usd is None else Decimal(usd),
    )
