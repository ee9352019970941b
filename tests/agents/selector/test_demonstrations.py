"""AL-Principle: similarity, diversity, perplexity."""

import math

import numpy as np
import pytest

from querist.agents.models.port import ChatReply, Usage
from querist.agents.selector.strategies.demonstrations import (
    al_diversity,
    al_perplexity,
    al_perplexity_low,
    al_similarity,
    al_similarity_union,
    perplexity,
)


def test_copies_of_a_target_come_first(make_pool):
    pool = make_pool()
    target = pool.context(targets=("x",)).targets().embeddings[0]
    vectors = np.array(list(pool.vectors.values()))
    vectors[5], vectors[2] = target, target
    context = pool.context(embeddings=vectors, targets=("x",))
    assert set(al_similarity().query(context, 2).indices) == {2, 5}
    union = al_similarity_union().query(context, 2)
    assert set(union.indices) == {2, 5}
    assert union.diagnostics["uses_targets"]


def test_the_union_gives_every_target_its_nearest_and_tells_the_cost(make_pool):
    pool = make_pool()
    context = pool.context(targets=("x", "y", "z"))
    near = (context.embeddings() @ context.targets().embeddings.T).argmax(axis=0)
    result = al_similarity_union(each=1).query(context, 3)
    assert set(near) <= set(result.indices)
    assert result.diagnostics["union_size"] == len(set(near))


def test_diversity_takes_one_text_of_each_blob(make_pool):
    rng = np.random.default_rng(0)
    blobs = [np.eye(3)[place] + rng.normal(0, 0.02, 3) for place in (0, 0, 0, 1, 1, 2, 2, 2)]
    picked = al_diversity().query(make_pool().context(embeddings=np.array(blobs)), 3).indices
    assert sorted({0: 0, 1: 0, 2: 0, 3: 1, 4: 1}.get(row, 2) for row in picked) == [0, 1, 2]


def reader(request):
    assert request.look == "input"
    place = len(request.messages[-1].content)
    return ChatReply("", Usage(4, 0), input_tokens=(-1.0, -place / 10))


def test_perplexity_ranks_by_the_mean_log_probability(make_pool, scripted):
    assert perplexity([-1.0, -3.0]) == pytest.approx(math.exp(2))
    texts = ["a" * n for n in (5, 20, 10, 40)]
    high = al_perplexity().query(make_pool(texts).context(scripted(reader)), 2)
    low = al_perplexity_low().query(make_pool(texts).context(scripted(reader)), 2)
    assert list(high.indices) == [3, 1]
    assert list(low.indices) == [0, 2]
    assert high.diagnostics["perplexities"]["t3"] == pytest.approx(math.exp(2.5))


def test_a_model_that_cannot_tell_is_not_asked(make_pool, scripted):
    advisor = scripted(lambda _: pytest.fail("no call"), looks=("first_token",))
    texts = ["the same words"] * 6 + ["zebra quantum flute"]
    result = al_perplexity().query(make_pool(texts).context(advisor), 1)
    assert result.indices[0] == 6
    assert "n-gram" in result.diagnostics["perplexity_from"]


@pytest.mark.slow
def test_the_embedded_model_finds_scrambled_words_less_likely(make_pool, local_advisor):
    texts = ["The cat sat on the mat.", "Thank you very much.", "mat the zqx on sat flute cat The"]
    result = al_perplexity().query(make_pool(texts).context(local_advisor), 1)
    assert result.indices[0] == 2
    assert result.diagnostics["perplexity_from"] == "language model"
