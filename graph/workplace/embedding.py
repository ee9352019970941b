"""A run's embedder: opened by its name, and connected to the run's money where it costs some."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from querist.agents.models.catalogue import check_address
from querist.agents.models.embedding import EmbeddingAccess, MeteredEmbedder
from querist.graph.config import RunConfig, api_key
from querist.graph.workplace.models import Models
from querist.memory.errors import ModelRefused
from querist.memory.run.ledger import Ledger
from querist.memory.workspace.embeddings import EmbeddingCache
from querist.tools.embedding.embedders import Embedder, shared_embedder
from querist.tools.embedding.served import Connect, ServedEmbedder, served_parts
from querist.tools.money.prices import PriceList
from querist.tools.money.tokens import counter_for


def metering(
    *,
    config: RunConfig,
    models: Models,
    ledger: Ledger,
    cache: EmbeddingCache,
    tell: Callable[[str], None],
) -> Connect:
    """Give what connects a served embedder to the run's ledger.

    It raises `ModelRefused`, before anything is sent, where a price or a key is missing.
    """
    return partial(_meter, config=config, models=models, ledger=ledger, cache=cache, tell=tell)


def _meter(
    wanted: ServedEmbedder,
    *,
    config: RunConfig,
    models: Models,
    ledger: Ledger,
    cache: EmbeddingCache,
    tell: Callable[[str], None],
) -> MeteredEmbedder:
    if models.may_spend:
        _check_reachable(wanted, config)
    section = config.models
    return MeteredEmbedder(
        wanted,
        access=EmbeddingAccess(
            api_key(config), section.in_flight, section.timeout, section.patience
        ),
        price=models.price(wanted.priced_as),
        ledger=ledger,
        cache=cache,
        counter=counter_for(wanted.priced_as, cache=ledger.folder / "models" / "tiktoken"),
        tell=tell,
    )


def check_embedder(config: RunConfig) -> None:
    """Refuse an embedder that cannot be opened or reached, or has no price, before a run is made.

    It stays open for the run. Raises `InvalidInput`, `ModelRefused` or `MissingExtra`.
    """
    prices = PriceList.load(config.prices)
    for wanted in served_parts(shared_embedder(config.data.embedder)):
        _check_reachable(wanted, config)
        prices.price_of(wanted.priced_as)


def _check_reachable(wanted: ServedEmbedder, config: RunConfig) -> None:
    if wanted.base_url is not None:
        check_address(wanted.base_url)
    elif not api_key(config):
        raise ModelRefused(
            f"The embedder {wanted.model!r} needs an API key: set {config.models.api_key_env} (or "
            "name another variable with models.api_key_env). For your own endpoint give its "
            f'address: data.embedder = \'openai(model="{wanted.model}", '
            'base_url="http://HOST:PORT/v1")\''
        )


def paid_parts(embedder: Embedder) -> list[MeteredEmbedder]:
    """Find what costs money in an embedder."""
    if isinstance(embedder, MeteredEmbedder):
        return [embedder]
    parts = getattr(embedder, "parts", ())
    return [found for part in parts for found in paid_parts(part)]
