"""The thresholds of a job's gates that its verifier may move, within bounds that the job sets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from querist.agents.verifier.creating import Threshold
from querist.agents.verifier.gates.port import MODEL_GATES
from querist.memory.errors import InvalidInput
from querist.tools.calls import Scalar, read_call, write_call
from querist.tools.gates.port import GATES

Bounds = Mapping[str, Mapping[str, tuple[float, float]]]
"""Lowest and highest value by gate and parameter."""


def thresholds_of(gates: Sequence[str], bounds: Bounds) -> tuple[Threshold, ...]:
    """List what may be moved. Raises `ValueError` for what no gate has or takes."""
    calls = [read_call(text) for text in gates]
    found = []
    for name, parameters in bounds.items():
        named = [values for gate, values in calls if gate == name]
        if len(named) != 1:
            many = "is none of the gates" if not named else "is named more than once"
            raise ValueError(f"bounds.{name}: {name} {many}")
        for parameter, (low, high) in parameters.items():
            found.append(_threshold(name, parameter, named[0], low=low, high=high))
    return tuple(found)


def _threshold(
    gate: str, parameter: str, given: Mapping[str, Scalar], *, low: float, high: float
) -> Threshold:
    where = f"bounds.{gate}.{parameter}"
    is_asking = gate in {entry.name for entry in MODEL_GATES.entries()}
    registry = MODEL_GATES if is_asking else GATES
    known = {each.name: each.default for each in registry.find(gate).described()}
    value = given.get(parameter, known.get(parameter))
    if parameter not in known or isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError(f"{where}: the gate has no such number")
    if low > high:
        raise ValueError(f"{where}: the lowest value, {low:g}, is above the highest, {high:g}")
    if not low <= value <= high:
        raise ValueError(
            f"{where}: the gate itself has {value:g}, which must lie within {low:g} to {high:g}"
        )
    is_whole = isinstance(known[parameter], int)
    for end in (low, high):
        moved = {**given, parameter: int(end) if is_whole else end}
        try:
            registry.read(write_call(gate, moved))
        except InvalidInput as error:
            raise ValueError(f"{where}: {error}") from None
    return Threshold(f"{gate}.{parameter}", float(value), low, high, is_whole=is_whole)


def moved_gates(gates: Sequence[str], thresholds: Mapping[str, float]) -> list[str]:
    """Write gates anew with other thresholds; whole numbers stay whole."""
    found = []
    for text in gates:
        name, values = read_call(text)
        moved = {
            key.partition(".")[2]: int(value) if value == int(value) else value
            for key, value in thresholds.items()
            if key.partition(".")[0] == name
        }
        found.append(write_call(name, {**values, **moved}) if moved else text)
    return found
