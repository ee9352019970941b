"""What the ports promise, as functions that raise `AssertionError` with a sentence.

For whoever writes a plug-in, in a test of their own,

    from querist.evals.contracts import check_strategy

    def test_mine_keeps_the_contract():
        check_strategy(mine())

or on the command line, for what is installed:

    python -m querist.evals.contracts strategy mine
"""

from __future__ import annotations

from querist.evals.contracts.agents import check_annotator, check_generator
from querist.evals.contracts.creation import check_gate, check_method
from querist.evals.contracts.embedders import check_embedder
from querist.evals.contracts.kinds import check_kind
from querist.evals.contracts.signals import check_signal
from querist.evals.contracts.stopping import check_stopping_rule
from querist.evals.contracts.strategies import check_strategy
from querist.evals.contracts.trainers import check_trainer

__all__ = [
    "check_annotator",
    "check_embedder",
    "check_gate",
    "check_generator",
    "check_kind",
    "check_method",
    "check_signal",
    "check_stopping_rule",
    "check_strategy",
    "check_trainer",
]
