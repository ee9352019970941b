"""Which process drives a run, so that another can tell whether it is certainly dead.

A process is known by a random token: host names are the same in many containers, and process ids
repeat. What else is kept of it serves one convenience: on the very machine where a process was
killed, its run can be taken up at once, instead of when its lease has run out.
"""

from __future__ import annotations

import json
import os
import secrets
import socket
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from querist.memory.codec import from_json, to_json

_PROC = Path("/proc")


@dataclass(frozen=True, slots=True)
class Owner:
    """A process, as others may know it."""

    token: str
    host: str = ""
    pid: int = 0
    machine: str = ""
    """The host, its boot, and the namespaces that process ids and start times are counted in;
    empty where the system does not tell, and then nobody can be certain of anything."""
    started: str = ""
    """Clock ticks from the boot to the start of the process."""

    @property
    def name(self) -> str:
        """Name the process for people."""
        return f"{self.host}:{self.pid}" if self.host else self.token

    def is_dead(self) -> bool:
        """Tell whether it certainly does not live any more; False also means: cannot tell."""
        if not self.machine or not self.started or self.machine != _machine():
            return False
        found = _started(self.pid)
        return found is None or (bool(found) and found != self.started)


def this_process() -> Owner:
    """Describe the process that asks."""
    return _owner(os.getpid())


def owner_to_text(owner: Owner) -> str:
    """Write an owner down in one column."""
    return json.dumps(to_json(owner))


def owner_from_text(text: str) -> Owner | None:
    """Read an owner, if there is one; what an earlier version wrote serves as its name."""
    if not text:
        return None
    try:
        return from_json(Owner, json.loads(text))
    except ValueError:
        return Owner(token=text)


# By the process id, because a forked child must not go by its parent's token.
@cache
def _owner(pid: int) -> Owner:
    return Owner(
        token=secrets.token_hex(16),
        host=socket.gethostname(),
        pid=pid,
        machine=_machine(),
        started=_started(pid) or "",
    )


def _machine() -> str:
    """Identify where a process id means one process: equal texts, the same ids."""
    try:
        # A /proc of another namespace, as some containers mount it, counts other processes.
        if str((_PROC / "self").readlink()) != str(os.getpid()):
            return ""
        boot = (_PROC / "sys/kernel/random/boot_id").read_text().strip()
        parts = [socket.gethostname(), boot, str((_PROC / "self/ns/pid").readlink())]
        with suppress(FileNotFoundError):  # older kernels have none
            parts.append(str((_PROC / "self/ns/time").readlink()))
    except OSError:
        return ""
    return " ".join(parts)


def _started(pid: int) -> str | None:
    """Read when a process of this machine was started; None if it is gone, "" if hidden."""
    try:
        fields = (_PROC / str(pid) / "stat").read_text().rsplit(")", 1)[1].split()
        return None if fields[0] in "ZX" else fields[19]  # a zombie drives nothing
    except (OSError, IndexError):
        pass
    try:
        # /proc may hide the processes of other users; a signal finds them.
        os.kill(pid, 0)
    except ProcessLookupError:
        return None
    except OSError:
        return ""
    return ""
