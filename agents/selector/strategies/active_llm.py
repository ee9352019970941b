"""ActiveLLM: show a language model a window of the pool and ask it which texts to label.

Bayer & Reuter (2024). No model is trained for the choice, so it serves the cold start. The first
window is the few-shot mode. Later windows move on; `full` prints the texts labelled before, and
`index` shows the old window again, grown, with a list of what was taken from it.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from querist.agents.prompts.selection import ADVICE, Output, PickPrompt, quote
from querist.agents.prompts.selection_questions import describe
from querist.agents.selector.advice.advisor import Advisor, advisor_of
from querist.agents.selector.advice.candidates import conclude, labelled_examples, rank_of
from querist.agents.selector.advice.pick_protocol import Menu, pick
from querist.memory.records import Example, ExampleId
from querist.tools.registry import Count, Entry
from querist.tools.strategies import Strategy, strategy
from querist.tools.strategies.querying import Capability, QueryContext, QueryResult

Recap = Literal["none", "full", "index"]

_PER_CALL = 32
_LONGEST, _SHORTEST = 400, 60
_MOST_RECAPPED = 100
_STATE = "active_llm.highest"
_LINK = re.compile(r"https?://\S+|www\.\S+")
_REPOST = re.compile(r"^\s*(?:RT|via|repost(?:ed)?(?: from)?)\s*@?\w*\s*:?\s*", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Settings:
    """The choices of the paper's ablation; the defaults are what it found best."""

    recap: Recap = "none"
    output: Output = "think"
    advice: bool = False
    guidelines: bool = False
    """Whether the task's own guidelines are shown: the best prompt names no task."""
    window: int = 200
    per_call: int = _PER_CALL


def active_llm(
    context: QueryContext, count: int, *, settings: Settings | None = None
) -> QueryResult:
    """Ask for up to `per_call` texts of a window, and again of the next until there are `count`."""
    settings = settings or Settings()
    advisor = advisor_of(context)
    walk = _Walk(context, settings, advisor)
    windows: list[int] = []
    places: Counter[int] = Counter()
    repaired = 0
    while len(walk.chosen) < count and not advisor.tally.is_out_of_money:
        menu, ids = walk.menu(min(settings.per_call, count - len(walk.chosen)))
        if menu is None:
            break
        # What the model does not choose is drawn from the whole pool at the end.
        done = pick([menu], advisor=advisor, rng=context.rng, fallback=lambda *_: ())
        windows.append(len(ids))
        repaired += done.n_repaired
        places.update(done.places)
        if not done.positions[0]:
            break
        walk.take([ids[position] for position in done.positions[0]])
    walk.keep()
    return conclude(
        context,
        walk.chosen,
        count,
        advisor=advisor,
        windows=windows,
        n_repaired=repaired,
        n_fallback=max(0, count - len(walk.chosen)),
        places=dict(sorted(places.items())),
    )


def next_window(highest: int, size: int, recap: Recap) -> range:
    """Say which places of the shuffled pool to show after `highest` was the last one taken.

    -1 before anything is taken. `index` shows everything from the beginning, and so it grows.
    """
    return range(0 if recap == "index" else highest + 1, highest + 1 + size)


def plain(text: str) -> str:
    """Write a text so that near-duplicates are equal: without links, re-post marks and case."""
    return " ".join(_LINK.sub(" ", _REPOST.sub("", text)).casefold().split())


class _Walk:
    """The pool in its fixed shuffled order, and how far the windows have come."""

    def __init__(self, context: QueryContext, settings: Settings, advisor: Advisor) -> None:
        self.chosen: list[int] = []
        self._context, self._settings, self._advisor = context, settings, advisor
        self._rows = {example_id: row for row, example_id in enumerate(context.ids)}
        self._labelled = [
            example_id for example_id in context.labelled().ids if example_id not in self._rows
        ]
        self._order = sorted(
            [*self._rows, *self._labelled], key=lambda example_id: (rank_of(example_id), example_id)
        )
        self._ranks = [rank_of(example_id) for example_id in self._order]
        # A number between 0 and 1 instead of a place: a pool may grow between rounds.
        self._highest = float(context.state.get(_STATE, np.array([-1.0]))[0])
        self._open = set(self._rows)

    def take(self, ids: Sequence[ExampleId]) -> None:
        """Count ids of the last window as chosen."""
        self.chosen += [self._rows[example_id] for example_id in ids]
        self._open.difference_update(ids)
        self._highest = max(self._highest, *(rank_of(example_id) for example_id in ids))

    def keep(self) -> None:
        """Remember for the next round how far the windows have come."""
        self._context.state[_STATE] = np.array([self._highest])

    def menu(self, want: int) -> tuple[Menu | None, list[ExampleId]]:
        """Show as much of the next window as the model can read; nothing if none is left."""
        examples = self._window()
        if not any(example.id in self._open for example in examples):
            # The pool's end: what was passed over is shown again.
            self._highest = -1.0
            examples = self._window()
        while examples:
            for longest in (_LONGEST, _LONGEST // 2, _SHORTEST):
                menu = self._write(examples, want, longest)
                if self._advisor.fits(menu.prompt.request(menu.texts)):
                    return menu, [example.id for example in examples]
            size = len(examples) * 2 // 3
            is_grown = self._settings.recap == "index"
            examples = examples[len(examples) - size :] if is_grown else examples[:size]
        return None, []

    def _window(self) -> list[Example]:
        """Read the next window's texts, without near-duplicates and without labelled new ones."""
        highest = bisect_right(self._ranks, self._highest) - 1
        span = next_window(highest, self._settings.window, self._settings.recap)
        old = self._order[span.start : highest + 1]
        new = [example_id for example_id in self._order[highest + 1 :] if example_id in self._open]
        kept: list[Example] = []
        seen: set[str] = set()
        ids = old + new
        for start in range(0, len(ids), len(span)):
            for example in labelled_examples(self._context, ids[start : start + len(span)]):
                if len(kept) < len(span) and (key := plain(example.text)) not in seen:
                    seen.add(key)
                    kept.append(example)
            if len(kept) == len(span):
                break
        return kept

    def _write(self, examples: Sequence[Example], want: int, longest: int) -> Menu:
        settings = self._settings
        barred = [place for place, example in enumerate(examples) if example.id not in self._open]
        taken = ", ".join(str(place + 1) for place in barred)
        prompt = PickPrompt(
            min(want, len(examples) - len(barred)),
            settings.output,
            criteria=ADVICE if settings.advice else "",
            guidelines=describe(self._advisor.task) if settings.guidelines else "",
            recap=f"Labelled already, not to be chosen again: {taken}" if taken else "",
            examples=self._recap(longest) if settings.recap == "full" else "",
        )
        # The window is in the order of a shuffle, and `index` must keep it from call to call.
        texts = [quote(example, longest) for example in examples]
        return Menu(texts, prompt, frozenset(barred), shuffle=False)

    def _recap(self, longest: int) -> str:
        fresh = [self._context.ids[row] for row in self.chosen]
        ids = [*self._labelled, *fresh][-_MOST_RECAPPED:]
        if not ids:
            return ""
        texts = [
            f"- {quote(example, longest)}" for example in labelled_examples(self._context, ids)
        ]
        return "\n".join(["Labelled already:", *texts, "", "To choose from:"])


def _variant(
    name: str, recap: Recap, *, summary: str, cost: str, explanation: str
) -> Entry[Strategy]:
    usual = _PER_CALL if recap == "none" else 25

    @strategy(
        name,
        summary=summary,
        section="3.2, 6, E.1",
        needs=[Capability.TEXTS, Capability.LLM],
        cost=cost,
        citation="Bayer & Reuter 2024",
        explanation=explanation,
    )
    def choose(
        context: QueryContext,
        count: int,
        *,
        output: Output = "think",
        advice: bool = False,
        guidelines: bool = False,
        window: Count = 200,
        per_call: Count = usual,
    ) -> QueryResult:
        settings = Settings(recap, output, advice, guidelines, window, per_call)
        return active_llm(context, count, settings=settings)

    return choose


_VARIANTS = (
    _variant(
        "active_llm",
        "none",
        summary="Show the language model 200 texts and let it choose which to label.",
        cost="ceil(b / 32) LLM calls of 200 texts",
        explanation="""For the cold start, when there is no model yet to be unsure. One call shows
        a window of the shuffled pool and asks for the texts to label, after thinking aloud; the
        next call shows the texts after the last one taken. A small model chooses by place more
        than by content: see `places` in the diagnostics.""",
    ),
    _variant(
        "active_llm_full",
        "full",
        summary="ActiveLLM that prints what is labelled already before each window.",
        cost="ceil(b / 25) LLM calls of 200 texts and up to 100 labelled ones",
        explanation="""For several rounds in a row: the model sees the texts labelled so far, and
        can choose different ones. Costs more tokens than active_llm.""",
    ),
    _variant(
        "active_llm_index",
        "index",
        summary="ActiveLLM that shows one growing window and lists which of it are labelled.",
        cost="ceil(b / 25) LLM calls of 200 texts and all windows before",
        explanation="""For several rounds with a model that reads long prompts: texts that were
        passed over stay in sight and may be taken later. The prompt grows from round to round;
        when it no longer fits, its beginning is dropped.""",
    ),
)
