"""The bundled example for tests of the loop."""

import json
from pathlib import Path

EXAMPLE = Path(__file__).resolve().parents[1] / "examples" / "tenant_requests"
LABELS = ("plumbing", "heating", "electrical", "access", "noise", "billing")
KEYWORDS = {
    "tap": "plumbing", "drain": "plumbing", "toilet": "plumbing", "water": "plumbing",
    "radiator": "heating", "boiler": "heating", "cold": "heating", "light": "electrical",
    "socket": "electrical", "power": "electrical", "key": "access", "door": "access",
    "lock": "access", "loud": "noise", "music": "noise", "dog": "noise", "rent": "billing",
    "deposit": "billing", "charge": "billing",
}  # fmt: skip


def gold_texts():
    """Map every text of the example to its label."""
    rows = [
        json.loads(line)
        for name in ("pool", "test")
        for line in (EXAMPLE / f"{name}.jsonl").read_text().splitlines()
    ]
    return {row["text"]: row["label"] for row in rows}
