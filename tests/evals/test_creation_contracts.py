"""Every gate and every method of writing keeps its contract, and what breaks one is told."""

import pytest

from querist.agents.generator.methods.port import METHODS
from querist.evals.contracts import check_gate, check_method
from querist.tools.gates.port import GATES, Finding


@pytest.mark.parametrize("entry", GATES.entries(), ids=lambda entry: entry.name)
def test_a_gate_keeps_the_contract(entry):
    check_gate(entry.make({}))


@pytest.mark.parametrize("entry", METHODS.entries(), ids=lambda entry: entry.name)
def test_a_method_keeps_the_contract(entry):
    check_method(entry.make({}))


class _Remembers:
    """Lets everything through once."""

    rank, remedy = 1, "leave it out"

    def __init__(self):
        self.known = set()

    def check(self, candidates, setting, /):
        found = [Finding(c.text not in self.known, "known") for c in candidates]
        self.known |= {c.text for c in candidates}
        return found


def test_a_gate_that_remembers_is_told():
    with pytest.raises(AssertionError, match="a wave is repeated after a crash"):
        check_gate(_Remembers())
