"""POCA: partly observed rows."""

import json

import numpy as np
import pytest

from querist.agents.selector.acquisition.imputation import Column, LanguageModelRows, NearRows
from querist.agents.selector.acquisition.poca import (
    PartialBuyer,
    discretise,
    keep_features,
    marginalise,
)
from querist.memory.errors import InvalidInput
from querist.tools.engines.information import bald, marginal_eig, po_eig

WORKED = np.array([[[0.9, 0.1], [0.1, 0.9]], [[0.9, 0.1], [0.9, 0.1]]])  # (S, K, C)


def rng():
    return np.random.default_rng(0)


def test_the_worked_scores():
    assert po_eig(WORKED[None])[0] == pytest.approx(0.1840, abs=1e-4)
    assert marginal_eig(WORKED[None])[0] == pytest.approx(0.1017, abs=1e-4)


def test_without_missing_features_it_is_bald_and_averaging_never_helps():
    draws = rng().dirichlet(np.ones(3), size=(6, 5))  # (N, K, C)
    alike = np.repeat(draws[:, None], 4, axis=1)
    assert po_eig(alike) == pytest.approx(bald(draws))
    assert marginal_eig(alike) == pytest.approx(bald(draws))
    many = rng().dirichlet(np.ones(3), size=(50, 4, 5))
    assert (po_eig(many) >= marginal_eig(many) - 1e-9).all()


def test_leaving_everything_out_is_the_marginal_and_nothing_changes_nothing():
    some = rng().dirichlet(np.ones(3), size=(6, 4))
    codes = np.arange(6)[:, None]
    assert marginalise(some, codes) == pytest.approx(some)
    merged = marginalise(some, codes[:, :0])
    assert po_eig(merged[None]) == pytest.approx(marginal_eig(some[None]))


def test_the_feature_that_matters_is_kept():
    # The first column decides whether the models differ; the second says nothing.
    prob = np.stack([WORKED[0], WORKED[0], WORKED[1], WORKED[1]])
    codes = np.array([[0, 0], [0, 1], [1, 0], [1, 1]])
    kept, score = keep_features(prob, codes, [0, 1], most_lost=0.2)
    assert kept == [0]
    assert score == pytest.approx(po_eig(prob[None])[0])
    assert keep_features(prob, codes, [0, 1], most_lost=1.0)[0] == []
    assert keep_features(prob, codes, [0, 1], is_cheap=lambda some: len(some) <= 2)[0] == [0, 1]


def test_the_loss_only_grows_as_features_are_left_out():
    generator = rng()
    for _ in range(20):
        prob = generator.dirichlet(np.ones(3), size=(8, 4))
        codes = generator.integers(0, 2, size=(8, 3))
        full = po_eig(marginalise(prob, codes)[None])[0]
        less = po_eig(marginalise(prob, codes[:, :2])[None])[0]
        least = po_eig(marginalise(prob, codes[:, :0])[None])[0]
        assert full >= less - 1e-9
        assert less >= least - 1e-9


def test_columns_with_few_values_keep_them_and_others_are_binned():
    codes = discretise(np.column_stack([np.repeat([3.0, 7.0], 8), np.arange(16.0)]))
    assert sorted(set(codes[:, 0])) == [0, 1]
    assert sorted(np.bincount(codes[:, 1])) == [4, 4, 4, 4]


# ---------------------------------------------------------------- imputation


def table():
    first = np.repeat([0.0, 1.0], 20)
    return np.column_stack([first, 10 * first, rng().normal(size=40)])


def test_near_rows_fill_what_is_missing_and_leave_what_is_known():
    rows = np.array([[1.0, np.nan, np.nan], [0.0, 5.0, 2.0]])
    filled = NearRows(table(), neighbours=5).impute(rows, 6, rng())
    assert filled.shape == (2, 6, 3)
    assert (filled[0, :, 0] == 1).all()
    assert (filled[0, :, 1] == 10).all()
    assert len(set(filled[0, :, 2])) > 1
    assert (filled[1] == rows[1]).all()


def test_incomplete_rows_to_draw_from_are_refused():
    with pytest.raises(InvalidInput, match="complete"):
        NearRows(np.array([[np.nan, 1.0]]))


COLUMNS = (Column("kind", ("flat", "house")), Column("rent"), Column("rooms"))


def near_and_model(advisor):
    return LanguageModelRows(COLUMNS, np.abs(table()), advisor)


def test_the_language_model_fills_words_and_numbers(scripted):
    advisor = scripted(lambda _: json.dumps({"kind": "house", "rooms": 4}))
    rows = np.array([[np.nan, 700.0, np.nan]])
    filled = near_and_model(advisor).impute(rows, 3, rng())
    assert filled[0].tolist() == [[1, 700, 4]] * 3
    assert len(advisor.calls) == 3
    assert '"rent": 700.0' in advisor.calls[0].messages[1].content


@pytest.mark.parametrize(
    "said", ['{"kind": "castle", "rooms": 4}', '{"kind": "flat", "rooms": Infinity}', "no", "{}"]
)
def test_what_is_out_of_the_vocabulary_is_asked_again_and_then_drawn(said, scripted):
    advisor = scripted(lambda _: said)
    imputer = near_and_model(advisor)
    filled = imputer.impute(np.array([[np.nan, 7.0, np.nan]]), 2, rng())
    assert np.isfinite(filled).all()
    assert set(filled[0, :, 0]) <= {0, 1}
    assert imputer.fallbacks == 2
    assert len(advisor.calls) == 4


def test_without_money_near_rows_do_it(broke):
    imputer = near_and_model(broke)
    assert np.isfinite(imputer.impute(np.array([[np.nan, 7.0, 1.0]]), 2, rng())).all()
    assert imputer.fallbacks == 2


@pytest.mark.slow
def test_the_embedded_model_completes_a_row(local_advisor):
    imputer = near_and_model(local_advisor)
    filled = imputer.impute(np.array([[np.nan, 7.0, 1.0]]), 2, rng())
    assert set(filled[0, :, 0]) <= {0, 1}
    assert imputer.fallbacks < 2


# ---------------------------------------------------------------- buying


def predict(rows):
    """Two models that differ where the first column is 1, whatever the third says."""
    p = np.where(rows[:, 0] > 0.5, 0.9, 0.5)
    return np.stack([np.stack([p, 1 - p], 1), np.stack([1 - p, p], 1)], 1)


def buyer(**options):
    terms = {"feature_prices": np.array([1.0, 2.0, 4.0]), "label_price": 3.0} | options
    return PartialBuyer(
        predict=predict, imputer=NearRows(table(), neighbours=40), rng=rng(), **terms
    )


ROWS = np.array(
    [
        [np.nan, np.nan, np.nan],  # may be either: the first column is worth its price
        [1.0, np.nan, np.nan],  # informative whatever is missing: only the label
        [0.0, np.nan, np.nan],  # never informative
    ]
)


def test_features_that_tell_nothing_are_not_bought():
    found = {purchase.row: purchase for purchase in buyer(samples=16).choose(ROWS, 100)}
    assert found[1].features == ()
    assert found[1].price == 3
    assert 2 not in found[0].features
    assert len(found[0].features) == 1  # the first two columns say the same
    assert found[1].score > found[0].score > found[2].score


def test_the_budget_is_never_passed_and_the_best_come_first():
    found = buyer(samples=16).choose(ROWS, 5)
    assert sum(purchase.price for purchase in found) <= 5
    assert found[0].row == 1


def test_score_per_price_prefers_what_is_cheap():
    plain = buyer(samples=16, buys_label=True, label_price=0.1)
    cheap = buyer(samples=16, buys_label=True, label_price=0.1, per_price=True)
    assert cheap.choose(ROWS, 100)[0].row == 1
    assert {purchase.row for purchase in plain.choose(ROWS, 100)} == {0, 1, 2}


def test_a_price_limit_keeps_what_it_pays_for():
    found = {
        purchase.row: purchase
        for purchase in buyer(samples=16, price_limit=100.0).choose(ROWS, 100)
    }
    assert found[0].features == (0, 1, 2)
