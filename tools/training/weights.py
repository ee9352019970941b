"""The files under a model folder: what a trainer saved, and the `config.json` that vouches for it.

Each save writes a folder of its own, and `config.json`, replaced last and whole, names it. So what
is read belongs together, whenever the writer was killed.
"""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import uuid
from pathlib import Path, PurePosixPath
from typing import Any, TypedDict

from querist.memory.errors import InvalidInput
from querist.tools.training.port import Predictor
from querist.tools.wording import listed

CONFIG = "config.json"
FORMAT = 2
"""1: a linear head in `head.npz` beside the configuration."""
_FOLDER = re.compile(r"weights-[0-9a-f]{12}")
_OLD_HEAD = "head.npz"
_KEYS = {"format", "task", "embedder", "facts", "created"}


class Weights(TypedDict):
    """What a trainer saved: where, and the SHA-256 of each file."""

    folder: str
    files: dict[str, str]


def save_weights(folder: Path, predictor: Predictor) -> Weights:
    """Let a predictor write its files, and note what they are."""
    # A name that no other save has: nothing is overwritten before the configuration is.
    name = f"weights-{uuid.uuid4().hex[:12]}"
    target = folder / name
    target.mkdir()
    predictor.save(target)
    files = sorted(path for path in target.rglob("*") if path.is_file())
    return Weights(
        folder=name,
        files={path.relative_to(target).as_posix(): _sha256(path) for path in files},
    )


def drop_weights(folder: Path, *, kept: str) -> None:
    """Delete what earlier saves left behind."""
    for path in folder.glob("weights-*"):
        # Only names that a save of ours gives, and no links: a user's files may lie beside them.
        if path.name != kept and _FOLDER.fullmatch(path.name) and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)
    (folder / _OLD_HEAD).unlink(missing_ok=True)


def open_weights(folder: Path, config: dict[str, Any]) -> Path:
    """Give the folder that a trainer loads from, once every file in it is the one that was saved.

    Raises `InvalidInput` for files that are missing, damaged or not this model's.
    """
    weights = config["weights"]
    name, files = str(weights["folder"]), weights["files"]
    # A folder from elsewhere must not name files outside it.
    is_ours = name == "." or _FOLDER.fullmatch(name)
    if not is_ours or any(not _is_inside(file) for file in files):
        raise InvalidInput(f"{folder / CONFIG} names files outside its folder; do not trust it.")
    for file, checksum in files.items():
        path = folder / name / file
        if _sha256(path) != checksum:
            raise InvalidInput(
                f"{path} is not the one that {CONFIG} was written with. Copy the whole folder "
                "again, or let the run write it anew: querist resume"
            )
    return folder / name


def read_config(folder: Path) -> dict[str, Any]:
    """Read what a model folder says of itself; raises `InvalidInput` where it is none."""
    path = folder / CONFIG
    if not path.is_file():
        raise InvalidInput(
            f"There is no model in {folder}: it has no {CONFIG}. Name the folder that a run wrote "
            "(querist status RUN tells it), or a run that has trained one."
        )
    try:
        config = json.loads(_bytes(path))
        missing = _KEYS - set(config)
    except (ValueError, TypeError) as error:
        raise InvalidInput(f"{path} is not valid JSON ({error}).") from error
    if not missing and config["format"] == 1:
        missing = {"head_sha256"} - set(config)
        # Format 1 knew one trainer and one file; so it reads as a folder of that.
        config["trainer"] = "linear"
        config["weights"] = {"folder": ".", "files": {_OLD_HEAD: config.get("head_sha256")}}
    elif not missing and config["format"] > FORMAT:
        raise InvalidInput(
            f"{folder} was written by a newer Querist ({config['querist']}). Upgrade with: "
            "pip install -U querist"
        )
    missing |= {"trainer", "weights"} - set(config) if not missing else set()
    if missing:
        raise InvalidInput(f"{path} is no Querist model: {listed(sorted(missing))} missing.")
    result: dict[str, Any] = config
    return result


def _is_inside(name: str) -> bool:
    path = PurePosixPath(name)
    # A backslash separates folders on Windows, where the model may be read.
    return not path.is_absolute() and ".." not in path.parts and "\\" not in name


def _sha256(path: Path) -> str:
    try:
        with path.open("rb") as body:
            return hashlib.file_digest(body, "sha256").hexdigest()
    except OSError as error:
        raise InvalidInput(f"{path} cannot be read ({error.strerror or error}).") from error


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise InvalidInput(f"{path} cannot be read ({error.strerror or error}).") from error
