"""Gates against copies: of seeds, of what was written before, and of the files of a test."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from querist.memory.errors import InvalidInput
from querist.memory.extras import need
from querist.tools.gates.port import Candidate, Finding, Setting, gate
from querist.tools.registry import Count, Share

_PASSED = Finding(passed=True)
_WORD = re.compile(r"\w+")
_SHOWN = 60


@gate("exact", summary="No row says the same as a seed or an earlier row.", cost="nothing")
class Exact:
    """Compares words; case, blanks and punctuation do not count."""

    rank = 5
    remedy = "give other or more seeds, attributes or methods: the writer repeats itself"

    def check(self, candidates: Sequence[Candidate], setting: Setting, /) -> list[Finding]:
        """Compare with all that is known, and with the candidates before."""
        known = {_words(text) for text in (*setting.seeds, *setting.accepted)}
        findings = []
        for candidate in candidates:
            words = _words(candidate.text)
            is_new = words not in known
            known.add(words)
            reason = f"says the same as a known row: {_cut(candidate.text)}"
            findings.append(_PASSED if is_new else Finding(passed=False, reason=reason))
        return findings


@gate(
    "minhash",
    summary="No row shares most of its word triples with a known one.",
    cost="about a millisecond a row",
    citation="Broder, On the resemblance and containment of documents, 1997",
    explanation="Estimated Jaccard likeness of word triples. Not for texts of under ten words, "
    "where one changed word changes three triples of few. Needs querist[gates].",
)
class MinHash:
    """Finds near-copies by MinHash and locality-sensitive hashing."""

    rank = 6

    def __init__(self, *, at: Share = 0.7, permutations: Count = 128) -> None:
        """`at` is the Jaccard likeness above which a row is a copy."""
        self._tools: Any = need("datasketch", extra="gates")
        self._at, self._permutations = at, permutations
        self.remedy = f"raise minhash(at={at}), or give more to write about"

    def check(self, candidates: Sequence[Candidate], setting: Setting, /) -> list[Finding]:
        """Compare with all that is known, and with the candidates before that passed."""
        index = self._tools.MinHashLSH(
            threshold=min(0.99, max(0.05, self._at - 0.1)), num_perm=self._permutations
        )
        known: list[tuple[str, Any]] = []
        for text in (*setting.seeds, *setting.accepted):
            self._add(index, known, text, self._sketch(text, setting))
        findings = []
        for candidate in candidates:
            sketch = self._sketch(candidate.text, setting)
            # The index finds likely ones; their own sketches say how alike they are.
            near = [(known[int(key)][1].jaccard(sketch), int(key)) for key in index.query(sketch)]
            likeness, place = max(near, default=(0.0, -1))
            if likeness >= self._at and place >= 0:
                reason = f"much like a known row: {_cut(known[place][0])}"
                findings.append(Finding(passed=False, reason=reason, score=likeness))
                continue
            findings.append(Finding(passed=True, score=likeness))
            self._add(index, known, candidate.text, sketch)
        return findings

    def _add(self, index: Any, known: list[tuple[str, Any]], text: str, sketch: Any) -> None:
        index.insert(str(len(known)), sketch)
        known.append((text, sketch))

    def _sketch(self, text: str, setting: Setting) -> Any:
        memo = setting.memo.setdefault(f"minhash{self._permutations}", {})
        if text not in memo:
            sketch = self._tools.MinHash(num_perm=self._permutations, seed=1)
            sketch.update_batch([piece.encode() for piece in _triples(text)])
            memo[text] = sketch
        return memo[text]


@gate(
    "embedding",
    summary="No row means nearly the same as a known one, by cosine of embeddings.",
    cost="an embedding a row",
    citation="Abbas et al., SemDeDup, 2023",
    explanation="Paraphrases of a seed are near it by design: set `at` high for them.",
)
class Embedding:
    """Compares vectors."""

    rank = 8

    def __init__(self, *, at: Share = 0.93) -> None:
        """`at` is the cosine above which a row is a copy."""
        self._at = at
        self.remedy = f"raise embedding(at={at}), or give more to write about"

    def check(self, candidates: Sequence[Candidate], setting: Setting, /) -> list[Finding]:
        """Compare with all that is known, and with the candidates before that passed."""
        if setting.embed is None:
            raise InvalidInput("The gate embedding needs an embedder.")
        known_texts = [*setting.seeds, *setting.accepted]
        known = setting.embed(known_texts) if known_texts else None
        vectors = setting.embed([candidate.text for candidate in candidates])
        passed: list[int] = []
        findings = []
        for place, vector in enumerate(vectors):
            nearest, text = 0.0, ""
            if known is not None:
                best = int(np.argmax(known @ vector))
                nearest, text = float(known[best] @ vector), known_texts[best]
            for other in passed:
                cosine = float(vectors[other] @ vector)
                if cosine > nearest:
                    nearest, text = cosine, candidates[other].text
            # A text's cosine with its own copy may come out as 0.9999999.
            if nearest >= self._at - 1e-6:
                reason = f"means nearly the same as a known row: {_cut(text)}"
                findings.append(Finding(passed=False, reason=reason, score=nearest))
            else:
                findings.append(Finding(passed=True, score=nearest))
                passed.append(place)
        return findings


@gate(
    "contamination",
    summary="No row shares a long run of words with a text of the named test files.",
    cost="nothing",
    citation="Brown et al., Language Models are Few-Shot Learners, 2020, appendix C",
    explanation="A run of `words` equal words, or the whole of a shorter text. It finds copying, "
    "not knowing: a test text told in other words passes.",
)
class Contamination:
    """Compares runs of words."""

    rank = 7

    def __init__(self, *, words: Count = 8) -> None:
        """`words` is the length of the run."""
        self._words = words
        self.remedy = f"lengthen contamination(words={words}), or leave it out"

    def check(self, candidates: Sequence[Candidate], setting: Setting, /) -> list[Finding]:
        """Look each run up."""
        key = f"contamination{self._words}"
        if key not in setting.memo:
            setting.memo[key] = {
                run for text in setting.tests for run in _runs(_words(text), self._words)
            }
        known = setting.memo[key]
        findings = []
        for candidate in candidates:
            shared = next((run for run in self._read(candidate.text) if run in known), None)
            reason = f"gives a test text away: {' '.join(shared)}" if shared else ""
            findings.append(Finding(passed=shared is None, reason=reason))
        return findings

    def _read(self, text: str) -> Iterable[tuple[str, ...]]:
        words = _words(text)
        yield words  # a whole test text that is shorter than a run
        yield from _runs(words, self._words)


def _runs(words: tuple[str, ...], size: int) -> list[tuple[str, ...]]:
    if len(words) <= size:
        return [words] if words else []
    return [words[start : start + size] for start in range(len(words) - size + 1)]


def _words(text: str) -> tuple[str, ...]:
    return tuple(_WORD.findall(text.casefold()))


def _triples(text: str) -> set[str]:
    words = _words(text)
    return {" ".join(run) for run in _runs(words, 3)} or {text}


def _cut(text: str) -> str:
    return repr(text if len(text) <= _SHOWN else f"{text[: _SHOWN - 1]}…")
