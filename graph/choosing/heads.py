"""What searches for a head share: the examples, the proposals, the names."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from querist.agents.mind import Agent
from querist.agents.selector.acquisition.proposing import WARM_SHARE, advised
from querist.agents.selector.advice.advisor import Advisor
from querist.graph.choosing.session import Session, gold_examples
from querist.memory.errors import InvalidInput
from querist.tools.arms import Config, Proposals, Propose, Space, from_grid, mutations
from querist.tools.arms.heads import Head, canonical
from querist.tools.compute.arrays import FloatArray, IntArray

HERE = "No key of a task file sets this. In Python: querist.tools.arms.heads.Head(config, ...)."

Proposer = Literal["random", "grid", "mutation", "llm"]
PROPOSERS: tuple[Proposer, ...] = ("random", "grid", "mutation", "llm")


@dataclass(frozen=True, slots=True, eq=False)
class Data:
    """Embedded gold examples: those to learn from, and those to measure on."""

    inputs: FloatArray
    gold: IntArray
    held_inputs: FloatArray
    held_gold: IntArray

    def head(self, config: Config, *, seed: int) -> Head:
        """Make an untrained head for them."""
        classes = int(max(self.gold.max(), self.held_gold.max())) + 1
        return Head(config, width=self.inputs.shape[1], classes=classes, seed=seed)

    def accuracy_after(self, head: Head, *, epochs: int) -> float:
        """Train a head on one half, up to so many epochs in all, and measure it on the other."""
        head.train(self.inputs, self.gold, epochs=epochs)
        said = head.predict_proba(self.held_inputs).argmax(axis=1)
        return float((said == self.held_gold).mean())


def head_data(session: Session) -> Data:
    """Halve the gold examples; raises `InvalidInput` where they are too few."""
    examples = gold_examples(session)
    if len(examples) < 20:
        raise InvalidInput(
            f"{len(examples)} examples with a known label are too few to train on one half and "
            "measure on the other; 20 are needed, 200 are better (data.validation)."
        )
    vectors = session.context.view.embed(examples)
    gold = session.context.answers.places([example.gold for example in examples])
    half = len(examples) // 2
    return Data(vectors[:half], gold[:half], vectors[half:], gold[half:])


def head_proposals(session: Session, space: Space, proposer: Proposer, data: Data) -> Proposals:
    """Make a proposer of heads, of each in one way of writing it."""
    about = f"a small network that classifies {data.inputs.shape[1]}-dimensional text embeddings"
    return make_proposals(session, space, proposer, about=about, canonical=canonical)


def make_proposals(
    session: Session,
    space: Space,
    proposer: Proposer,
    *,
    about: str,
    canonical: Callable[[Config], Config] = dict,
) -> Proposals:
    """Make a proposer of configs; call it in a thread, as it may wait for a language model."""
    context, rng = session.context, session.rng
    propose: Propose | None = None
    share = 1.0
    if proposer == "grid":
        propose = from_grid(space, rng, canonical=canonical)
    elif proposer == "mutation":
        propose = mutations(space, rng)
    elif proposer == "llm":
        model = context.models.named(context.config.models.annotator, agent=Agent.SELECTOR)
        advisor = Advisor(model, task=context.task, loop=asyncio.get_running_loop())
        propose, share = advised(space, advisor, about=about), WARM_SHARE
    return Proposals(space, rng, propose, share, canonical)


def told(proposals: Proposals, proposer: Proposer) -> tuple[str, ...]:
    """Say how many of a language model's proposals were of use."""
    if proposer != "llm":
        return ()
    asked = proposals.accepted + proposals.rejected
    said = f"{proposals.accepted} of {asked} proposals of the language model could be used"
    return (f"{said}; the others were replaced by random ones.",)


def name_config(config: Config) -> str:
    """Write a config in a line."""
    return ", ".join(f"{key} {value}" for key, value in config.items())


def name_configs(configs: Sequence[Config]) -> list[str]:
    """Write configs in a line each."""
    return [name_config(config) for config in configs]
