"""Reliability, consensus, training sets and quality, each on a case whose answer is known."""

from dataclasses import replace

import numpy as np
import pytest

from querist.memory.answers import Choice
from querist.memory.records import Annotation, ExampleId, Label, LabelClass, Task
from querist.tools.kinds import DEFAULT, answers_of, kind_of
from querist.tools.opinions.beliefs import certainty, pool_votes
from querist.tools.opinions.consensus import Consensus
from querist.tools.opinions.quality import (
    AGREEMENT,
    FEWEST,
    NOTHING,
    SAMPLE,
    Quality,
    measure_audit,
    measure_held_out,
)
from querist.tools.opinions.reliability import OWN_CALIBRATION, Reliability
from querist.tools.opinions.signals import SIGNALS
from querist.tools.opinions.training_set import (
    PeoplesRows,
    combine_opinions,
    gather_training_set,
    information,
)
from querist.tools.training.proxy import LinearHead

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


def test_skill_is_measured_on_the_random_sample():
    labels = [label("s0", A), label("s1", A), label("q0", B), label("m0", A, "llm")]
    told = [says("s0", A, p=0.9), says("s1", B, p=0.2), says("q0", A, p=0.8)]
    found = reliability(told, labels, seed=["s0", "s1"])
    # Right on one of two of the sample; what was asked later was chosen, and does not count.
    assert found.skill() == pytest.approx(1 / 2)
    assert reliability(told, labels).skill() == pytest.approx(1 / 3), "without a sample all count"
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


def people_of(labels, vectors):
    return PeoplesRows.of(labels, answers=ANSWERS, vectors=vectors)


def gathered(labels, known, vectors):
    people = people_of(labels, vectors)
    return gather_training_set(labels, known, people=people, answers=ANSWERS, vectors=vectors)


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


def test_a_label_model_multiplies_two_witnesses_and_counts_the_prior_once():
    prior = np.array([0.9, 0.1])
    # Likelihood ratios of 3 and 2 for the second answer: odds 1/9 times 6.
    witnesses = [prior * [1, ratio] / (prior * [1, ratio]).sum() for ratio in (3, 2)]
    both = combine_opinions(witnesses[0][None], witnesses[1][None], prior=prior)[0]
    assert both[1] / both[0] == pytest.approx(6 / 9)
    silent = combine_opinions(prior[None], witnesses[1][None], prior=prior)[0]
    assert silent == pytest.approx(witnesses[1]), "who says the prior says nothing"
    assert information(np.stack([prior, [1.0, 0.0]]), prior=prior) == pytest.approx(
        [0, np.log(1 / 0.9) / -(0.9 * np.log(0.9) + 0.1 * np.log(0.1))], abs=1e-6
    )


def truth_of(name):
    return int(name[1:]) % 2


def test_a_good_annotators_labels_become_surer_and_count():
    labels, known, vectors = world(machine_is_right=0.97)
    rows = gathered(labels, known, vectors)
    assert (rows.weights[rows.human] == 1).all()
    machine = np.setdiff1d(np.arange(len(rows.ids)), rows.human)
    assert (rows.weights[machine] <= certainty(rows.targets)[machine] + 1e-12).all()
    assert rows.trust == pytest.approx(rows.weights[machine].mean(), abs=1e-4)
    right = [rows.targets[row].argmax() == truth_of(rows.ids[row]) for row in machine]
    assert np.mean(right) > 0.9


def test_a_useless_annotator_does_no_harm():
    """It says a or b by the toss of a coin, 0.9 sure; people found it out."""
    rng = np.random.default_rng(0)
    labels, _, vectors = world(machine_is_right=0.5)
    told = [says(name, (A, B)[rng.integers(2)], p=None, sample=0) for name in labels]
    told = [replace(said, probabilities={"a": 0.9, "b": 0.1} if said.answer == A
                    else {"a": 0.1, "b": 0.9}) for said in told]  # fmt: skip
    seed = [name for name in labels if name.startswith("h")]
    known = reliability(told, list(labels.values()), seed=seed)
    rows = gathered(labels, known, vectors)
    machine = np.setdiff1d(np.arange(len(rows.ids)), rows.human)
    said = np.array([known.raw[rows.ids[row]].argmax() for row in machine])
    truth = np.array([truth_of(rows.ids[row]) for row in machine])
    became = rows.targets[machine].argmax(axis=1)
    assert (became == truth).mean() > (said == truth).mean() + 0.15
    assert rows.trust < 0.1


def test_what_the_models_own_head_said_is_no_second_witness():
    labels, known, vectors = world(machine_is_right=0.97)
    name = next(name for name in labels if name.startswith("m"))
    by_model = labels | {name: replace(labels[name], source="model", answer=A,
                                      probabilities={"a": 1.0, "b": 0.0})}  # fmt: skip
    other = by_model | {name: replace(by_model[name], answer=B, probabilities={"a": 0.0, "b": 1.0})}
    targets = [gathered(found, known, vectors) for found in (by_model, other)]
    row = targets[0].ids.index(name)
    assert targets[0].targets[row] == pytest.approx(targets[1].targets[row])
    assert targets[0].weights[row] == pytest.approx(0, abs=1e-9)


def test_models_that_judge_people_were_taught_by_people_alone():
    labels, _, vectors = world(machine_is_right=0.97)
    asked = [name for name in labels if name.startswith("h")][:9]
    lies = {name: replace(label, answer=A, probabilities={"a": 1.0, "b": 0.0})
            if label.source == "llm" else label for name, label in labels.items()}  # fmt: skip
    rows, misled = (people_of(found, vectors) for found in (labels, lies))
    assert rows.held_out(asked) == pytest.approx(misled.held_out(asked))


@pytest.mark.parametrize(
    "shares", [(0.9, 0.1), (0.6, 0.25, 0.1, 0.05), (0.5, 0.5), tuple([1 / 77] * 77)]
)
def test_batch_calibration_leaves_an_exact_posterior_as_it_is(shares):
    """What an annotator says is the exact posterior: there is no bias to take out."""
    rng = np.random.default_rng(1)
    task = Task("t", "classification", tuple(LabelClass(f"c{n}") for n in range(len(shares))))
    answers = answers_of(task)
    truth = rng.choice(len(shares), size=400, p=shares)
    logs = np.log(shares) + rng.normal(size=(400, len(shares)))
    # A shift of 3 at the truth in unit noise: the likelihood ratio is exp(3 x) in exact form.
    logs = np.log(shares) + 3 * (
        rng.normal(size=(400, len(shares))) + 3 * np.eye(len(shares))[truth]
    )
    exact = np.exp(logs - logs.max(axis=1, keepdims=True))
    exact /= exact.sum(axis=1, keepdims=True)
    ids = [ExampleId(f"e{n}") for n in range(400)]
    told = [
        Annotation(example, "llm:m", answers.answers[row.argmax()], 1,
                   dict(zip(answers.names, map(float, row), strict=True)), prompt_version="v")
        for example, row in zip(ids, exact, strict=True)
    ]  # fmt: skip
    labels = [
        label(example, answers.answers[place]) for example, place in zip(ids, truth, strict=True)
    ]
    found = Reliability(told, labels, seed=set(ids), answers=answers)
    raw = np.stack([found.raw[example] for example in ids])
    before, after = ((said.argmax(axis=1) == truth).mean() for said in (exact, raw))
    assert after >= before - 0.006
    likely = exact.argmax(axis=1)
    rows = np.arange(400)
    assert np.median(np.abs(np.log(raw[rows, likely] / exact[rows, likely]))) < 0.05


def test_batch_calibration_looks_at_the_random_sample_alone():
    told = [says(f"s{n}", (A, B)[n % 2], p=(0.9, 0.1)[n % 2]) for n in range(20)]
    chosen = [says(f"q{n}", A, p=0.99) for n in range(60)]
    labels = [label(f"s{n}", (A, B)[n % 2]) for n in range(20)]
    seed = [f"s{n}" for n in range(20)]
    alone = reliability(told, labels, seed=seed)
    among = reliability([*told, *chosen], labels, seed=seed)
    assert among.raw["s0"] == pytest.approx(alone.raw["s0"])


def test_calibration_of_what_people_labelled_is_cross_fitted():
    rng = np.random.default_rng(2)
    told = [says(f"e{n}", (A, B)[n % 2], p=(0.99, 0.01)[n % 2]) for n in range(60)]
    labels = [label(f"e{n}", (A, B)[rng.integers(2)]) for n in range(60)]
    found = reliability(told, labels, seed=[f"e{n}" for n in range(60)])
    ids = [ExampleId(f"e{n}") for n in range(60)]
    held = found.held_out(ids)
    assert held.shape == (60, 2)
    seen = np.stack([found.calibrated[example] for example in ids])
    truth = [found.truth[example] for example in ids]
    lost = [-np.log(said[np.arange(60), truth]).mean() for said in (seen, held)]
    assert lost[1] > lost[0], "what saw the answers looks better than it is"


def test_an_empty_store_gives_an_empty_training_set():
    rows = gathered({}, reliability([], []), lambda ids: None)
    assert not rows.can_train
    assert rows.ids == ()
    assert rows.trust is None


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
    rows = gathered(labels, known, vectors)
    seed = {ExampleId(f"h{n:02}") for n in range(40)}
    found = measure_held_out(people_of(labels, vectors), rows, seed, task=TASK, kind=kind_of(TASK))
    measure = found.own
    assert (found.measured_on, measure.n) == (SAMPLE, 40)
    assert sum(found.hits.values()) / 40 == pytest.approx(measure.value)
    assert set(found.hits) == seed
    assert measure.low <= measure.value <= measure.high
    assert measure.value > 0.8
    few = set(sorted(seed)[: FEWEST - 1])
    found = measure_held_out(people_of(labels, vectors), rows, few, task=TASK, kind=kind_of(TASK))
    assert (found.measured_on, found.own.n, found.hits) == (AGREEMENT, len(rows.ids), None)


def test_quality_does_not_change_with_what_machines_said_of_others():
    labels, known, vectors = world(machine_is_right=1.0)
    seed = {ExampleId(f"h{n:02}") for n in range(40)}
    lies = {name: replace(label, answer=A, probabilities={"a": 1.0, "b": 0.0})
            if label.source == "llm" else label for name, label in labels.items()}  # fmt: skip
    measures = [
        measure_held_out(
            people_of(found, vectors),
            gathered(found, known, vectors),
            seed,
            task=TASK,
            kind=kind_of(TASK),
        )
        for found in (labels, lies)
    ]
    assert measures[0] == measures[1]


def test_a_prompt_is_held_out_from_its_own_map_as_it_is_predicted_by_its_own():
    """Under one prompt the annotator is right, under another it always names the other answer."""
    told, labels = [], []
    for n in range(80):
        truth, version = (A, B)[n % 2], ("right", "wrong")[n // 40]
        says_a = (truth == A) == (version == "right")
        told.append(says(f"e{n}", A if says_a else B, p=0.9 if says_a else 0.1, version=version))
        labels.append(label(f"e{n}", truth))
    ids = [ExampleId(f"e{n}") for n in range(80)]
    found = reliability(told, labels, seed=[f"e{n}" for n in range(80)])
    held = found.held_out(ids).argmax(axis=1)
    assert (held == [n % 2 for n in range(80)]).mean() > 0.9


def test_the_audit_samples_interval_holds_the_truth_as_often_as_it_says():
    rng = np.random.default_rng(0)

    def draw(count):
        places = rng.integers(2, size=count)
        return rng.normal(size=(count, 2)) + 1.6 * places[:, None] - 0.8, np.eye(2)[places]

    model = LinearHead().fit(*draw(30))
    inputs, targets = draw(200_000)
    truth = (model.predict_proba(inputs).argmax(axis=1) == targets.argmax(axis=1)).mean()
    ids = tuple(ExampleId(f"e{n}") for n in range(40))
    before, held = Quality(None, NOTHING), 0
    for _ in range(400):
        found = measure_audit(PeoplesRows(ids, *draw(40)), model, before, task=TASK, kind=DEFAULT)
        held += found.own.low <= truth <= found.own.high
    assert 0.86 <= held / 400 <= 0.95
    few = PeoplesRows(ids[:9], *draw(9))
    assert measure_audit(few, model, before, task=TASK, kind=DEFAULT) is before


# ---------------------------------------------------------------- several models


def test_each_model_is_calibrated_on_its_own_answers_whatever_another_said():
    """One is right and modest, the other always wrong and sure: mixed, both would be undecided."""
    ids = [f"e{n}" for n in range(80)]
    labels = [label(name, A if n % 2 else B) for n, name in enumerate(ids)]
    right = [says(name, A, p=0.6 if n % 2 else 0.4) for n, name in enumerate(ids[:40])]
    wrong = [
        says(name, A, p=0.05 if n % 2 else 0.95, who="llm:other") for n, name in enumerate(ids[40:])
    ]
    new = [says("new", A, p=0.6), says("newer", A, p=0.95, who="llm:other")]
    both = reliability([*right, *wrong, *new], labels)
    alone = reliability([*right, new[0]], labels)
    assert both.calibrated["new"] == pytest.approx(alone.calibrated["new"])
    assert both.calibrated["new"][0] > 0.7
    assert both.calibrated["newer"][0] < 0.3
    assert both.skill_of("llm:m") == (40, 40)
    assert both.skill_of("llm:other") == (0, 40)
    assert both.skill_of("llm:third") == (0, 0)
    held = both.held_out([label.example for label in labels])
    assert held.shape == (80, 2)
    assert held[:40] == pytest.approx(alone.held_out(ids[:40]))


def test_what_a_second_model_says_of_known_texts_takes_nothing_from_the_first():
    ids = [f"e{n}" for n in range(40)]
    labels = [label(name, A if n % 2 else B) for n, name in enumerate(ids)]
    first = [says(name, A, p=0.6 if n % 2 else 0.4) for n, name in enumerate(ids)]
    again = [says(name, A, p=0.5, who="llm:other") for name in ids]
    new = says("new", A, p=0.6)
    both = reliability([*first, new, *again], labels)
    assert both.who[ids[0]] == "llm:other"
    assert both.who["new"] == "llm:m"
    alone = reliability([*first, new], labels)
    assert both.calibrated["new"] == pytest.approx(alone.calibrated["new"])
    assert both.skill_of("llm:m") == (40, 40)
