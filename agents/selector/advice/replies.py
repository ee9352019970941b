"""Read the JSON object in a reply that may not be there at all."""

from __future__ import annotations

from typing import Any

from querist.agents.models import reading
from querist.agents.models.port import ChatReply


def read_object(reply: object) -> dict[str, Any] | None:
    """Find the JSON object in a reply; None if there is none, or no reply."""
    return reading.read_object(reply.text) if isinstance(reply, ChatReply) else None
