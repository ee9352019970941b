"""Agreement of people, what it says of their errors, and of a model's accuracy."""

import numpy as np
import pytest

from querist.memory.asking.checks import Opinions
from querist.memory.questions import QuestionPayload
from querist.memory.records import ExampleId, Question
from querist.tools.kinds import find_kind
from querist.tools.opinions.agreement import (
    Doubled,
    alpha_interval,
    corrected_accuracy,
    error_rate,
    krippendorff_alpha,
    label_error,
    share_of,
    standing,
)


def table(*people):
    """Opinions as they are printed: a string a person, a character an item, a dot for none."""
    names = sorted(set("".join(people)) - {"."})
    return np.array([[names.index(c) if c != "." else -1 for c in person] for person in people]).T


@pytest.mark.parametrize(
    ("people", "published"),
    [
        (("0100000010", "1110010000"), 0.095),
        (("aabbdcccedda", "babbbccceddd"), 0.692),
    ],
    ids=["two people, two answers", "two people, five answers"],
)
def test_alpha_is_the_published_one(people, published):
    # Krippendorff (2011), sections A and B.
    assert krippendorff_alpha(table(*people)) == pytest.approx(published, abs=5e-4)


def test_alpha_with_missing_answers_of_four_people_is_the_published_one():
    # Krippendorff (2011), section C.
    four = table("123321412...", "1233224125.3", ".3332342251.", "12332441251.")
    assert krippendorff_alpha(four) == pytest.approx(0.743, abs=5e-4)


def test_alpha_knows_perfection_chance_and_where_it_says_nothing():
    rng = np.random.default_rng(0)
    assert krippendorff_alpha(table("abc", "abc")) == 1
    assert abs(krippendorff_alpha(rng.integers(0, 3, (20_000, 2)))) < 0.02
    assert krippendorff_alpha(table("aaa", "aaa")) is None, "nothing can differ"
    assert krippendorff_alpha(table("a.c", ".b.")) is None, "no two opinions on anything"
    assert krippendorff_alpha(np.empty((0, 2), dtype=int)) is None
    assert alpha_interval(np.empty((0, 2), dtype=int)) is None


def test_the_interval_of_alpha_holds_what_many_items_tell():
    rng = np.random.default_rng(1)

    def opinions(n):
        truth = rng.integers(0, 3, n)
        return np.stack([_say(rng, truth, 0.15, 3) for _ in range(3)], axis=1)

    truth = krippendorff_alpha(opinions(200_000))
    intervals = [alpha_interval(opinions(80)) for _ in range(100)]
    held = np.mean([low <= truth <= high for low, high in intervals])
    assert 0.8 <= held <= 0.97


def _say(rng, truth, error, classes):
    wrong = rng.random(len(truth)) < error
    return np.where(wrong, (truth + rng.integers(1, classes, len(truth))) % classes, truth)


@pytest.mark.parametrize("classes", [2, 3, 10])
@pytest.mark.parametrize("error", [0.0, 0.05, 0.3])
def test_the_error_that_agreement_tells_is_the_one_it_came_from(classes, error):
    agreement = (1 - error) ** 2 + error**2 / (classes - 1)
    assert error_rate(agreement, classes=classes) == pytest.approx(error, abs=1e-9)


def test_less_agreement_than_by_chance_is_a_guess():
    assert error_rate(0.2, classes=2) == 0.5
    assert error_rate(0.0, classes=5) == pytest.approx(0.8)


def test_labels_that_were_checked_are_wrong_less_often():
    # Two people of two answers: both wrong in 1 % of 82 %; of two that differ either may be.
    found = [
        float(label_error(0.1, checked, classes=2))
        for checked in (
            Doubled(single=1),
            Doubled(agreed=1),
            Doubled(disputed=1),
            Doubled(settled=1),
        )
    ]
    assert found == pytest.approx([0.1, 0.01 / 0.82, 0.5, 0.1])
    assert float(label_error(0.0, Doubled(1, 1, 1, 1), classes=3)) == pytest.approx(0.125)


def test_a_worked_accuracy():
    # People err on 10 %, a model on none: it agrees with 90 % of what one person said.
    found = corrected_accuracy(900, Doubled(single=0, disputed=180, agreed=820), classes=2)
    assert found.error == pytest.approx(0.1)
    assert found.accuracy.value == pytest.approx(1.0)
    assert found.accuracy.low > 0.97
    assert (found.agreement.value, found.agreement.n) == (0.82, 1000)


def test_with_few_pairs_nothing_is_corrected():
    assert corrected_accuracy(40, Doubled(single=41, agreed=9), classes=2) is None
    assert corrected_accuracy(40, Doubled(single=40, agreed=10), classes=2) is not None


@pytest.mark.parametrize("classes", [2, 4])
@pytest.mark.parametrize("skew", [0.0, 0.6], ids=["balanced", "skewed"])
@pytest.mark.parametrize("share", [0.3, 1.0])
def test_the_interval_holds_the_true_accuracy(classes, skew, share):
    rng, n, error, accuracy = np.random.default_rng(7), 150, 0.12, 0.85
    chances = np.full(classes, (1 - skew) / classes)
    chances[0] += skew
    held, values, raw = [], [], []
    for _ in range(200):
        truth = rng.choice(classes, size=n, p=chances)
        model = _say(rng, truth, 1 - accuracy, classes)
        first, second, third = (_say(rng, truth, error, classes) for _ in range(3))
        doubled = rng.random(n) < share
        differ = doubled & (first != second)
        # Half of the disputes wait still.
        settled = differ & (rng.random(n) < 0.5)
        label = np.where(settled, third, first)
        checked = Doubled(
            int((~doubled).sum()),
            int((doubled & ~differ).sum()),
            int((differ & ~settled).sum()),
            int(settled.sum()),
        )
        hits = int((model == label).sum())
        found = corrected_accuracy(hits, checked, classes=classes).accuracy
        held.append(found.low <= accuracy <= found.high)
        values.append(found.value)
        raw.append(hits / n)
    assert 0.84 <= np.mean(held) <= 0.97
    assert abs(np.mean(values) - accuracy) < 0.015
    assert np.mean(raw) < accuracy - 0.03, "people's errors count against the model"


def test_a_share_of_nothing_is_none():
    assert share_of(0, 0) is None
    assert share_of(9, 10).value == 0.9
    assert share_of(9, 10).low == pytest.approx(0.6526, abs=0.02)


def asked(checks, answer, status="answered"):
    return Question(
        f"q-{checks}", ExampleId("e"), QuestionPayload(), {}, "", 0.5, "audit", 0,
        status=status, answer=answer, checks=checks,
    )  # fmt: skip


def test_what_a_label_rests_on_is_told_by_the_kinds_own_likeness():
    for name, one, other in (
        ("classification", "a", "b"), ("matching", "yes", "no"), ("preference", "a", "tie")
    ):  # fmt: skip
        kind = find_kind(name)
        first, same = asked("", kind.answer_of(one)), asked("second", kind.answer_of(one))
        another, third = (asked(what, kind.answer_of(other)) for what in ("second", "adjudication"))
        open_ = asked("adjudication", None, status="open")
        assert standing(kind, Opinions(first, None, None, None)) == "single"
        assert standing(kind, Opinions(first, same, None, None)) == "agreed"
        assert standing(kind, Opinions(first, another, None, None)) == "disputed"
        assert standing(kind, Opinions(first, another, open_, None)) == "disputed"
        assert standing(kind, Opinions(first, another, third, None)) == "settled"
    skipped = asked("second", None, status="skipped")
    assert standing(find_kind("classification"), Opinions(first, skipped, None, None)) == "single"
