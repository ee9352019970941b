"""What the budget controller's mind is told: money in labels, what rounds gained and cost."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import Any

from querist.agents.budget_controller.rules import (
    SPEC,
    BudgetEvidence,
    PastRound,
    Plan,
    audits_of,
    gain_of,
    labels_bought,
    least_batch,
    thin_classes,
)
from querist.agents.deliberation.brief import Brief, Fact, name_as_data, points, steps_within, usd
from querist.tools.wording import counted

_DUTY = (
    "You are the budget controller of a labelling loop. Each round chooses texts from a pool "
    "(select) or writes new ones (generate), labels them, asks people about some, trains a model "
    "and measures it. You decide what the next round may do: action, batch (texts) and questions "
    "(how many of them people may be asked). Go on with select while labels still improve the "
    "model and the money pays for them; generate is for classes that are far too thin; finish is "
    "for a curve that has levelled off, and for money that does not pay for a full batch."
)
_NAMED_ROUNDS = 4
_NO_MONEY = (
    r"\b(budget|money|funds?)\b (is|are|was|has been|have been)( already| now| fully| all| almost)*"
    r" (spent|exhausted|used up|gone|depleted|over)\b|\b(no|out of) (money|budget|funds)\b"
)
_TOO_LITTLE = (
    r"\b(budget|money|funds?)\b( left| remaining)?"
    r" (does not|doesn't|do not|don't|cannot|can't|will not|won't"
    r"|(is|are) (not enough|insufficient) to)"
    r" (pay|buy|cover|suffice|afford)\b"
)
_MONEY = r"\b(plenty|enough|a lot|much) (of )?(money|budget|funds)\b"
_RISING = (
    r"\b(curve|accuracy|quality|metric|model) (is|was|keeps|has been)( still)?"
    r" (rising|improving|climbing|growing)\b"
)
_FLAT = (
    r"\b(?<!not )(levell?ed off|plateaued|plateau (is |was |has been )?reached)\b"
    r"|\bno longer (rises|improves|rising|improving)\b|\bstopped (rising|improving)\b"
)


def _facts(evidence: BudgetEvidence) -> list[Fact]:
    return [
        _money(evidence),
        *_labels(evidence),
        _curve(evidence),
        *_past(evidence),
        Fact(
            f"{counted(evidence.pool_left, 'text')} of the pool were not looked at yet; a round "
            f"takes at most {evidence.batch}. At most {evidence.most_rounds} rounds are allowed, "
            f"and the next is round {evidence.round}."
        ),
    ]


def _money(evidence: BudgetEvidence) -> Fact:
    left = usd(evidence.remaining)
    parts = [f"{left} are left."]
    if evidence.asks_people:
        if evidence.human_label_usd > 0:
            pays = int(evidence.remaining / evidence.human_label_usd)
            price = usd(evidence.human_label_usd)
            parts.append(f"They pay for {counted(pays, 'answer')} of people, at {price} each.")
            rounds = evidence.most_rounds - evidence.round
            if rounds > 0 and pays:
                parts.append(
                    f"Shared out over the {counted(rounds, 'round')} left, that is "
                    f"{counted(-(-pays // rounds), 'answer')} a round; what is left over at the "
                    "end buys nothing."
                )
        else:
            parts.append("Answers of people cost nothing.")
    else:
        parts.append("Nobody can be asked.")
    if evidence.uses_llm and evidence.llm_example_usd > 0:
        pays = int(evidence.remaining / evidence.llm_example_usd)
        price = usd(evidence.llm_example_usd)
        parts.append(f"Or for {counted(pays, 'label')} of the language model, at {price} each.")
    elif evidence.uses_llm:
        parts.append("The language model's labels cost nothing.")
    bought, full = labels_bought(evidence), min(evidence.batch, evidence.pool_left)
    denies = _MONEY if bought == 0 else _NO_MONEY
    if full:
        # One label each, the cheapest way.
        does = "pays" if bought >= full else "does not pay"
        parts.append(f"The money {does} for labels of a full batch of {full}.")
        denies += f"|{_TOO_LITTLE}" if bought >= full else ""
    return Fact(" ".join(parts), denies=denies)


def _labels(evidence: BudgetEvidence) -> list[Fact]:
    total = sum(evidence.labels.values())
    if not total:
        return [Fact("Nothing is labelled yet.")]
    thin = thin_classes(evidence.labels)
    words = f"{counted(total, 'label')} to learn from, over {len(evidence.labels)} classes."
    if thin:
        shown = ", ".join(f"{name_as_data(name)} {evidence.labels[name]}" for name in thin[:5])
        words += f" Far below an equal share of {total / len(evidence.labels):.0f}: {shown}."
    else:
        words += " No class is thin."
    if evidence.may_generate:
        words += f" New texts may be written. The last round did: {evidence.last_phase or '-'}."
    return [Fact(words)]


def _curve(evidence: BudgetEvidence) -> Fact:
    if evidence.plateau:
        return Fact(f"The curve has levelled off: {evidence.plateau_reason}", denies=_RISING)
    why = evidence.plateau_reason or "too few rounds were measured"
    return Fact(f"The curve has not levelled off: {why}", denies=_FLAT)


def _past(evidence: BudgetEvidence) -> list[Fact]:
    found = []
    rounds = evidence.past
    for before, done in itertools.pairwise(rounds):
        if (gain := gain_of(before, done)) is None:
            continue
        found.append(
            Fact(
                f"Round {done.round} ({done.phase}) cost {usd(done.usd - before.usd)}, added "
                f"{counted(done.labelled - before.labelled, 'label')} and changed quality by "
                f"{points(gain.points)}, {gain.words}."
            )
        )
    return found[-_NAMED_ROUNDS:] + _last(rounds)


def _last(rounds: Sequence[PastRound]) -> list[Fact]:
    if not rounds or rounds[-1].metric is None:
        return []
    last = rounds[-1]
    error = "" if last.error is None else f", plus or minus {100 * last.error:.1f} points"
    return [Fact(f"Quality stands at {last.metric:.1%}{error}, measured on {last.measured_on}.")]


def _limits(evidence: BudgetEvidence) -> Mapping[str, Mapping[str, Any]]:
    most = min(evidence.batch, evidence.pool_left)
    actions = ["select", *(["generate"] if evidence.may_generate else [])]
    questions = most if evidence.asks_people else 0
    if evidence.asks_people and evidence.human_label_usd > 0:
        questions = min(most, int(evidence.remaining / evidence.human_label_usd))
    return {
        "action": {"enum": [*actions, *(["finish"] if evidence.round > 0 else [])]},
        "batch": steps_within(min(least_batch(evidence), most), most),
        "questions": steps_within(0, questions),
    }


def _stop(evidence: BudgetEvidence, given: Mapping[str, Any]) -> str:
    """Name the rule by which a mind that finishes does so; whether it fired is checked."""
    if given.get("action") != "finish":
        return ""
    return "plateau" if evidence.plateau else "budget"


def _audits(evidence: BudgetEvidence, given: Mapping[str, Any]) -> int:
    """Measure as the rules do: what a mind is judged by is not its own to set."""
    questions = given.get("questions")
    return audits_of(evidence, questions) if isinstance(questions, int) else 0


def _settled(evidence: BudgetEvidence) -> str:
    if evidence.stop_command:
        return "a person said stop"
    if evidence.wanted_answers:
        return "answers of people are waited for"
    if evidence.round >= evidence.most_rounds > 0 and evidence.round > 0:
        return "all rounds are done"
    if evidence.round == 0:
        return "the first sample measures all that comes after, so its size is computed"
    if evidence.pool_left == 0:
        return "every text of the pool was looked at"
    return "" if labels_bought(evidence) else "the money does not pay for a label"


BRIEF: Brief[BudgetEvidence, Plan] = Brief(
    SPEC,
    duty=_DUTY,
    facts=_facts,
    limits=_limits,
    derived={"stop": _stop, "audits": _audits},
    settled=_settled,
)
"""How the budget controller's decisions are put to a mind."""
