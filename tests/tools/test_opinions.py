"""Reliability, consensus, training sets and quality, each on a case whose answer is known."""

import numpy as np
import pytest

from querist.memory.answers import Choice
from querist.memory.records import Annotation, ExampleId, Label, LabelClass, Task
from querist.tools.kinds import answers_of, kind_of
from querist.tools.opinions.beliefs import certainty, pool_votes
from querist.tools.opinions.consensus import Consensus
from querist.tools.opinions.quality import AGREEMENT, FEWEST, SAMPLE, measure_held_out
from querist.tools.opinions.reliability import OWN_CALIBRATION, Reliability
from querist.tools.opinions.signals import SIGNALS
from querist.tools.opinions.training_set import TRUSTS, gather_training_set

TASK = Task("t", "classification", (LabelClass("a"), LabelClass("b")))
ANSWERS = answers_of(TASK)
A, B = ANSWERS.answers


def says(example, answer, *, p=None, version="v1", sample=0, status="ok", who="llm:m", words=""):
    probabilities = None if p is None else {"a": p, "b": 1 - p}
    return Annotation(
        ExampleId(example), who, answer, 1, probabilities, prompt_version=version, sample=sample,
        status=status, rationale=words,
    )  # fmt: skip


def label(example, answer, source="human", weight=1.0, probabilities=None):
    return Label(ExampleId(example), answer, source, f"{source}:x", weight, 1, 1, probabilities)


def reliability(annotations, labels, seed=()):
    return Reliability(
        annotations, labels, seed={ExampleId(name) for name in seed}, answers=ANSWERS
    )


# ---------------------------------------------------------------- votes


def test_votes_with_probabilities_are_averaged_in_logs():
    votes = [says("e", A, p=0.9), says("e", A, p=0.5, sample=1)]
    # Geometric means: sqrt(0.9 * 0.5) to sqrt(0.1 * 0.5), which is 3 to 1.
    assert pool_votes(votes, ANSWERS) == pytest.approx([0.75, 0.25])


def test_votes_without_probabilities_are_counted_with_one_more_for_each_answer():
    votes = [says("e", A, sample=n) for n in range(3)]
    assert pool_votes(votes, ANSWERS) == pytest.approx([4 / 5, 1 / 5])
    assert pool_votes([says("e", None), says("e", Choice("other"))], ANSWERS) is None


def test_a_guess_is_certain_of_nothing():
    targets = np.array([[1.0, 0.0], [0.5, 0.5], [0.9, 0.1]])
    assert certainty(targets) == pytest.approx([1, 0, 1 - 0.4689956], abs=1e-6)


# ---------------------------------------------------------------- reliability


def test_only_the_latest_prompt_speaks_and_only_of_what_it_answered():
    found = reliability(
        [
            says("e", A, p=0.9, version="old"),
            says("e", B, p=0.2, version="new"),
            says("lost", None, status="refused", words="not  this\ntext"),
            says("e", A, p=0.99, who="model:head"),
        ],
        [],
    )
    assert found.raw["e"] == pytest.approx([0.2, 0.8])
    assert found.trouble("lost") == "refused: not this text"
    assert found.is_refused("lost")
    assert not found.is_refused("e")
    assert found.trouble("e") == found.trouble("unknown") == ""


def test_what_was_asked_because_it_was_doubtful_stands_for_its_share():
    labels = [
        *(label(f"s{n}", A) for n in range(4)),
        *(label(f"q{n}", A) for n in range(2)),
        *(label(f"m{n}", A, "llm") for n in range(6)),
    ]
    weights = reliability([], labels, seed=[f"s{n}" for n in range(4)]).sampling_weight
    assert weights["s0"] == 1
    assert weights["q0"] == pytest.approx(2 / (2 + 6))
    alone = reliability([], labels).sampling_weight
    assert set(alone.values()) == {1.0}, "without a random sample all stand for the same"


def test_skill_weighs_answers_by_what_they_stand_for():
    labels = [label("s0", A), label("s1", A), label("q0", B), label("m0", A, "llm")]
    told = [says("s0", A, p=0.9), says("s1", B, p=0.2), says("q0", A, p=0.8)]
    found = reliability(told, labels, seed=["s0", "s1"])
    # Right on one of two of the sample; wrong on the asked one, which stands for a half.
    assert found.skill() == pytest.approx(1 / 2.5)
    assert reliability([], labels).skill() is None


def test_a_timid_annotator_is_learnt_to_be_right():
    """It is right 19 times of 20 and says 0.8 each time."""
    told, labels = [], []
    for n in range(80):
        truth = (A, B)[n % 2]
        # Two neighbours in twenty are wrong, one of each answer: the bias stays none.
        said = truth if n % 40 > 1 else (B, A)[n % 2]
        told.append(says(f"e{n}", said, p=0.8 if said == A else 0.2))
        labels.append(label(f"e{n}", truth))
    found = reliability(told, labels, seed=[f"e{n}" for n in range(80)])
    sure = np.mean([vector.max() for vector in found.calibrated.values()])
    assert sure == pytest.approx(0.95, abs=0.04)
    few = reliability(told[: OWN_CALIBRATION // 3], labels[: OWN_CALIBRATION // 3])
    assert max(vector.max() for vector in few.calibrated.values()) < sure


# ---------------------------------------------------------------- what to train on


def world(*, machine_is_right):
    """Forty people's labels and eighty by a machine, in two clouds that tell the answers apart."""
    rng = np.random.default_rng(0)
    names = [f"h{n:02}" for n in range(40)] + [f"m{n:02}" for n in range(80)]
    truth = {name: n % 2 for n, name in enumerate(names)}
    centres = np.eye(8)[:2] * 2
    vectors = {name: centres[truth[name]] + rng.normal(size=8) for name in names}
    labels = {}
    for name in names:
        place = truth[name]
        if name.startswith("m") and rng.random() > machine_is_right:
            place = 1 - place
        source = "human" if name.startswith("h") else "llm"
        known = None if source == "human" else {"a": 0.9 - 0.8 * place, "b": 0.1 + 0.8 * place}
        labels[ExampleId(name)] = label(name, ANSWERS.answers[place], source, 0.9, known)
    look_up = lambda ids: np.array([vectors[key] for key in ids], dtype=np.float32)  # noqa: E731
    seed = [name for name in names if name.startswith("h")]
    return labels, reliability([], list(labels.values()), seed=seed), look_up


@pytest.mark.parametrize(("right", "low", "high"), [(0.97, 0.3, 3.0), (0.1, 0.0, 0.1)])
def test_trust_in_machine_labels_is_what_they_are_worth(right, low, high):
    labels, known, vectors = world(machine_is_right=right)
    rows = gather_training_set(labels, known, answers=ANSWERS, vectors=vectors)
    assert rows.trust in TRUSTS
    assert low <= rows.trust <= high
    assert (rows.weights[rows.human] == 1).all()
    assert rows.can_train
    given = gather_training_set(labels, known, answers=ANSWERS, vectors=vectors, trust=0.3)
    machine = np.setdiff1d(np.arange(len(given.ids)), given.human)
    assert given.weights[machine] == pytest.approx(0.3 * certainty(given.targets)[machine])


def test_an_empty_store_gives_an_empty_training_set():
    rows = gather_training_set({}, reliability([], []), answers=ANSWERS, vectors=lambda ids: None)
    assert not rows.can_train
    assert rows.ids == ()


# ---------------------------------------------------------------- consensus


def consensus(labels, known, vectors, model=None, signals=()):
    return Consensus(
        labels=labels, reliability=known, answers=ANSWERS, vectors=vectors, model=model,
        held_out=lambda ids: np.full((len(ids), 2), 0.5), examples=lambda ids: [],
        signals=signals or [SIGNALS.make("neighbours"), SIGNALS.make("model")],
    )  # fmt: skip


def around(labels, known, vectors, *names):
    said = consensus(labels, known, vectors).about([ExampleId(name) for name in names])
    return said.signals["neighbours"]


def test_neighbours_speak_for_their_surroundings_and_never_for_themselves():
    labels, known, vectors = world(machine_is_right=1.0)
    votes = around(labels, known, vectors, "h00", "h01")
    assert votes.shape == (2, 2)
    assert votes.sum(axis=1) == pytest.approx([1, 1])
    assert (votes.argmax(axis=1) == [0, 1]).all()
    lonely = {key: labels[key] for key in list(labels)[:5]}
    assert around(lonely, known, vectors, "h00") is None


def test_where_nobody_says_anything_there_is_no_opinion():
    _labels, known, vectors = world(machine_is_right=1.0)
    said = consensus({}, known, vectors).about([ExampleId("h00")])
    assert (said.annotator, said.signals, said.pooled) == (
        [None],
        {"neighbours": None, "model": None},
        None,
    )


def test_before_anything_was_measured_the_annotator_counts_most():
    _labels, _, vectors = world(machine_is_right=1.0)
    silent = reliability([says("h00", A, p=0.8)], [])
    said = consensus({}, silent, vectors).about([ExampleId("h00")])
    # One source and two that are undecided: as it says.
    assert said.pooled[0] == pytest.approx([0.8, 0.2])


# ---------------------------------------------------------------- quality


def test_quality_is_measured_on_the_random_sample_or_called_agreement():
    labels, known, vectors = world(machine_is_right=1.0)
    rows = gather_training_set(labels, known, answers=ANSWERS, vectors=vectors, trust=1.0)
    seed = {ExampleId(f"h{n:02}") for n in range(40)}
    measure, what = measure_held_out(rows, seed, task=TASK, kind=kind_of(TASK))
    assert (what, measure.n) == (SAMPLE, 40)
    assert measure.low <= measure.value <= measure.high
    assert measure.value > 0.8
    few = set(sorted(seed)[: FEWEST - 1])
    measure, what = measure_held_out(rows, few, task=TASK, kind=kind_of(TASK))
    assert (what, measure.n) == (AGREEMENT, len(rows.ids))
