"""Strategies: what every one of them promises, compositions in text, and refusals."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from querist.memory.errors import InvalidInput
from querist.memory.records import ExampleId
from querist.tools.compute.arrays import share_out
from querist.tools.strategies import Capability, QueryContext, available, get
from querist.tools.strategies.querying import Labelled, Targets
from querist.tools.training.proxy import GradientFactors

Array = NDArray[np.float32]
COMPOSITIONS = [
    "0.7*margin + 0.3*k_center",
    "margin@3 > k_center",
    "entropy@2 > k_means_pp + 0.5 * random",
    "random@5>least_confidence@2>k_center",
]
TRADITIONAL = [entry for entry in available() if entry.origin.startswith("querist.tools.")]
EVERY = [entry.name for entry in TRADITIONAL] + COMPOSITIONS
# Nothing drawn, once something is labelled: the order of the pool must not matter. (g_optimal is
# exact to 1% only, and several designs are.)
WITHOUT_CHANCE = [
    *("least_confidence", "margin", "breaking_ties", "entropy", "minority"),
    *("k_center", "cdal", "d_optimal", "go", "facility_location", "vote_k", "idds"),
    *("bald", "batch_bald", "qbc_kl", "epig", "bait", "contrastive"),
]


def context(
    embeddings: Array,
    probabilities: Array,
    *,
    labelled: Array | None = None,
    seed: int = 0,
    posterior: Array | None = None,
    ids: list[str] | None = None,
) -> QueryContext:
    """Show everything but a language model and texts; what is not given follows from the rest."""
    if posterior is None:
        posterior = spread(probabilities)
    names = ids or [f"row-{row}" for row in range(len(embeddings))]
    targets = np.random.default_rng(7).normal(size=(3, embeddings.shape[1])).astype(np.float32)
    classes = probabilities.shape[1]
    errors = probabilities - np.eye(classes, dtype=np.float32)[probabilities.argmax(axis=1)]
    return QueryContext(
        ids=[ExampleId(name) for name in names],
        rng=np.random.default_rng(seed),
        sources={
            Capability.EMBEDDINGS: lambda: embeddings,
            Capability.PROBS: lambda: probabilities,
            Capability.POSTERIOR: lambda: posterior,
            Capability.GRADIENTS: lambda: GradientFactors(errors=errors, features=embeddings),
            Capability.TARGETS: lambda: Targets(embeddings=targets),
            Capability.TARGET_POSTERIOR: lambda: spread(
                np.random.default_rng(8).dirichlet(np.ones(classes), size=3).astype(np.float32)
            ),
        },
        labelled_so_far=None if labelled is None else lambda: known(labelled, classes=classes),
    )


def spread(probabilities: Array, *, members: int = 4) -> Array:
    """Make up a committee around predictions: member k shifts every row alike."""
    classes = probabilities.shape[1]
    tilt = np.random.default_rng(5).normal(size=(members, classes))
    raised = (probabilities[:, None, :] + 1e-3) * np.exp(tilt)
    return (raised / raised.sum(axis=2, keepdims=True)).astype(np.float32)


def known(embeddings: Array, *, classes: int = 3) -> Labelled:
    rows = np.arange(len(embeddings))
    told = np.random.default_rng(6).dirichlet(np.ones(classes), size=len(rows)).astype(np.float32)
    return Labelled(
        embeddings=embeddings,
        classes=rows % classes,
        probabilities=told,
        ids=tuple(ExampleId(f"labelled-{row}") for row in rows),
    )


def pool(rows: int, *, seed: int = 0, classes: int = 3) -> tuple[Array, Array]:
    rng = np.random.default_rng(seed)
    embeddings = rng.normal(size=(rows, 5)).astype(np.float32)
    probabilities = rng.dirichlet(np.ones(classes), size=rows).astype(np.float32)
    return embeddings, probabilities


def degenerate(kind: str, rows: int) -> tuple[Array, Array]:
    embeddings, probabilities = pool(rows)
    match kind:
        case "zero vectors":
            embeddings = np.zeros_like(embeddings)
        case "duplicates":
            embeddings = np.repeat(embeddings[:1], rows, axis=0)
        case "one class":
            probabilities = np.ones((rows, 1), dtype=np.float32)
        case "constant":
            probabilities = np.full((rows, 4), 0.25, dtype=np.float32)
        case "certain":
            probabilities = np.eye(3, dtype=np.float32)[np.arange(rows) % 3]
    return embeddings, probabilities


@pytest.mark.parametrize("name", EVERY)
@given(
    rows=st.integers(0, 25),
    count=st.integers(0, 30),
    seed=st.integers(0, 99),
    labels=st.integers(0, 4),
)
@settings(max_examples=10, deadline=None)
def test_every_strategy_returns_different_members_of_the_pool_and_repeats_itself(
    name: str, rows: int, count: int, seed: int, labels: int
) -> None:
    embeddings, probabilities = pool(rows, seed=seed)
    labelled = pool(labels, seed=100)[0] if labels else None
    shown = [context(embeddings, probabilities, seed=seed, labelled=labelled) for _ in range(2)]
    first, second = (get(name).query(view, count) for view in shown)
    assert len(first.ids) == len(set(first.ids)) == min(count, rows)
    assert first.ids == tuple(shown[0].ids[row] for row in first.indices)
    assert first.ids == second.ids


@pytest.mark.parametrize("name", EVERY)
@pytest.mark.parametrize("kind", ["zero vectors", "duplicates", "one class", "constant", "certain"])
@pytest.mark.parametrize("labels", [0, 2])
def test_degenerate_pools_are_chosen_from_all_the_same(name: str, kind: str, labels: int) -> None:
    embeddings, probabilities = degenerate(kind, 12)
    labelled = embeddings[:labels] if labels else None
    for count in (5, 20):
        result = get(name).query(context(embeddings, probabilities, labelled=labelled), count)
        assert len(set(result.ids)) == min(count, 12)
        assert result.scores is None or np.isfinite(result.scores).all()


@pytest.mark.parametrize("name", WITHOUT_CHANCE)
def test_the_order_of_the_pool_does_not_matter_where_nothing_is_drawn(name: str) -> None:
    embeddings, probabilities = pool(60, seed=3)
    # Members that differ row by row: with tilted ones, rows tie.
    posterior = np.random.default_rng(4).dirichlet(np.ones(3), size=(60, 4)).astype(np.float32)
    order = np.random.default_rng(9).permutation(60)
    shown = [
        context(
            embeddings[rows],
            probabilities[rows],
            labelled=pool(5, seed=11)[0],
            posterior=posterior[rows],
            ids=[f"row-{row}" for row in rows],
        )
        for rows in (np.arange(60), order)
    ]
    first, second = (get(name).query(view, 6) for view in shown)
    assert set(first.ids) == set(second.ids)


@pytest.mark.parametrize("name", ["margin", "breaking_ties", "entropy", "least_confidence"])
def test_ties_go_to_the_lower_position(name: str) -> None:
    embeddings, probabilities = degenerate("constant", 30)
    result = get(name).query(context(embeddings, probabilities), 5)
    assert result.indices.tolist() == [0, 1, 2, 3, 4]


def test_margin_takes_the_closest_races_first_and_reports_their_scores() -> None:
    probabilities = np.array([[0.9, 0.1], [0.5, 0.5], [0.6, 0.4]])
    result = get("margin").query(context(np.zeros((3, 2)), probabilities), 2)
    assert result.indices.tolist() == [1, 2]
    assert result.scores is not None
    np.testing.assert_allclose(result.scores, [0.0, -0.2], atol=1e-6)


def test_a_mixture_gives_each_part_its_share() -> None:
    embeddings, probabilities = pool(200)
    shown = context(embeddings, probabilities)
    result = get("0.7*margin + 0.3*k_center").query(shown, 10)
    assert result.diagnostics["parts"] == ("margin: 7", "k_center: 3")
    expected = get("margin").query(shown, 7).indices
    assert [row for row in result.indices if row in expected] == expected.tolist()
    # In turn: any part of the batch is mixed as the whole is.
    is_margin = np.isin(result.indices, expected)
    assert is_margin[:5].sum() in {3, 4}


def test_a_later_part_counts_earlier_picks_as_labelled() -> None:
    # The far point is margin's choice; k_center must not go for its close neighbour.
    embeddings = np.array([[0.0], [100.0], [99.0], [40.0]], dtype=np.float32)
    probabilities = np.array([[1, 0], [0.5, 0.5], [1, 0], [1, 0]], dtype=np.float32)
    shown = context(embeddings, probabilities, labelled=embeddings[:1])
    result = get("margin + k_center").query(shown, 2)
    assert result.indices.tolist() == [1, 3]


def test_a_pipeline_chooses_only_from_what_the_first_stage_kept() -> None:
    embeddings, probabilities = pool(200)
    shown = context(embeddings, probabilities)
    kept = set(get("margin").query(shown, 30).ids)
    assert set(get("margin@3 > k_center").query(shown, 10).ids) <= kept
    # Without a number a stage keeps ten times the batch.
    names = [get(text).query(shown, 4).ids for text in ("margin > k_center", "margin@10>k_center")]
    assert set(names[0]) | set(names[1]) <= set(get("margin").query(shown, 40).ids)


@given(st.integers(0, 500), st.lists(st.floats(0.01, 10), min_size=1, max_size=6))
def test_shares_add_up_and_stay_within_one_of_exact(count: int, weights: list[float]) -> None:
    shares = share_out(count, weights)
    assert sum(shares) == count
    exact = [count * weight / sum(weights) for weight in weights]
    assert all(abs(share - want) < 1 + 1e-6 for share, want in zip(shares, exact, strict=True))


def test_equal_remainders_go_to_the_earlier_part() -> None:
    assert share_out(3, [1, 1]) == [2, 1]
    assert share_out(10, [0.7, 0.3]) == [7, 3]


@pytest.mark.parametrize("text", ["k_center", "margin@2 > k_center", "0.5*margin + 0.5*k_center"])
def test_a_missing_capability_is_refused_before_anything_is_computed(text: str) -> None:
    def explode() -> Array:
        pytest.fail("computed before the check")

    shown = QueryContext(
        ids=[ExampleId("a")],
        rng=np.random.default_rng(0),
        sources={Capability.PROBS: explode},
    )
    with pytest.raises(InvalidInput, match="embeddings"):
        get(text).query(shown, 1)


def test_sources_are_called_at_most_once_and_only_when_needed() -> None:
    calls = []
    shown = QueryContext(
        ids=[ExampleId(str(row)) for row in range(4)],
        rng=np.random.default_rng(0),
        sources={
            Capability.EMBEDDINGS: lambda: calls.append("embeddings"),
            Capability.PROBS: lambda: calls.append("probs") or np.eye(4),
        },
    )
    get("0.5*margin + 0.5*entropy").query(shown, 4)
    assert calls == ["probs"]


def test_narrowing_keeps_rows_of_every_kind_together() -> None:
    features, errors = np.arange(12.0).reshape(4, 3), np.arange(8.0).reshape(4, 2)
    shown = QueryContext(
        ids=[ExampleId(str(row)) for row in range(4)],
        rng=np.random.default_rng(0),
        sources={
            Capability.EMBEDDINGS: lambda: features,
            Capability.POSTERIOR: lambda: np.zeros((4, 2, 3)),
            Capability.GRADIENTS: lambda: GradientFactors(errors=errors, features=features),
            Capability.TARGETS: lambda: np.ones((7, 3)),
        },
    ).narrow(np.array([3, 1]))
    assert list(shown.ids) == ["3", "1"]
    again = shown.narrow(np.array([1, 0])).ids
    assert (list(again), again[0], list(again[1:]), len(again)) == (["1", "3"], "1", ["3"], 2)
    assert shown.embeddings()[:, 0].tolist() == [9, 3]
    assert shown.gradients().errors[:, 0].tolist() == [6, 2]
    assert shown.posterior().shape == (2, 2, 3)
    assert shown.targets().shape == (7, 3)
    with pytest.raises(InvalidInput, match="probs"):
        shown.probabilities()


def test_an_unknown_name_lists_what_comes_near() -> None:
    with pytest.raises(InvalidInput, match=r"'margn'.*Did you mean margin"):
        get("0.5*margn + random")


@pytest.mark.parametrize(
    "text", ["", "margin +", "0*margin", "margin@0.5 > k_center", "margin > k_center@3", "a b", ">"]
)
def test_a_composition_that_makes_no_sense_is_refused(text: str) -> None:
    with pytest.raises(InvalidInput):
        get(text)


def test_every_registered_strategy_says_what_it_does() -> None:
    expected = (
        "random least_confidence margin breaking_ties entropy minority k_center k_means_pp cdal "
        "d_optimal g_optimal go badge bait bald batch_bald qbc qbc_kl epig k_means "
        "weighted_k_means cluster_margin typiclust prob_cover facility_location vote_k "
        "discriminative contrastive idds density"
    )
    assert set(expected.split()) <= {strategy.name for strategy in available()}
    assert all(entry.card.summary and entry.card.cost for entry in TRADITIONAL)
    assert all(entry.name == "random" or entry.card.citation for entry in TRADITIONAL)
    assert all(len(entry.card.explanation) > 150 for entry in TRADITIONAL)
    assert get("0.7 * margin+0.3*k_center").name == "0.7*margin + 0.3*k_center"
