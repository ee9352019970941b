"""The vote table: the worked cases of Active-Prompt and of committees."""

from __future__ import annotations

import numpy as np
import pytest

from querist.tools.opinions.votes import count_votes, disagreement, vote_entropy, vote_variance


def test_answers_3_3_4_5_3_have_the_sheets_values() -> None:
    answers = np.array([[3, 3, 4, 5, 3], [4, 4, 4, 4, 4]])
    counts = count_votes(answers, classes=6)
    assert counts[0].tolist() == [0, 0, 0, 3, 1, 1]
    np.testing.assert_allclose(disagreement(counts), [0.6, 0.2])
    np.testing.assert_allclose(vote_entropy(counts), [0.9503, 0], atol=1e-4)
    np.testing.assert_allclose(vote_variance(answers.astype(float)), [0.64, 0], atol=1e-12)


@pytest.mark.parametrize(
    ("votes", "expected"), [([0, 0, 1, 1], np.log(2)), ([0, 0, 0, 1], 0.5623), ([1, 1, 1, 1], 0)]
)
def test_committees_of_four_have_the_sheets_entropies(votes: list[int], expected: float) -> None:
    counts = count_votes(np.array([votes]), classes=2)
    assert vote_entropy(counts)[0] == pytest.approx(expected, abs=1e-4)


def test_no_vote_is_no_opinion_and_no_number_no_variance() -> None:
    counts = count_votes(np.array([[-1, -1], [0, -1]]), classes=2)
    assert counts.tolist() == [[0, 0], [1, 0]]
    assert vote_entropy(counts).tolist() == [0, 0]
    assert disagreement(counts).tolist() == [0, 1]
    answers = np.array([[np.nan, np.nan], [2, np.nan], [1, 3]])
    assert vote_variance(answers).tolist() == [0, 0, 1]
