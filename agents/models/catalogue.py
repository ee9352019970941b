"""Which models there are, by name: `local`, `local:/weights.gguf`, `openai:NAME`, LangChain's."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from querist.agents.models.port import ChatModel
from querist.memory.errors import ModelRefused
from querist.tools.tokens import counter_for


@dataclass(frozen=True, slots=True)
class ModelSettings:
    """What opening a model needs besides its name."""

    cache: Path
    """Where packaged weights are put together."""
    base_url: str | None = None
    api_key: str = ""
    in_flight: int = 32
    timeout: float = 60.0
    """Seconds for one attempt."""
    threads: int | None = None
    thinking: int | None = None
    """Tokens that a model may think beyond its answer; None: by its name, and as it turns out."""
    tell: Callable[[str], None] = lambda _: None
    """Gets in words what was learnt about an endpoint, or ignored."""
    options: Mapping[str, object] = field(default_factory=dict)


def open_model(name: str, settings: ModelSettings) -> ChatModel:
    """Open a model by name; raises `ModelRefused` or `MissingExtra` with the remedy."""
    provider, _, rest = name.partition(":")
    if provider == "local":
        from querist.agents.models.local import LocalModel, packaged_weights

        weights = Path(rest).expanduser() if rest else packaged_weights(settings.cache)
        return LocalModel(weights, name=name, threads=settings.threads)
    if settings.base_url or provider == "openai":
        return _openai(name, rest or name, settings)
    if not rest:
        raise ModelRefused(
            f"There is no model {name!r}. Models are called local, local:/path/weights.gguf, "
            "openai:NAME, openai:NAME with base_url for any compatible endpoint, or "
            "PROVIDER:NAME as LangChain's init_chat_model knows them. See: querist models"
        )
    from querist.agents.models.langchain_chat import LangChainModel

    return LangChainModel.by_name(
        name, thinking=settings.thinking, tell=settings.tell, **settings.options
    )


def _openai(name: str, model: str, settings: ModelSettings) -> ChatModel:
    from querist.agents.models.openai_compatible import OpenAICompatible

    if not settings.api_key and not settings.base_url:
        raise ModelRefused(
            f"The model {name!r} needs an API key: set OPENAI_API_KEY, or name another variable "
            'with api_key_env in [models]. For your own endpoint set base_url = "http://...".'
        )
    return OpenAICompatible(
        model,
        name=name,
        api_key=settings.api_key or "none",
        base_url=settings.base_url,
        counter=counter_for(model, cache=settings.cache / "tiktoken"),
        in_flight=settings.in_flight,
        timeout=settings.timeout,
        thinking=settings.thinking,
        tell=settings.tell,
    )
