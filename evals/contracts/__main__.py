"""Check what is registered: `python -m querist.evals.contracts strategy mine`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from functools import partial
from typing import Any

from querist.agents.annotator.port import ANNOTATORS
from querist.agents.generator.methods.port import METHODS
from querist.agents.generator.port import GENERATORS
from querist.evals.contracts import (
    check_annotator,
    check_embedder,
    check_gate,
    check_generator,
    check_kind,
    check_method,
    check_signal,
    check_stopping_rule,
    check_strategy,
    check_trainer,
)
from querist.memory.errors import InvalidInput, QueristError
from querist.memory.records import Task
from querist.tools.calls import read_call
from querist.tools.embedding.embedders import EMBEDDERS
from querist.tools.gates.port import GATES
from querist.tools.kinds import KINDS, Kind
from querist.tools.opinions.signals import SIGNALS
from querist.tools.opinions.stopping import STOPPING_RULES
from querist.tools.registry import Registry
from querist.tools.strategies import STRATEGIES
from querist.tools.training.port import TRAINERS

PORTS: dict[str, tuple[Registry[Any], Callable[[Any], None]]] = {
    "strategy": (STRATEGIES, check_strategy),
    "trainer": (TRAINERS, check_trainer),
    "embedder": (EMBEDDERS, check_embedder),
    "annotator": (ANNOTATORS, check_annotator),
    "generator": (GENERATORS, check_generator),
    "gate": (GATES, check_gate),
    "method": (METHODS, check_method),
    "signal": (SIGNALS, check_signal),
    "kind": (KINDS, lambda kind: check_kind(kind.name, labels=_kind_labels(kind))),
    "stopping-rule": (STOPPING_RULES, check_stopping_rule),
}


def _kind_labels(kind: Kind) -> tuple[str, ...]:
    """Give labels to a kind that knows none by itself."""
    try:
        kind.complete(Task("contract", kind.name, ()))
    except InvalidInput:
        return ("one", "two", "three")
    return ()


def check(port: str, text: str) -> None:
    """Check one thing by its name, with parameters if there are any."""
    registry, contract = PORTS[port]
    name, values = read_call(text)
    entry = registry.find(name)
    # A rule's own parameters are part of its contract, so it is checked as its entry.
    is_bare_rule = port == "stopping-rule" and not values
    made = entry if is_bare_rule else partial(registry.make, name, values)
    contract(made if port == "stopping-rule" else made())


def main() -> int:
    """Check the names that are given, or all there are."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("port", choices=PORTS)
    parser.add_argument("names", nargs="*", help="all that are registered, if none is given")
    options = parser.parse_args()
    names = options.names or [entry.name for entry in PORTS[options.port][0].entries()]
    failed = 0
    for name in names:
        try:
            check(options.port, name)
        except (AssertionError, QueristError) as error:
            failed += 1
            print(f"{name}: {error}")
        else:
            print(f"{name}: keeps the contract")
    return min(failed, 1)


if __name__ == "__main__":
    sys.exit(main())
