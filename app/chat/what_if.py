"""What-ifs of the chat: what strategies would choose now, and what a round would cost.

They are the looks that the selector's and the budget controller's minds have; nothing changes, and
no model is asked.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from typing import Any

from querist.app.chat.parts import Here, Look, Reply
from querist.app.terminal.screen import percent
from querist.memory.errors import InvalidInput
from querist.memory.workspace.chat import Cite, Table

_MOST_TRIED = 5
_MOST_CHOSEN = 1_000
_MOST_LABELS = 6


def try_strategies(look: Look, _here: Here, arguments: Mapping[str, Any]) -> Reply:
    """Let strategies choose from the pool as it is, and compare the batches."""
    # What chooses needs the numerics, which are loaded here and not with this module.
    from querist.graph.minds.desks import PoolDesk
    from querist.graph.run import Run

    names = list(dict.fromkeys(arguments["strategies"]))
    if len(names) > _MOST_TRIED:
        raise InvalidInput(f"at most {_MOST_TRIED} strategies are compared, and {len(names)} named")
    count = arguments.get("count")
    count = look.config.loop.batch if count is None else count
    if not 1 <= count <= _MOST_CHOSEN:
        raise InvalidInput(f"a batch of 1 to {_MOST_CHOSEN:,} can be tried, not {count:,}")
    context = Run.open(look.store, look.id).view()
    desk = PoolDesk(context, number=context.labelling.last_round() + 1)
    batches = [desk.choose(name, count) for name in names]
    rows = tuple(
        (
            batch.strategy,
            "-" if batch.doubt is None else percent(batch.doubt),
            f"{batch.typicality:.2f}",
            f"{batch.repeats:.2f}",
            ", ".join(f"{name} {n}" for name, n in _most_frequent(batch.predicted)) or "-",
            str(batch.ids[0]) if batch.ids else "-",
        )
        for batch in batches
    )
    taken = min(count, *(len(batch.ids) for batch in batches))
    shared = "".join(
        f"\n{first.strategy} and {other.strategy} share {len(set(first.ids) & set(other.ids))} of "
        f"{taken}."
        for first, other in itertools.combinations(batches, 2)
    )
    text = f"Batches of {taken:,}, chosen now; nothing was changed.{shared}"
    columns = ("strategy", "doubt", "typicality", "repeats", "labels expected", "first")
    cites = tuple(Cite("example", batch.ids[0]) for batch in batches if batch.ids)
    return Reply(text, tuple(dict.fromkeys(cites)), Table(columns, rows))


def cost_of_a_round(look: Look, _here: Here, arguments: Mapping[str, Any]) -> Reply:
    """Say what a round would cost, what it would leave, and what rounds gained before."""
    from querist.agents.budget_controller.tools import what_a_round_costs
    from querist.agents.deliberation.toolbox import CannotTellError
    from querist.graph.round.evidence import for_budget
    from querist.graph.run import Run

    context = Run.open(look.store, look.id).view()
    evidence = for_budget(context, number=context.labelling.last_round() + 1)
    most = min(evidence.batch, evidence.pool_left)
    batch = arguments.get("batch") or most
    questions = arguments.get("questions")
    if questions is None:
        questions = batch if evidence.asks_people and not evidence.uses_llm else 0
    try:
        text = what_a_round_costs(evidence, batch=batch, questions=questions)
    except CannotTellError as error:
        raise InvalidInput(str(error)) from error
    return Reply(text, (Cite("spend", look.id),))


def _most_frequent(counts: Mapping[str, int]) -> list[tuple[str, int]]:
    return sorted(counts.items(), key=lambda item: -item[1])[:_MOST_LABELS]
