"""A language model proposes settings or architectures to try (LLAMBO; Liu et al., 2024).

What it writes is not trusted: `querist.tools.arms.Proposals` checks every proposal against the
space, replaces what is outside by random ones, and counts them.
"""

from __future__ import annotations

from collections.abc import Sequence

from querist.agents.prompts.proposals import propose_configs
from querist.agents.selector.advice.advisor import Advisor
from querist.agents.selector.advice.replies import read_object
from querist.tools.arms import Propose, Space, Trial

WARM_SHARE = 0.5
"""Of each batch; the rest stays random, in case the model is sure and wrong."""


def advised(space: Space, advisor: Advisor, *, about: str) -> Propose:
    """Make a proposer that asks once a batch; without a usable reply it proposes nothing."""

    def propose(count: int, trials: Sequence[Trial]) -> Sequence[object]:
        # The latest score of a config, which used the most resource, is what counts.
        latest = {repr(sorted(trial.config.items())): trial for trial in trials}
        tried = [(dict(trial.config), trial.score) for trial in latest.values()]
        request = propose_configs(count, about=about, schema=space.schema(), tried=tried)
        offered = (read_object(advisor.ask_one(request)) or {}).get("proposals")
        return offered if isinstance(offered, list) else []

    return propose
