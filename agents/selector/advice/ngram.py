"""A small n-gram language model trained on the pool itself: how usual a text is worded."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Sequence

import numpy as np

from querist.tools.compute.arrays import FloatArray

_TOKEN = re.compile(r"\w+|[^\w\s]")
_START = "\x02"
_END = "\x03"


class NgramModel:
    """Counts of up to `order` words, each order backing off to the next shorter one.

    p(w | h) = (c(h w) + s p(w | h')) / (c(h) + s), with h' one word shorter, down to an even chance
    for every known word and one unknown (Dirichlet smoothing; MacKay & Peto, 1995).
    """

    def __init__(self, texts: Sequence[str], *, order: int = 5, strength: float = 2.0) -> None:
        """Train on texts; `strength` is how many counts the shorter history is worth."""
        self._order, self._strength = order, strength
        self._grams: Counter[tuple[str, ...]] = Counter()
        self._histories: Counter[tuple[str, ...]] = Counter()
        words: set[str] = {_END}
        for text in texts:
            tokens = _split(text)
            words.update(tokens)
            grams = _grams(tokens, order)
            self._grams.update(grams)
            self._histories.update(gram[:-1] for gram in grams)
        self._even = 1.0 / (len(words) + 1)

    def perplexity(self, text: str, *, is_own: bool = False) -> float:
        """Give exp(-mean log p) over the words and the end; `is_own` leaves the text's counts out.

        A text that the model was trained on would otherwise look usual because of itself.
        """
        tokens = _split(text)
        own = Counter(_grams(tokens, self._order)) if is_own else Counter()
        before = Counter[tuple[str, ...]]()
        for gram, count in own.items():
            before[gram[:-1]] += count
        line = [_START, *tokens, _END]
        total = 0.0
        for place in range(1, len(line)):
            p = self._even
            for length in range(min(self._order, place + 1)):
                gram = tuple(line[place - length : place + 1])
                seen = self._grams[gram] - own[gram]
                history = self._histories[gram[:-1]] - before[gram[:-1]]
                p = (seen + self._strength * p) / (history + self._strength)
            total += math.log(p)
        return math.exp(-total / (len(line) - 1))


def pool_perplexities(texts: Sequence[str], *, order: int = 5) -> FloatArray:
    """Score each text by a model of all the others: (N,)."""
    model = NgramModel(texts, order=order)
    return np.array([model.perplexity(text, is_own=True) for text in texts])


def _split(text: str) -> list[str]:
    """Split into lower-case words and marks."""
    return _TOKEN.findall(text.casefold())


def _grams(tokens: Sequence[str], order: int) -> list[tuple[str, ...]]:
    line = [_START, *tokens, _END]
    return [
        tuple(line[place - length : place + 1])
        for place in range(1, len(line))
        for length in range(min(order, place + 1))
    ]
