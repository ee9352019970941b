"""Read what a language model wrote, whatever it is."""

from __future__ import annotations

import json
from typing import Any

from querist.agents.models.port import ChatReply


def read_object(reply: object) -> dict[str, Any] | None:
    """Find the JSON object in a reply; None if there is none, or no reply."""
    if not isinstance(reply, ChatReply):
        return None
    start, end = reply.text.find("{"), reply.text.rfind("}")
    if not 0 <= start < end:
        return None
    try:
        body = json.loads(reply.text[start : end + 1])
    except (ValueError, RecursionError):
        return None
    return body if isinstance(body, dict) else None
