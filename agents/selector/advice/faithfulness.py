"""How faithful a summary is to its document: three measures, each from 0 to 1, higher is better.

HADAS measures with trained models (FactKB, UniEval, BERTScore). These are light stand-ins by words
alone, so that the method runs without them; any function of the same shape takes their place.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import pairwise
from typing import Protocol

import numpy as np

from querist.tools.compute.arrays import FloatArray

_WORD = re.compile(r"\w+")
_SENTENCE = re.compile(r"[^.!?]+[.!?]*")
_NUMBER = re.compile(r"\d[\d.,]*")
_NAME = re.compile(r"(?<![.!?]\s)(?<!^)\b[A-Z]\w+")
_NOT = {"not", "no", "never", "none", "without", "n't", "cannot"}
_COMMON = frozenset(
    # What says nothing about the subject.
    re.split(
        r"\s+",
        "a an and are as at be by for from has have in is it its of on or that the this to was "
        "were will with which who their they he she his her but if",
    )
)


class Measure(Protocol):
    """A faithfulness measure."""

    def __call__(self, documents: Sequence[str], summaries: Sequence[str], /) -> FloatArray:
        """Score each summary against its document: (N,), in [0, 1]."""


def frame_support(documents: Sequence[str], summaries: Sequence[str], /) -> FloatArray:
    """Share of a summary's names, numbers and negations that its document has.

    Stands in for an entailment model (FactKB): those are what makes a statement false soonest.
    """
    return np.array([_frame(d, s) for d, s in zip(documents, summaries, strict=True)])


def coherence(documents: Sequence[str], summaries: Sequence[str], /) -> FloatArray:
    """How much a summary reads like one: it ends, does not repeat itself, keeps to its subject.

    Stands in for a learned judge of coherence and fluency (UniEval).
    """
    del documents
    return np.array([_coherence(summary) for summary in summaries])


def lexical_precision(documents: Sequence[str], summaries: Sequence[str], /) -> FloatArray:
    """Mean over a summary's words of how near the nearest word of its document is.

    Stands in for BERTScore precision, with letter trigrams instead of embeddings.
    """
    return np.array([_precision(d, s) for d, s in zip(documents, summaries, strict=True)])


MEASURES: tuple[Measure, Measure, Measure] = (frame_support, coherence, lexical_precision)


def _frame(document: str, summary: str) -> float:
    words = set(_words(document))
    claims = [number.strip(".,") for number in _NUMBER.findall(summary)]
    known = {number.strip(".,") for number in _NUMBER.findall(document)}
    found = [claim in known for claim in claims]
    found += [name.casefold() in words for name in _NAME.findall(summary)]
    negated = [word for word in _words(summary) if word in _NOT]
    found += [bool(words & _NOT) for _ in negated]
    content = [word for word in _words(summary) if word not in _COMMON]
    if not content:
        return 0.0
    # Half by what is claimed, half by what is talked about, so that no claims are no perfection.
    talk = sum(word in words for word in content) / len(content)
    return (sum(found) / len(found) + talk) / 2 if found else talk


def _coherence(summary: str) -> float:
    sentences = [_words(sentence) for sentence in _SENTENCE.findall(summary) if _words(sentence)]
    if not sentences:
        return 0.0
    words = _words(summary)
    pairs = list(pairwise(words))
    fresh = len(set(pairs)) / len(pairs) if pairs else 1.0
    ends = float(summary.rstrip()[-1:] in ".!?")
    links = [
        float(bool(set(sentence) & set(other) - _COMMON)) for sentence, other in pairwise(sentences)
    ]
    linked = float(np.mean(links)) if links else 1.0
    return (fresh + ends + linked) / 3


def _precision(document: str, summary: str) -> float:
    words = [word for word in _words(summary) if word not in _COMMON]
    if not words:
        return 0.0
    known = {word: _trigrams(word) for word in set(_words(document))}
    return float(np.mean([1.0 if word in known else _nearest(word, known) for word in words]))


def _nearest(word: str, known: dict[str, set[str]]) -> float:
    mine = _trigrams(word)
    return max(
        (2 * len(mine & words) / (len(mine) + len(words)) for words in known.values()), default=0
    )


def _trigrams(word: str) -> set[str]:
    padded = f"<{word}>"
    return {padded[start : start + 3] for start in range(max(1, len(padded) - 2))}


def _words(text: str) -> list[str]:
    return [word.casefold() for word in _WORD.findall(text.replace("n't", " not"))]
