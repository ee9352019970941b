"""Where the embedded model's weights lie: once a machine, checked, or in the workspace."""

import hashlib
from types import SimpleNamespace

import pytest

from querist.agents.models.providers import packaged
from querist.agents.models.providers.packaged import packaged_weights
from querist.memory.errors import InvalidInput, StoreError


@pytest.fixture
def parts(tmp_path, monkeypatch):
    """A package of two small parts in the place of the embedded model's."""
    files = []
    for number, content in enumerate((b"one ", b"two")):
        files.append(tmp_path / f"part{number}")
        files[-1].write_bytes(content)
    package = SimpleNamespace(MODEL_NAME="tiny.gguf", chunk_paths=lambda: files)
    monkeypatch.setattr(packaged, "need", lambda *_, **__: package)
    digest = hashlib.sha256(b"one two").hexdigest()
    monkeypatch.setattr(packaged, "_PACKAGED_SHA256", digest)
    return files


def test_weights_are_put_together_once_for_all_workspaces(parts, tmp_path, monkeypatch):
    monkeypatch.setenv("QUERIST_CACHE", str(tmp_path / "cache"))
    first = packaged_weights(tmp_path / "a")
    parts[0].write_bytes(b"not read again")
    assert packaged_weights(tmp_path / "b") == first == tmp_path / "cache" / "models" / "tiny.gguf"
    assert first.read_bytes() == b"one two"
    assert not (tmp_path / "a").exists()


def test_weights_lie_in_the_workspace_where_there_is_no_cache(parts, tmp_path, monkeypatch):
    (tmp_path / "cache").write_text("a file stands where the folder would be")
    monkeypatch.setenv("QUERIST_CACHE", str(tmp_path / "cache"))
    assert packaged_weights(tmp_path / "a") == tmp_path / "a" / "tiny.gguf"
    with pytest.raises(StoreError, match=r"cache.*part0.*250 MB.*QUERIST_CACHE"):
        packaged_weights(parts[0])


def test_damaged_weights_are_not_kept(parts, tmp_path, monkeypatch):
    monkeypatch.setenv("QUERIST_CACHE", str(tmp_path / "cache"))
    parts[1].write_bytes(b"other")
    with pytest.raises(InvalidInput, match="SHA-256"):
        packaged_weights(tmp_path / "a")
    assert not list((tmp_path / "cache" / "models").iterdir())
