"""A run's language models: opened once, metered under the name of the agent that spends."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from functools import cached_property
from pathlib import Path

from querist.agents.mind import Agent
from querist.agents.models.catalogue import ModelAccess, open_model
from querist.agents.models.metered import MeteredModel, Overrun
from querist.agents.models.pacing import Pacer, Patience
from querist.agents.models.port import ChatModel
from querist.graph.config import RunConfig, api_key
from querist.memory.ledger import Ledger
from querist.tools.money.prices import Price, PriceList


class Models:
    """The models that a configuration names, each opened when it is first wanted."""

    def __init__(
        self,
        config: RunConfig,
        ledger: Ledger,
        *,
        folder: Path,
        may_spend: bool,
        tell: Callable[[str], None],
        given: Mapping[str, ChatModel] | None = None,
    ) -> None:
        """`given` replaces models by name; `tell` gets what was learnt about an endpoint.

        Who may not spend (a look from outside, a quote) sends nothing and needs no key.
        """
        self._config = config
        self._ledger = ledger
        self._folder = folder
        self._may_spend = may_spend
        self._tell = tell
        self._given = dict(given or {})
        self._opened: dict[str, ChatModel] = {}
        # One of each for an endpoint, whoever uses it: what one agent learns holds for all.
        self._pacers: dict[str, Pacer] = {}
        self._overruns: dict[str, Overrun] = {}
        self._metered: dict[tuple[str, str, int], MeteredModel] = {}
        self._retired: list[ChatModel] = []

    @cached_property
    def prices(self) -> PriceList:
        """Prices, with those of the task file on top."""
        return PriceList.load(self._config.prices)

    def price(self, name: str) -> Price:
        """Find a model's price; raises `ModelRefused` when nobody set one."""
        return self.prices.price_of(name)

    def on(self, agent: str, number: int = 0) -> MeteredModel:
        """Give an agent the model that the configuration names for it, to spend on in a round."""
        config = self._config
        is_generator = agent == Agent.GENERATOR
        name = config.generator_model if is_generator else config.models.annotator
        return self.named(name, agent=agent, number=number)

    def named(self, name: str, *, agent: str, number: int = 0) -> MeteredModel:
        """Give an agent a model by its name; `aclose` closes it."""
        key = (agent, name, number)
        if key not in self._metered:
            model = self._open(name)
            self._metered[key] = MeteredModel(
                model,
                price=self.price(name),
                ledger=self._ledger,
                agent=agent,
                number=number,
                pacer=self._pacer(name, model),
                overrun=self._overrun(name),
                tell=self._tell,
            )
        return self._metered[key]

    def configure(self, config: RunConfig) -> None:
        """Go on with a changed configuration; what it names otherwise is opened anew."""
        changed = config.models != self._config.models or config.prices != self._config.prices
        self._config = config
        if changed:
            self._retired += self._opened.values()
            for kept in (self._opened, self._pacers, self._metered):
                kept.clear()
            self.__dict__.pop("prices", None)

    async def aclose(self) -> None:
        """Close the models."""
        models = {id(model): model for model in (*self._retired, *self._opened.values())}
        closing = [model.aclose() for model in models.values()]
        # One that cannot be closed does not keep the others open.
        for error in await asyncio.gather(*closing, return_exceptions=True):
            if error is not None:
                raise error

    def _pacer(self, name: str, model: ChatModel) -> Pacer:
        if name not in self._pacers:
            patience = Patience(total=self._config.models.patience)
            self._pacers[name] = Pacer(model.in_flight, patience=patience)
        return self._pacers[name]

    def _overrun(self, name: str) -> Overrun:
        """What a model billed beyond its limits, in earlier processes too."""
        if name not in self._overruns:
            self._overruns[name] = Overrun(output=self._ledger.most_output(name))
        return self._overruns[name]

    def _open(self, name: str) -> ChatModel:
        if name not in self._opened:
            self._opened[name] = self._given.get(name) or self._make(name)
        return self._opened[name]

    def _make(self, name: str) -> ChatModel:
        section = self._config.models
        access = ModelAccess(
            cache=self._folder,
            base_url=section.base_url,
            api_key=api_key(self._config) or "none" * (not self._may_spend),
            in_flight=section.in_flight,
            timeout=section.timeout,
            threads=section.threads,
            thinking=section.thinking,
            tell=self._tell,
        )
        return open_model(name, access)
