"""Kinds of task: what each reads, measures and makes of an example; the three facets' contract."""

import ast
from pathlib import Path

import numpy as np
import pytest

from querist.app.answers.kinds import answering_of
from querist.evals.contracts import check_kind
from querist.memory.answers import Belief, Choice, Preference
from querist.memory.errors import InvalidInput
from querist.memory.records import Example, ExampleId, LabelClass, Task
from querist.tools.kinds import KINDS, answers_of, find_kind
from querist.tools.opinions import measures

ROOT = Path(__file__).resolve().parents[2]
LABELS = {
    "classification": ("spam", "ham", "eggs"),
    "relation": ("Cause-Effect(e1,e2)", "Cause-Effect(e2,e1)", "Other"),
}


def task_of(kind, *labels, fields=("left", "right")):
    given = tuple(LabelClass(name) for name in labels or LABELS.get(kind, ()))
    return find_kind(kind).complete(Task("t", kind, given, fields=fields))


@pytest.mark.parametrize("name", [entry.name for entry in KINDS.entries()])
def test_every_kind_keeps_the_contract_of_its_three_facets(name):
    check_kind(name, labels=LABELS.get(name, ()), answering=answering_of(name))


def test_matching_is_measured_by_the_f1_of_the_matches():
    task = task_of("matching")
    match, other = answers_of(task).answers
    # Of three matches one is found and one is wrongly claimed: precision 1/2, recall 1/3.
    truth = [match, match, match, other, other, other, other]
    said = [match, other, None, match, other, other, other]
    measure = find_kind("matching").measure(task, said, truth)
    assert measure.name == "match F1"
    assert measure.value == pytest.approx(2 * (1 / 2) * (1 / 3) / (1 / 2 + 1 / 3))
    assert measure.by_group == {"match": pytest.approx(1 / 3), "no_match": pytest.approx(3 / 4)}


def test_the_match_is_found_by_its_name_and_else_is_the_first_label():
    for labels, value in ((("no_match", "match"), 1.0), (("linked", "apart"), 0.0)):
        task = task_of("matching", *labels)
        said = [Choice(labels[1])] * 4
        assert find_kind("matching").measure(task, said, said).value == value


def test_relations_are_measured_without_the_label_for_none_of_them():
    task = task_of("relation", "causes", "contains", "Other")
    causes, contains, other = answers_of(task).answers
    truth = [causes, causes, contains, other, other]
    said = [causes, other, contains, other, causes]
    # causes: precision 1/2, recall 1/2; contains: 1; Other counts for nothing by itself.
    assert find_kind("relation").measure(task, said, truth).value == pytest.approx((0.5 + 1) / 2)


def test_preferences_agree_where_ties_do():
    task = task_of("preference")
    truth = [Preference("a"), Preference("tie"), Preference("b"), Preference("tie")]
    said = [Preference("a"), Preference("a"), Preference("b"), Preference("tie")]
    assert find_kind("preference").measure(task, said, truth).value == 0.75
    assert task_of("preference", "a", "b").names == ("a", "b")
    with pytest.raises(InvalidInput, match="of these: 'a', 'b', 'tie'"):
        task_of("preference", "left", "right")


def test_an_interval_holds_the_truth_as_often_as_it_says():
    """Match F1 of a matcher whose true F1 is known, in 300 samples: balanced, and with 1 in 10."""
    task = task_of("matching")
    kind = find_kind("matching")
    match, other = answers_of(task).answers
    for share in (0.5, 0.1):
        rng = np.random.default_rng(1)
        held, n = 0, 400
        recall, false_alarm = 0.8, 0.05
        claimed = share * recall + (1 - share) * false_alarm
        true_f1 = 2 * share * recall / (share + claimed)
        for _ in range(300):
            is_match = rng.random(n) < share
            says = np.where(is_match, rng.random(n) < recall, rng.random(n) < false_alarm)
            found = kind.measure(
                task,
                [match if is_same else other for is_same in says],
                [match if is_same else other for is_same in is_match],
            )
            held += found.low <= true_f1 <= found.high
        assert 0.85 <= held / 300 <= 0.95, (share, held / 300)


def test_accuracy_and_macro_f1_of_a_confusion_matrix():
    matrix = measures.confusion(np.array([0, 0, 1, 1]), np.array([0, 1, 1, -1]), classes=2)
    assert matrix.tolist() == [[1, 1, 0], [0, 1, 1]]
    assert measures.accuracy(matrix) == 0.5
    assert measures.f1(matrix, 0) == pytest.approx(2 / 3)
    assert measures.macro_f1(matrix, [0, 1]) == pytest.approx((2 / 3 + 1 / 2) / 2)
    assert measures.f1(np.zeros((2, 3)), 0) == 0


def test_swapped_responses_swap_what_a_linear_head_sees():
    kind = find_kind("preference")
    rng = np.random.default_rng(0)
    first, second = rng.normal(size=(2, 4, 8)).astype(np.float32)
    there, back = kind.join([first, second]), kind.join([second, first])
    assert np.allclose(there[:, :8], -back[:, :8])
    assert np.allclose(there[:, 8:], back[:, 8:])


def test_two_records_look_the_same_in_either_order():
    kind = find_kind("matching")
    rng = np.random.default_rng(0)
    left, right = rng.normal(size=(2, 4, 8)).astype(np.float32)
    assert np.allclose(kind.join([left, right]), kind.join([right, left]))
    example = Example(ExampleId("e"), {"left": "one", "right": "two", "note": "three"})
    assert kind.parts(example) == ("one", "two")


def test_kinds_of_pairs_want_their_columns():
    with pytest.raises(InvalidInput, match="needs two columns, one for each record"):
        find_kind("matching").check_fields(("text",))
    with pytest.raises(InvalidInput, match="two columns of responses"):
        find_kind("preference").check_fields(("text",))
    find_kind("classification").check_fields(("text",))


def test_a_belief_knows_its_best_answer_and_its_doubt():
    answers = (Choice("a"), Choice("b"), Choice("c"))
    belief = Belief(answers, (0.25, 0.5, 0.25))
    assert (belief.best, belief.p_correct) == (Choice("b"), 0.5)
    assert belief.ranked == (Choice("b"), Choice("a"), Choice("c"))
    assert belief.entropy == pytest.approx(1.5 * np.log(2))
    assert Belief(answers, (0.0, 1.0, 0.0)).entropy == 0
    assert Belief(answers, (0.5, 0.5, 0.0)).best == Choice("a"), "ties go to the first"


# What makes or takes apart one kind's answers, or asks which kind it is, belongs into a kind.
ONE_KIND = {"Choice", "Preference", "ChoiceAsking", "SingleChoice"}
ROOMS = ("tools/kinds/", "agents/annotator/kinds/", "app/answers/kinds.py", "memory/answers.py")
# What other tools' files can hold is known where they are written, whatever kind wrote it.
FORMATS = {"tools/data/export.py"}


def test_no_name_outside_the_kinds_assumes_one_of_them():
    found = []
    for folder in ("memory", "tools", "agents", "graph", "app"):
        for path in sorted((ROOT / folder).rglob("*.py")):
            place = str(path.relative_to(ROOT))
            if place.startswith(ROOMS) or "migrations" in place or place in FORMATS:
                continue
            for node in ast.walk(ast.parse(path.read_text())):
                if isinstance(node, ast.ImportFrom) and node.module in (
                    "querist.memory.answers",
                    "querist.tools.kinds",
                    "querist.tools.kinds.closed",
                ):
                    found += [f"{place}: {a.name}" for a in node.names if a.name in ONE_KIND]
                left = ast.unparse(node.left) if isinstance(node, ast.Compare) else ""
                if left.endswith("task.kind"):
                    found.append(f"{place}: {ast.unparse(node)}")
    assert not found
