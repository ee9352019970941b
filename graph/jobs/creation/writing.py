"""Writing a wave: its calls are answered, and each reply is read as rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

from querist.agents.generator.methods.port import Draft
from querist.agents.models.metered import MeteredReply
from querist.graph.jobs.creation.checking import broke_by
from querist.graph.jobs.creation.planning import Call
from querist.graph.jobs.workbench import Workbench
from querist.memory.errors import BudgetExceeded, QueristError
from querist.memory.workspace.creations import CreatedRow
from querist.tools.gates.port import Candidate


@dataclass(frozen=True, slots=True)
class Written:
    """A draft with the call that wrote it; without a record where the reply held none."""

    call: Call
    draft: Draft | None
    usd: Decimal
    trouble: str = ""

    @property
    def candidate(self) -> Candidate:
        """The draft as gates look at it."""
        assert self.draft is not None
        record, call = dict(self.draft.record), self.call
        return Candidate(
            record,
            CreatedRow("", record, None, {}, "", "rejected").text,
            label=call.arm[1] or None,
            quote=self.draft.quote,
            passage=call.passage.text if call.passage is not None else "",
            call=str(call.ask.request.sample),
        )


@dataclass(frozen=True, slots=True)
class Drafts:
    """What a wave's calls brought, before any gate looked at it."""

    number: int
    calls: int
    written: Sequence[Written]
    broke: BudgetExceeded | None
    """What said that money is at an end, if anything did."""
    seconds: float = 0.0


async def write(bench: Workbench, calls: Sequence[Call], *, number: int) -> Drafts:
    """Make the calls of a wave; those that were paid before a crash are replayed for nothing.

    Raises what the model raises where none of the calls came.
    """
    writer = bench.writer(number)
    replies = await writer.complete_all([call.ask.request for call in calls])
    broke = _refuse_silence(replies)
    written: list[Written] = []
    for call, reply in zip(calls, replies, strict=True):
        if isinstance(reply, MeteredReply):
            written += _read(bench, call, reply)
        elif not isinstance(reply, BudgetExceeded):
            written.append(Written(call, None, Decimal(0), str(reply)))
    return Drafts(number, len(calls), written, broke)


def _refuse_silence(replies: Sequence[MeteredReply | QueristError]) -> BudgetExceeded | None:
    errors = [reply for reply in replies if not isinstance(reply, MeteredReply)]
    trouble = [error for error in errors if not isinstance(error, BudgetExceeded)]
    if trouble and len(errors) == len(replies):
        raise trouble[0]
    return broke_by(errors)


def _read(bench: Workbench, call: Call, reply: MeteredReply) -> list[Written]:
    # A reply that was paid for before a crash is replayed for nothing, but it had its price.
    usd = bench.ledger.paid([reply.key]) if reply.reply.replayed else reply.usd
    try:
        drafts = call.ask.read(reply.reply.text)
    except ValueError as error:
        return [Written(call, None, usd, f"{error}: {reply.reply.text[:80]!r}")]
    each = usd / len(drafts)
    return [Written(call, draft, each) for draft in drafts]
