"""Methods that change a seed: say it otherwise, turn its class around, make more of it."""

from __future__ import annotations

from typing import Literal

from querist.agents.generator.methods.port import Ask, Brief, Need, asking, method, shown_texts

_SEEDS: frozenset[Need] = frozenset({"seeds"})


@method(
    "paraphrase",
    summary="A seed in other words; its label stays.",
    cost="a call for a few rows",
    citation="Dai et al., AugGPT, 2023",
    explanation="Safe labels, little news: the gate embedding rejects most of it below 0.95. Not "
    "where many rows are wanted from few seeds.",
)
class Paraphrase:
    """Shows one seed."""

    needs = _SEEDS

    def ask(self, brief: Brief, /) -> Ask:
        """Ask for other wordings."""
        duty = (
            "Say the same as the row given in other words and in another order, as other people "
            "would have written it. Keep its meaning."
        )
        return asking(brief, duty=duty, source={"row": shown_texts(brief.shown[:1])})


@method(
    "contrast",
    summary="A seed of another class, changed as little as makes it this class.",
    cost="a call for a few rows",
    citation="Kaushik et al., Learning the Difference That Makes a Difference, 2020; Gardner et "
    "al., Evaluating Models' Local Decision Boundaries via Contrast Sets, 2020",
    explanation="Counterfactual pairs against shortcuts. Not without a label check: a small model "
    "often changes nothing, and then the label is wrong.",
)
class Contrast:
    """Shows one seed of the other class."""

    needs: frozenset[Need] = frozenset({"seeds", "labels"})

    def ask(self, brief: Brief, /) -> Ask:
        """Ask for the least change."""
        duty = (
            f"The row given is of the class {brief.other!r}. Change as few words as possible, so "
            f"that it clearly belongs to the class {brief.label!r} instead."
        )
        return asking(brief, duty=duty, source={"row": shown_texts(brief.others[:1])})


@method(
    "evolve",
    summary="A seed made harder: more specific and with one more condition, or a rarer case.",
    cost="a call for a few rows",
    citation="Xu et al., WizardLM (Evol-Instruct), 2023",
    explanation="For instructions and questions. `deeper` adds conditions, `wider` goes to a rarer "
    "case of the same kind. Not for short labelled texts, which get unnatural.",
)
class Evolve:
    """Shows one seed."""

    needs = _SEEDS

    def __init__(self, *, towards: Literal["deeper", "wider"] = "deeper") -> None:
        """`towards` is the direction."""
        self._towards = towards

    def ask(self, brief: Brief, /) -> Ask:
        """Ask for harder rows of the same kind."""
        how = (
            "more specific, with one more condition or one more step"
            if self._towards == "deeper"
            else "about a rarer case of the same kind"
        )
        duty = f"Make a new row out of the one given: {how}. It must stay sensible and short."
        return asking(brief, duty=duty, source={"row": shown_texts(brief.shown[:1])})
