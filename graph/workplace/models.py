"""A run's language models: opened once, metered under the name of the agent that spends."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from functools import cached_property
from pathlib import Path

from querist.agents.mind import Agent
from querist.agents.models.catalogue import ModelAccess
from querist.agents.models.metered import MeteredModel, Overrun
from querist.agents.models.pacing import Pacer, Patience
from querist.agents.models.port import ChatModel
from querist.agents.models.shared import Endpoint, give_back, take_model
from querist.graph.config import RunConfig, api_key
from querist.memory.run.ledger import Ledger
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
        self.may_spend = may_spend
        self._tell = tell
        self._given = dict(given or {})
        # What one agent learns of an endpoint holds for all, and for other runs of this process.
        self._endpoints: dict[str, Endpoint] = {}
        self._overruns: dict[str, Overrun] = {}
        self._metered: dict[tuple[str, str, int], MeteredModel] = {}
        self._retired: list[Endpoint] = []

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
            endpoint = self._open(name)
            self._metered[key] = MeteredModel(
                endpoint.model,
                price=self.price(name),
                ledger=self._ledger,
                agent=agent,
                number=number,
                pacer=endpoint.pacer,
                overrun=self._overrun(name),
                tell=self._tell,
            )
        return self._metered[key]

    def configure(self, config: RunConfig) -> None:
        """Go on with a changed configuration; what it names otherwise is opened anew."""
        changed = config.models != self._config.models or config.prices != self._config.prices
        self._config = config
        if changed:
            self._retired += self._endpoints.values()
            self._endpoints.clear()
            self._metered.clear()
            self.__dict__.pop("prices", None)

    async def aclose(self) -> None:
        """Close the models that nobody else in this process uses."""
        # One may stand in both, taken twice: it is given back as often.
        taken = [*self._retired, *self._endpoints.values()]
        closing = [give_back(endpoint, self._tell) for endpoint in taken]
        self._retired.clear()
        self._endpoints.clear()
        self._metered.clear()
        # One that cannot be closed does not keep the others open.
        for error in await asyncio.gather(*closing, return_exceptions=True):
            if error is not None:
                raise error

    def _overrun(self, name: str) -> Overrun:
        """What a model billed beyond its limits, in earlier processes too."""
        if name not in self._overruns:
            self._overruns[name] = Overrun(output=self._ledger.most_output(name))
        return self._overruns[name]

    def _open(self, name: str) -> Endpoint:
        if name not in self._endpoints:
            self._endpoints[name] = self._take(name)
        return self._endpoints[name]

    def _take(self, name: str) -> Endpoint:
        section = self._config.models
        if name in self._given:
            model = self._given[name]
            pacer = Pacer(model.in_flight, patience=Patience(total=section.patience))
            return Endpoint(model, pacer, [self._tell])
        access = ModelAccess(
            cache=self._folder,
            base_url=section.base_url,
            api_key=api_key(self._config) or "none" * (not self.may_spend),
            in_flight=section.in_flight,
            timeout=section.timeout,
            threads=section.threads,
            thinking=section.thinking,
            tell=self._tell,
        )
        return take_model(name, access, patience=section.patience)
