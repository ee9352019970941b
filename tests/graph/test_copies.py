"""What counts as a copy of what was written before."""

from types import SimpleNamespace

import pytest

from querist.graph.round.generate import known_text_test
from querist.tools.embedding.embedders import HashingEmbedder


@pytest.mark.parametrize("at", [0.95, 1.0])
def test_the_same_text_is_a_copy_even_where_only_equals_are(at):
    texts = [f"The heating in flat {number} is cold, number {number}." for number in range(40)]
    embedder = HashingEmbedder()
    view = SimpleNamespace(ids=texts, vectors=embedder.embed(texts), embedder=embedder)
    is_copy = known_text_test(view, number=1, at=at)
    assert all(is_copy(text) for text in texts)
    assert not is_copy("Who pays for the lift?")
    assert is_copy("Who pays for the lift?")
