"""Buying features, settings and preferences: acquisition beyond labels.

The loop labels whole rows, so it has no use for what is exported here: programs have
(docs/beyond-labels.md). The other modules serve `querist choose`.
"""

from querist.agents.selector.acquisition.imputation import Imputer, NearRows
from querist.agents.selector.acquisition.poca import Acquisition, PartialBuyer
from querist.agents.selector.acquisition.preference_inference import PreferenceInference
from querist.agents.selector.advice.advisor import Advisor

__all__ = [
    "Acquisition",
    "Advisor",
    "Imputer",
    "NearRows",
    "PartialBuyer",
    "PreferenceInference",
]
