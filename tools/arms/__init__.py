"""Choosing among arms: prompts, contexts, models, settings, architectures (Appendix A)."""

from __future__ import annotations

from querist.tools.arms.clustered import ClusteredHalving, PredictedHalving
from querist.tools.arms.ensembles import Ensemble, greedy_ensemble, relevant_and_varied
from querist.tools.arms.fixed_budget import (
    AcceptsRejects,
    ContinuousRejects,
    EqualShares,
    SuccessiveHalving,
)
from querist.tools.arms.protocol import ArmSelector, Pull, Record, pulls_at_once, wilson
from querist.tools.arms.space import (
    Config,
    Options,
    Proposals,
    Propose,
    Range,
    Space,
    Trial,
    from_grid,
    mutations,
)
from querist.tools.arms.staged import (
    Ladder,
    Rung,
    StagedSearch,
    cost_of,
    hyperband_ladders,
    ladder,
)
from querist.tools.arms.upper_bounds import TimeIncreasing, UpperBound

__all__ = [
    "AcceptsRejects",
    "ArmSelector",
    "ClusteredHalving",
    "Config",
    "ContinuousRejects",
    "Ensemble",
    "EqualShares",
    "Ladder",
    "Options",
    "PredictedHalving",
    "Proposals",
    "Propose",
    "Pull",
    "Range",
    "Record",
    "Rung",
    "Space",
    "StagedSearch",
    "SuccessiveHalving",
    "TimeIncreasing",
    "Trial",
    "UpperBound",
    "cost_of",
    "from_grid",
    "greedy_ensemble",
    "hyperband_ladders",
    "ladder",
    "mutations",
    "pulls_at_once",
    "relevant_and_varied",
    "wilson",
]
