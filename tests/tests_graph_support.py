"""The bundled example for tests of the loop."""

import json
import random
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


_GOLD = gold_texts()


def _text_of(request):
    return json.loads(request.messages[-1].content.split(": ", 1)[1])


def gold_of(request):
    """Tell the label of the text that a prompt asks about; `noise` of one that is not known."""
    return _GOLD.get(_text_of(request), "noise")


def weak_annotator(request):
    """Right on six texts of ten; writes texts when asked to."""
    if not request.choices:
        number = random.Random(str(request)).random()
        return json.dumps({"texts": [f"please look at my bill, item {number}", "short"]})
    rng, label = random.Random(_text_of(request)), gold_of(request)
    if rng.random() < 0.4:
        label = rng.choice(LABELS)
    return {name: 0.7 if name == label else 0.06 for name in LABELS}


def any_reply(request):
    """Answer whatever is asked: the weak annotator's labels, else the first choice."""
    if request.choices == LABELS:
        try:
            return weak_annotator(request)
        except (IndexError, ValueError):
            return {name: 1 / len(LABELS) for name in LABELS}
    if request.choices:
        rest = 0.4 / max(1, len(request.choices) - 1)
        return {name: 0.6 if i == 0 else rest for i, name in enumerate(request.choices)}
    return "[1, 2, 3]"
