"""Gates against copies: of seeds, of what was written before, and of the files of a test."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from querist.memory.errors import InvalidInput
from querist.memory.extras import need
from querist.tools.gates.port import Candidate, Finding, Setting, gate
from querist.tools.registry import Count, Share

_PASSED = Finding(passed=True)
_WORD = re.compile(r"\w+")
_SHOWN = 60
_SHORTEST = 4
"""Words of a test text that gives it away inside a longer row: fewer are phrases of anybody."""


@gate("exact", summary="No row says the same as a seed or an earlier row.", cost="nothing")
class Exact:
    """Compares words; case, blanks and punctuation do not count."""

    rank = 5
    remedy = "give other or more seeds, attributes or methods: the writer repeats itself"

    def check(self, candidates: Sequence[Candidate], setting: Setting, /) -> list[Finding]:
        """Compare with all that is known, and with the candidates before."""
        known: list[tuple[str, ...]] = setting.memo.setdefault("exact", [])
        known += map(_words, _later(setting, len(known)))
        seen = set(known)
        findings = []
        for candidate in candidates:
            words = _words(candidate.text)
            is_new = words not in seen
            seen.add(words)
            reason = f"says the same as a known row: {_cut(candidate.text)}"
            findings.append(_PASSED if is_new else Finding(passed=False, reason=reason))
        return findings


@gate(
    "minhash",
    summary="No row shares most of its word triples with a known one.",
    cost="about a millisecond a row",
    citation="Broder, On the resemblance and containment of documents, 1997",
    explanation="Estimated Jaccard likeness of word triples. Texts of under some 40 words want "
    "run=1, single words: a changed word changes three triples, which are many of few. Needs "
    "querist[gates].",
)
class MinHash:
    """Finds near-copies by MinHash and locality-sensitive hashing."""

    rank = 6

    def __init__(self, *, at: Share = 0.7, permutations: Count = 128, run: Count = 3) -> None:
        """`at` is the likeness above which a row is a copy; `run` is the words that are a piece."""
        self._tools: Any = need("datasketch", extra="gates")
        self._at, self._permutations, self._run = at, permutations, run
        # Both take longer to make than to use, and are the same for every text and every wave.
        self._empty: Any = self._tools.MinHash(num_perm=permutations, seed=1)
        # The index only finds likely ones; their own sketches say how alike they are.
        index = self._tools.MinHashLSH(
            threshold=min(0.99, max(0.05, at - 0.1)), num_perm=permutations
        )
        self._bands = (index.b, index.r)
        self._key = f"minhash {at} {permutations} {run}"
        self.remedy = f"raise minhash(at={at}), or give more to write about"

    def check(self, candidates: Sequence[Candidate], setting: Setting, /) -> list[Finding]:
        """Compare with all that is known, and with the candidates before that passed."""
        known, wave = self._known(setting), self._new_index()
        findings = []
        for candidate in candidates:
            sketch = self._sketch(candidate.text)
            likeness, text = max(known.nearest(sketch), wave.nearest(sketch))
            if likeness >= self._at:
                reason = f"much like a known row: {_cut(text)}"
                findings.append(Finding(passed=False, reason=reason, score=likeness))
                continue
            findings.append(Finding(passed=True, score=likeness))
            wave.add(candidate.text, sketch)
        setting.memo[f"{self._key} of the last wave"] = wave.sketches()
        return findings

    def _known(self, setting: Setting) -> _Index:
        """Index seeds and accepted rows; what was indexed for an earlier wave stays."""
        index: _Index = setting.memo.setdefault(self._key, self._new_index())
        made = setting.memo.get(f"{self._key} of the last wave", {})
        for text in _later(setting, len(index)):
            index.add(text, made.get(text) or self._sketch(text))
        return index

    def _new_index(self) -> _Index:
        return _Index(self._tools.MinHashLSH(num_perm=self._permutations, params=self._bands))

    def _sketch(self, text: str) -> Any:
        sketch = self._empty.copy()
        sketch.update_batch([piece.encode() for piece in _pieces(text, self._run)])
        return sketch


class _Index:
    """Texts by their sketches."""

    def __init__(self, index: Any) -> None:
        self._index = index
        self._known: list[tuple[str, Any]] = []

    def __len__(self) -> int:
        return len(self._known)

    def add(self, text: str, sketch: Any) -> None:
        """Take a text in."""
        self._index.insert(str(len(self._known)), sketch)
        self._known.append((text, sketch))

    def sketches(self) -> dict[str, Any]:
        """Give the sketches by text."""
        return dict(self._known)

    def nearest(self, sketch: Any) -> tuple[float, str]:
        """Give the highest likeness of what is likely alike, and its text; 0 for none."""
        found = (self._known[int(key)] for key in self._index.query(sketch))
        return max(((other.jaccard(sketch), text) for text, other in found), default=(0.0, ""))


def _later(setting: Setting, count: int) -> list[str]:
    """List what is known beyond the first `count`: seeds first, then rows as they are accepted."""
    seeds = len(setting.seeds)
    first = list(setting.seeds[count:]) if count < seeds else []
    return first + list(setting.accepted[max(0, count - seeds) :])


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
        texts: list[str] = setting.memo.setdefault("embedded texts", [])
        parts: list[NDArray[np.float32]] = setting.memo.setdefault("embedded", [])
        if news := _later(setting, len(texts)):
            parts[:] = [np.concatenate([*parts, setting.embed(news)])]
            texts += news
        vectors = setting.embed([candidate.text for candidate in candidates])
        among = vectors @ vectors.T
        passed: list[int] = []
        findings = []
        for place, vector in enumerate(vectors):
            nearest, text = 0.0, ""
            if texts:
                likeness = parts[0] @ vector
                best = int(np.argmax(likeness))
                nearest, text = float(likeness[best]), texts[best]
            if passed:
                closest = passed[int(np.argmax(among[place, passed]))]
                if among[place, closest] > nearest:
                    nearest, text = float(among[place, closest]), candidates[closest].text
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
    explanation="A run of `words` equal words, or the whole of a shorter text; one of under "
    f"{_SHORTEST} words only where the row says nothing else. It finds copying, not knowing: "
    "a test text told in other words passes.",
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
        # The lengths that test texts have: a shorter one may stand anywhere in a row.
        sizes = sorted({len(run) for run in known if len(run) >= min(self._words, _SHORTEST)})
        findings = []
        for candidate in candidates:
            runs = self._read(candidate.text, sizes)
            shared = next((run for run in runs if run in known), None)
            reason = f"gives a test text away: {' '.join(shared)}" if shared else ""
            findings.append(Finding(passed=shared is None, reason=reason))
        return findings

    def _read(self, text: str, sizes: Iterable[int]) -> Iterable[tuple[str, ...]]:
        words = _words(text)
        yield words  # a whole test text, however short
        for size in sizes:
            yield from _runs(words, size)


def _runs(words: tuple[str, ...], size: int) -> list[tuple[str, ...]]:
    if len(words) <= size:
        return [words] if words else []
    return [words[start : start + size] for start in range(len(words) - size + 1)]


def _words(text: str) -> tuple[str, ...]:
    return tuple(_WORD.findall(text.casefold()))


def _pieces(text: str, size: int) -> set[str]:
    words = _words(text)
    return {" ".join(run) for run in _runs(words, size)} or {text}


def _cut(text: str) -> str:
    return repr(text if len(text) <= _SHOWN else f"{text[: _SHOWN - 1]}…")
