"""Find what a person wants with few questions (Piriyakulkij, Kuleshov & Ellis, 2023).

Not a query strategy: it asks a person about themselves, not about the pool. The language model
proposes questions and guesses, for every item, what somebody who wants it would answer; the
question that tells most about the wish is asked.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np

from querist.agents.models.port import ChatReply
from querist.agents.prompts.selection_tables import judge_item, propose_questions
from querist.agents.selector.advice.advisor import Advisor, Reply
from querist.agents.selector.advice.replies import read_object
from querist.agents.selector.advice.yes_no import ask_yes_no
from querist.memory.errors import InvalidInput
from querist.tools.compute.arrays import FloatArray

_CERTAINTY = 0.95
"""A judge is believed no more than this (1 - epsilon): an over-sure one ends every doubt."""
_BULLET = re.compile(r"^[\s\d.)*\-]+")


class PreferenceInference:
    """Bayesian twenty questions over items that are described in words."""

    def __init__(
        self,
        items: Sequence[str],
        *,
        advisor: Advisor,
        kind: str = "items",
        proposals: int = 6,
        enough: float = 0.9,
        turns: int = 10,
    ) -> None:
        """Stop at probability `enough`, or after `turns` questions; all items are likely alike."""
        if not items:
            raise InvalidInput("There are no items to choose among.")
        self._items, self._advisor = tuple(items), advisor
        self._kind, self._proposals = kind, proposals
        self._enough, self._turns = enough, turns
        self._beliefs = np.full(len(items), 1 / len(items))
        self._judged: dict[str, FloatArray] = {}
        self._answered: list[tuple[str, float]] = []
        self._open: str | None = None
        self.trouble = ""
        """Why there are no more questions although more would help; empty otherwise."""

    def next_question(self) -> str | None:
        """Propose, judge and choose; costs one call, and one for each new question and item."""
        if self._beliefs.max() >= self._enough or len(self._answered) >= self._turns:
            return None
        self._advisor.start()
        questions = self._propose()
        self._judge([question for question in questions if question not in self._judged])
        self.trouble = self._advisor.close()
        known = [question for question in questions if question in self._judged]
        if not known:
            self.trouble = self.trouble or "the model proposed no question that is new"
            return None
        worth = [expected_information(self._beliefs, self._judged[question]) for question in known]
        self._open = known[int(np.argmax(worth))]
        return self._open

    def observe(self, answer: float, /) -> None:
        """Update by the answer to the last question; raises InvalidInput if there is none."""
        if self._open is None:
            raise InvalidInput("There is no open question; call next_question first.")
        self._beliefs = update(self._beliefs, self._judged[self._open], answer)
        self._answered.append((self._open, answer))
        self._open = None

    def posterior(self) -> FloatArray:
        """Tell how likely each item is the wanted one: (n,)."""
        return self._beliefs.copy()

    def best(self) -> str:
        """Name the most likely item."""
        return self._items[int(self._beliefs.argmax())]

    def _propose(self) -> list[str]:
        asked = [(earlier, "yes" if answer > 0.5 else "no") for earlier, answer in self._answered]
        # The likeliest items first, and only as many as a prompt bears.
        order = np.argsort(-self._beliefs, kind="stable")[:40]
        request = propose_questions(
            [self._items[row][:200] for row in order],
            asked,
            kind=self._kind,
            count=self._proposals,
            sample=len(self._answered),
        )
        # Asked twice, a question would count twice, and feign certainty.
        seen = {_plain(earlier) for earlier, _ in self._answered}
        fresh: list[str] = []
        for question in read_questions(self._advisor.ask_one(request)):
            if _plain(question) not in seen:
                seen.add(_plain(question))
                fresh.append(question)
        return fresh[: self._proposals]

    def _judge(self, questions: Sequence[str]) -> None:
        """Ask what each item's buyer would say; a question with a gap is not used."""
        requests = [judge_item(item, question) for question in questions for item in self._items]
        said = ask_yes_no(requests, advisor=self._advisor).probabilities
        rows = said.reshape(len(questions), len(self._items))
        for question, row in zip(questions, rows, strict=True):
            if np.isfinite(row).all():
                self._judged[question] = np.clip(row, 1 - _CERTAINTY, _CERTAINTY)


def expected_information(beliefs: FloatArray, yes: FloatArray) -> float:
    """Give the information in nats that an answer brings about the item.

    `beliefs` (n,) are probabilities of items, `yes` (n,) those of a yes for each. H of the expected
    answer minus the expected H: the expected fall of the posterior's entropy, and also the expected
    divergence of the posterior from the prior.
    """
    return float(_binary(beliefs @ yes) - beliefs @ _binary(yes))


def update(beliefs: FloatArray, yes: FloatArray, answer: float) -> FloatArray:
    """Take an answer into account; between 0 and 1 it mixes the two posteriors."""
    parts = [beliefs * yes, beliefs * (1 - yes)]
    after = [part / part.sum() if part.sum() > 0 else beliefs for part in parts]
    return np.asarray(answer * after[0] + (1 - answer) * after[1])


def read_questions(reply: Reply) -> list[str]:
    """Find questions in a reply: a JSON list of them, else every line that is one."""
    if not isinstance(reply, ChatReply):
        return []
    listed = (read_object(reply) or {}).get("questions")
    if isinstance(listed, list):
        lines = [line for line in listed if isinstance(line, str)]
    else:
        lines = [line for line in reply.text.splitlines() if line.rstrip().endswith("?")]
    return [text for line in lines if (text := _BULLET.sub("", line).strip()[:200])]


def _plain(question: str) -> str:
    """Write a question so that the same one is equal however it is spelt."""
    return " ".join(re.findall(r"\w+", question.casefold()))


def _binary(p: FloatArray | float) -> FloatArray:
    p = np.asarray(p, dtype=np.float64)
    inside = np.clip(p, 1e-300, 1.0), np.clip(1 - p, 1e-300, 1.0)
    return np.asarray(-(p * np.log(inside[0]) + (1 - p) * np.log(inside[1])))
