"""Changes of a run's configuration while it runs: checked as a whole, kept, in force at once."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from querist.graph.config import make_config, put
from querist.graph.workplace.context import Context


def change(context: Context, values: Mapping[str, Any]) -> None:
    """Change dotted keys together; raises `InvalidInput` and changes nothing where one is wrong."""
    body = context.config.model_dump(mode="json")
    for key, value in values.items():
        put(body, key, value)
    config = make_config(body, source=f"run {context.run.id}")
    context.runs.set_config(context.lease, config.model_dump(mode="json"))
    context.configure(config)
