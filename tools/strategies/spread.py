"""Strategies that spread over the pool: by distance from what is labelled and picked."""

from __future__ import annotations

from querist.tools.engines import diversity
from querist.tools.engines.geometry import Predictions
from querist.tools.engines.unit_mixtures import Mixtures
from querist.tools.strategies.querying import Capability, QueryContext, QueryResult
from querist.tools.strategies.registry import strategy


@strategy(
    "random",
    summary="Draw evenly; the baseline to beat.",
    section="3.1",
    cost="O(b)",
    explanation="""
    Every candidate has the same chance. The one strategy whose labelled set is a fair sample of
    the pool, so its accuracy and class shares can be trusted. Others must beat it to be worth
    their cost; on short budgets and noisy labels several do not.
    """,
)
def random(context: QueryContext, count: int) -> QueryResult:
    """Draw evenly without replacement."""
    return context.result(context.rng.choice(len(context.ids), size=count, replace=False))


@strategy(
    "k_center",
    summary="Ask about what lies farthest from all that is labelled (CoreSet).",
    section="3.1, B",
    needs=[Capability.EMBEDDINGS],
    cost="O((b + L) N d)",
    citation="Sener & Savarese 2018",
    explanation="""
    Takes the candidate whose nearest labelled or picked neighbour is farthest away, and repeats:
    a 2-approximation of the smallest radius within which everything has a label near it. Good for
    a first batch and for large ones. It ignores the model, and it likes outliers: on a noisy pool
    put a filter before it or use facility_location.
    """,
)
def k_center(context: QueryContext, count: int) -> QueryResult:
    """Cover the pool greedily."""
    picks = diversity.k_center(
        context.embeddings(),
        labelled=context.labelled().embeddings,
        count=count,
        rng=context.rng,
    )
    return context.result(picks)


@strategy(
    "k_means_pp",
    summary="Draw by squared distance from what is labelled and drawn.",
    section="B",
    needs=[Capability.EMBEDDINGS],
    cost="O((b + L) N d)",
    citation="Arthur & Vassilvitskii 2007",
    explanation="""
    Draws each next candidate with a chance proportional to its squared distance from the nearest
    labelled or drawn one. A softer k_center: far regions are favoured, but no single outlier must
    be taken. It ignores the model.
    """,
)
def k_means_pp(context: QueryContext, count: int) -> QueryResult:
    """Spread at random over the pool."""
    picks = diversity.k_means_pp(
        context.embeddings(),
        labelled=context.labelled().embeddings,
        count=count,
        rng=context.rng,
    )
    return context.result(picks)


@strategy(
    "cdal",
    summary="Spread over the ways in which the model is unsure (contextual diversity).",
    section="3.1, B",
    needs=[Capability.PROBS],
    cost="O((b + L) N C)",
    citation="Agarwal et al. 2020",
    explanation="""
    k_center over predictions instead of embeddings: the distance of two candidates is the mean of
    both Kullback-Leibler divergences between their class probabilities. Takes candidates confused
    in different ways, confident ones of every class included. With few classes there are few ways
    to differ, so prefer it where there are many; an untrained model makes it meaningless. In
    Python, where a context has units (tokens of a text, pixels), those that are taken for the same
    class are mixed, and the distances of the mixtures are averaged over the classes both have.
    """,
)
def cdal(context: QueryContext, count: int) -> QueryResult:
    """Cover the predictions greedily: CDAL-CS, by units where there are any."""
    known = context.labelled()
    space: Predictions | Mixtures
    around: Predictions | Mixtures | None
    if Capability.UNITS in context.sources:
        space = Mixtures.of(context.units())
        around = None if known.units is None else Mixtures.of(known.units)
    else:
        told = known.probabilities
        space = Predictions.of(context.probabilities())
        # Nothing labelled, or no model that has seen it: the first pick is then drawn.
        around = None if told is None else Predictions.of(told)
    picks = diversity.pick_farthest(space, labelled=around, count=count, rng=context.rng)
    return context.result(picks)
