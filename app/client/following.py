"""Server-sent events of a run: reading the lines, and taking them up again where they broke off."""

from __future__ import annotations

import json
from dataclasses import dataclass, field

from querist.app.client.asks import ApiError, path_of
from querist.app.web.api.runs import EventView

_RETRY = 1.0
_TEMPORARY = 500
"""From this status on it may work later, as while a server starts anew."""


@dataclass(slots=True)
class Following:
    """Where one reader of a run's events stands."""

    run: str
    seen: int
    """The id of the last event that was given out."""
    patience: float
    """Seconds without any connection after which it is given up."""
    _retry: float = _RETRY
    _lost_at: float | None = None
    _lines: list[str] = field(default_factory=list)
    _id: int = 0

    @property
    def path(self) -> str:
        """Where the stream is."""
        return path_of("runs", self.run, "stream")

    @property
    def headers(self) -> dict[str, str]:
        """What is asked for: the events after the last one."""
        return {"Accept": "text/event-stream", "Last-Event-ID": str(self.seen)}

    def feed(self, line: str) -> EventView | None:
        """Take a line of the stream; gives an event when it is whole, as HTML's standard says."""
        self._lost_at = None
        if not line:
            return self._event()
        name, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if name == "data":
            self._lines.append(value)
        elif name == "id" and value.isdecimal():
            self._id = int(value)
        elif name == "retry" and value.isdecimal():
            self._retry = int(value) / 1_000
        return None

    def wait(self, error: ApiError | None, now: float) -> float:
        """Tell how long to wait before the next connection; raises what cannot get better."""
        self._lines.clear()  # half an event is sent again
        if error is not None and error.status is not None and error.status < _TEMPORARY:
            raise error
        if self._lost_at is None:
            self._lost_at = now
        elif error is not None and now - self._lost_at > self.patience:
            raise error
        return self._retry

    def _event(self) -> EventView | None:
        if not self._lines:
            return None
        body = json.loads("\n".join(self._lines))
        self._lines.clear()
        self.seen = self._id
        return EventView(id=self._id, **body)
