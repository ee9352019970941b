"""Supervision by chat: slash commands that need no model, proposals, and a supervisor with one.

Nothing here changes a run by itself. What would change one is a proposal, and a person's word on it
posts the command to the run's mailbox.
"""

from __future__ import annotations

from querist.app.chat.parts import Here
from querist.app.chat.performing import perform
from querist.app.chat.slash import complete, parse
from querist.app.chat.supervisor import supervise
from querist.app.chat.talk import Talk

__all__ = ["Here", "Talk", "complete", "parse", "perform", "supervise"]
