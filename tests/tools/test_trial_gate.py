"""The gate that trains on trial: one verdict a wave, with the measured difference."""

import zlib

import numpy as np
import pytest

from querist.memory.errors import InvalidInput
from querist.tools.gates.port import GATES, Candidate, Setting


def embed(texts):
    """Two directions by the first word, and noise that the text decides."""
    rows = []
    for text in texts:
        rng = np.random.default_rng(zlib.crc32(text.encode()))
        side = 1.0 if text.startswith("good") else -1.0
        row = np.array([side, *rng.normal(size=7) * 0.6])
        rows.append(row / np.linalg.norm(row))
    return np.array(rows, dtype=np.float32)


def setting(count=20):
    labelled = [(f"{name} seed {n}", name) for name in ("good", "bad") for n in range(count)]
    return Setting(labelled=labelled, embed=embed)


def rows(*, right, count=40):
    made = []
    for n in range(count):
        name, other = ("good", "bad") if n % 2 else ("bad", "good")
        text = f"{name} row {n}"
        made.append(Candidate({"text": text}, text, label=name if right else other))
    return made


def test_rows_that_mislead_are_rejected_together_with_the_difference():
    found = GATES.read("trial").check(rows(right=False), setting())
    assert {finding.passed for finding in found} == {False}
    (reason,) = {finding.reason for finding in found}
    assert "training with these 40 rows changes accuracy on 40 seeds by -" in reason
    assert found[0].score < -0.02


def test_rows_that_do_no_harm_pass():
    found = GATES.read("trial").check(rows(right=True), setting())
    assert all(finding.passed for finding in found)
    assert found[0].score >= -0.02


def test_where_nothing_can_be_measured_it_says_so():
    with pytest.raises(InvalidInput, match="at least 10 of two classes or more, and 4 are"):
        GATES.read("trial").check(rows(right=True), setting(count=2))
