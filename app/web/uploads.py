"""Files that people hand in by the browser: kept in the workspace under names of our own.

What a browser calls a file is shown to people, and never used as a path. A request over the API
names an upload, and can name no other file of this machine.

Handing a job in imports what its files hold, so none is read again, whatever becomes of the job.
They are kept for a second job, and then removed.
"""

from __future__ import annotations

import json
import re
import secrets
from collections import defaultdict
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path, PurePosixPath

from querist.memory.errors import InvalidInput, NotFound, StoreError
from querist.memory.records import Job, JobStatus

_ENDINGS = (".jsonl", ".ndjson", ".json", ".csv", ".tsv", ".txt", ".parquet")
_GZIP = b"\x1f\x8b"
_ID = re.compile(r"[0-9a-f]{16}")
_ON_DISK = re.compile(
    r"(?:[^\s'\"]*/)?(?P<id>[0-9a-f]{16})\.(?:jsonl|ndjson|json|csv|tsv|txt|parquet)"
)
_LONGEST = 120
_PREFIX = "upload:"
_UNUSED = timedelta(days=1)
"""For so long a file waits for a job."""
_USED = timedelta(hours=1)
"""For so long a file stays after its last job has ended: the form still shows it."""
_ENDED = frozenset({JobStatus.DONE, JobStatus.CANCELLED})


@dataclass(frozen=True, slots=True)
class Upload:
    """A file that somebody handed in."""

    id: str
    name: str
    """What it was called, for people."""
    path: Path
    size: int


class Uploads:
    """The files of one workspace."""

    def __init__(self, workspace: Path) -> None:
        """Nothing is made before the first file comes."""
        self._folder = workspace / "uploads"

    async def keep(self, name: str, chunks: AsyncIterator[bytes]) -> Upload:
        """Write a file as it comes; raises `InvalidInput` for what is no table of rows."""
        shown = PurePosixPath(name.replace("\\", "/")).name
        shown = "".join(c for c in shown if c.isprintable())[-_LONGEST:]
        ending = PurePosixPath(shown.lower()).suffix
        if ending not in _ENDINGS:
            raise InvalidInput(
                f"{shown or 'The file'} is none of {', '.join(_ENDINGS)}. Save it as one of them; "
                "unpack it first, if it is packed."
            )
        upload = secrets.token_hex(8)
        path = self._folder / f"{upload}{ending}"
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            size = await _write(path, chunks)
            (self._folder / f"{upload}.name").write_text(json.dumps(shown))
        except OSError as error:
            path.unlink(missing_ok=True)
            raise StoreError(
                f"{shown} cannot be kept ({error.strerror or error}). Free some disk space."
            ) from error
        except BaseException:
            path.unlink(missing_ok=True)
            raise
        return Upload(upload, shown, path, size)

    def get(self, upload: str) -> Upload:
        """Find a file; raises `NotFound`."""
        if _ID.fullmatch(upload):
            for path in self._folder.glob(f"{upload}.*"):
                if path.suffix in _ENDINGS:
                    name = json.loads((self._folder / f"{upload}.name").read_text())
                    return Upload(upload, name, path, path.stat().st_size)
        raise NotFound("There is no such file here. Upload it again.")

    def path_of(self, reference: str) -> str:
        """Turn `upload:ID` into a path; raises `InvalidInput` for anything else."""
        if not reference.startswith(_PREFIX):
            raise InvalidInput(
                f"{reference!r} is no uploaded file. Over the web only files that were uploaded "
                "can be read; upload it, or hand the job in with `querist job submit`."
            )
        return str(self.get(reference.removeprefix(_PREFIX)).path.resolve())

    def by_their_names(self, text: str) -> str:
        """Call files in a text what people call them, not what they are called on disk."""

        def name(found: re.Match[str]) -> str:
            try:
                return self.get(found["id"]).name
            except NotFound:
                return found[0]

        return _ON_DISK.sub(name, text)

    def sweep(self, jobs: Iterable[Job], *, now: datetime) -> int:
        """Remove the files that no job needs any more; tell how many."""
        ends: defaultdict[str, list[datetime | None]] = defaultdict(list)
        for job in jobs:
            end = job.changed if job.status in _ENDED else None
            for upload in set(self._named(job.request)):
                ends[upload].append(end)
        old = [path for path in self._files() if _is_over(path, ends[path.stem], now)]
        for path in old:
            path.unlink(missing_ok=True)
        return sum(path.suffix in _ENDINGS for path in old)

    def _files(self) -> list[Path]:
        return list(self._folder.iterdir()) if self._folder.is_dir() else []

    def _named(self, value: object) -> Iterator[str]:
        """Find the files that a job's request names, wherever it names them."""
        if isinstance(value, str):
            path = Path(value)
            if path.parent.name == self._folder.name and _ID.fullmatch(path.stem):
                yield path.stem
        elif isinstance(value, Mapping):
            for part in value.values():
                yield from self._named(part)
        elif isinstance(value, list | tuple):
            for part in value:
                yield from self._named(part)


def _is_over(path: Path, ends: list[datetime | None], now: datetime) -> bool:
    """Tell whether a file has waited long enough; `ends` of its jobs, none of those that go on."""
    if None in ends:
        return False
    try:
        came = datetime.fromtimestamp(path.stat().st_mtime, tz=now.tzinfo)
    except FileNotFoundError:
        return False
    if not ends:
        return now - came > _UNUSED
    return now - max(came, *(end for end in ends if end is not None)) > _USED


async def _write(path: Path, chunks: AsyncIterator[bytes]) -> int:
    size = 0
    with path.open("wb") as stream:
        async for chunk in chunks:
            if size == 0 and chunk.startswith(_GZIP):
                raise InvalidInput("The file is packed. Unpack it first.")
            size += len(chunk)
            stream.write(chunk)
    if size == 0:
        raise InvalidInput("The file is empty.")
    return size
