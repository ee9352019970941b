"""SelectLLM: the pool is dealt into small, varied menus, and a model picks from each.

Parkar et al. (2024). As many clusters as a menu has places; every menu takes one text of each
cluster, so what stands side by side is unlike.
"""

from __future__ import annotations

from functools import partial

import numpy as np
from numpy.typing import NDArray

from querist.agents.prompts.selection import INSTRUCTION_CRITERIA, PickPrompt, quote
from querist.agents.prompts.selection_questions import describe
from querist.agents.selector.advice.advisor import Advisor, advisor_of
from querist.agents.selector.advice.candidates import conclude, sample
from querist.agents.selector.advice.pick_protocol import Menu, pick
from querist.tools.compute.arrays import FloatArray, share_out
from querist.tools.engines.clustering import k_means
from querist.tools.engines.geometry import Euclidean
from querist.tools.kinds.interfaces import is_about_responses
from querist.tools.registry import Count
from querist.tools.strategies import strategy
from querist.tools.strategies.querying import Capability, QueryContext, QueryResult

_MENU = 14
"""Texts on a menu, as in the paper's runs on Dolly."""
_LONGEST_MENU = 50
_MOST_MENUS = 40
_LONGEST_TEXT = 300


@strategy(
    "select_llm",
    summary="Deal the pool into varied menus; the language model picks from each.",
    section="3.2",
    needs=[Capability.EMBEDDINGS, Capability.TEXTS, Capability.LLM],
    cost="min(b, N / 14, 40) LLM calls of 14 to 50 texts",
    citation="Parkar et al. 2024",
    explanation="""For choosing instructions to write answers to, and for any pool where the model
    can tell a rich text from a dull one. k-means first deals the candidates so that each menu is
    varied; the model then picks its share from each. Reads at most 40 menus of 50 texts a round:
    narrow larger pools first, as in k_center@20 > select_llm.""",
)
def select_llm(
    context: QueryContext,
    count: int,
    *,
    menu: Count = _MENU,
    most_menus: Count = _MOST_MENUS,
    most: Count | None = None,
) -> QueryResult:
    """Pick floor(b / R) from each of R menus, the remainder from the first ones."""
    advisor = advisor_of(context)
    size = len(context.ids)
    # No more menus than picks: one that nothing is picked from would only cost.
    menus = max(1, min(count, most_menus, -(-size // menu)))
    longest = max(_LONGEST_MENU, -(-2 * count // menus))
    rows = sample(context, max(count, min(most or size, menus * longest)))
    dealt = [rows[part] for part in deal(context.embeddings(rows), menus, rng=context.rng)]
    shares = share_out(count, [1.0] * len(dealt))
    shown = context.examples(np.concatenate(dealt))
    texts = iter([quote(text, _LONGEST_TEXT) for text in shown])
    prompt = partial(PickPrompt, criteria=_criteria(advisor))
    tables = [
        Menu([next(texts) for _ in part], prompt(min(share, len(part))))
        for part, share in zip(dealt, shares, strict=True)
    ]
    asked = [(table, part) for table, part in zip(tables, dealt, strict=True) if table.prompt.want]
    done = pick([table for table, _ in asked], advisor=advisor, rng=context.rng)
    chosen = [
        int(part[position])
        for (_, part), positions in zip(asked, done.positions, strict=True)
        for position in positions
    ]
    return conclude(context, chosen, count, advisor=advisor, menus=len(asked), **done.diagnostics())


def deal(embeddings: FloatArray, menus: int, *, rng: np.random.Generator) -> list[NDArray[np.intp]]:
    """Deal N rows into menus of at most s = ceil(N / menus), one row of each of s clusters.

    Clusters take turns to claim their nearest row that is still free, `menus` times. Where the
    reference pads with repeated rows, the last menus are shorter here: no row is on two menus.
    """
    size = len(embeddings)
    clusters = -(-size // menus)
    centres = k_means(embeddings, clusters, rng=rng).centres
    space = Euclidean.of(embeddings)
    gaps = space.beside(centres).gaps(space)
    nearest = np.argsort(gaps, axis=1, kind="stable")
    free = np.ones(size, dtype=bool)
    looked = np.zeros(len(centres), dtype=np.intp)
    dealt: list[NDArray[np.intp]] = []
    for _ in range(menus):
        taken: list[int] = []
        for cluster in range(len(centres)):
            while looked[cluster] < size and not free[nearest[cluster, looked[cluster]]]:
                looked[cluster] += 1
            if looked[cluster] < size:
                taken.append(int(nearest[cluster, looked[cluster]]))
                free[taken[-1]] = False
        dealt.append(np.array(taken, dtype=np.intp))
    return [part for part in dealt if len(part)]


def _criteria(advisor: Advisor) -> str:
    if is_about_responses(advisor.task):
        return INSTRUCTION_CRITERIA
    return (
        f"The labels are for this task: {describe(advisor.task)} Prefer texts that are clear and "
        "relevant, not trivial, unlike one another, and that would teach a model something."
    )
