"""Which models there are, by name: `local`, `local:/weights.gguf`, `openai:NAME`, LangChain's."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from querist.agents.models.port import ChatModel
from querist.agents.models.providers.gguf import read_header
from querist.memory.errors import InvalidInput, ModelRefused
from querist.tools.money.tokens import counter_for

_NO_KEY = (
    "The model {name!r} needs an API key: set OPENAI_API_KEY, or name another variable with "
    "models.api_key_env. For your own endpoint give its address: --base-url http://HOST:PORT/v1"
)


@dataclass(frozen=True, slots=True)
class ModelAccess:
    """What opening a model needs besides its name."""

    cache: Path
    """Where packaged weights are put together if the user's cache cannot be written to."""
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


def open_model(name: str, access: ModelAccess) -> ChatModel:
    """Open a model by name; raises `ModelRefused` or `MissingExtra` with the remedy."""
    provider, _, rest = name.partition(":")
    if provider == "local":
        from querist.agents.models.providers.local import LocalModel
        from querist.agents.models.providers.packaged import packaged_weights

        weights = Path(rest).expanduser() if rest else packaged_weights(access.cache)
        return LocalModel(weights, name=name, threads=access.threads)
    if access.base_url or provider == "openai":
        return _openai(name, rest or name, access)
    if not rest:
        raise ModelRefused(
            f"There is no model {name!r}. Models are called local, local:/path/weights.gguf, "
            "openai:NAME, openai:NAME with base_url for any compatible endpoint, or "
            "PROVIDER:NAME as LangChain's init_chat_model knows them. See: querist models"
        )
    from querist.agents.models.providers.langchain_chat import LangChainModel

    return LangChainModel.by_name(
        name, thinking=access.thinking, tell=access.tell, **access.options
    )


def check_reachable(name: str, *, base_url: str | None, key: str) -> None:
    """Refuse, before anything is sent, a model that cannot be reached as it is named.

    Raises `ModelRefused` or `InvalidInput`, with what a name, a key or an address looks like.
    """
    provider, _, rest = name.partition(":")
    if provider == "local":
        if base_url:
            raise InvalidInput(
                f"The model {name!r} runs in this process and does not use the base_url "
                f"{base_url}. Name the model that is served there: --model NAME"
            )
        if rest:
            read_header(Path(rest).expanduser())
        return
    if base_url is not None:
        check_address(base_url)
    elif provider != "openai":
        # LangChain's packages know themselves what they need.
        open_model(name, ModelAccess(cache=Path()))
    elif provider == "openai" and not key:
        raise ModelRefused(_NO_KEY.format(name=name))
    if not key.isascii() or not key.isprintable() or key != key.strip():
        raise ModelRefused(
            f"The API key of {name!r} holds blanks, line breaks or characters that no key has. Set "
            "the variable anew (OPENAI_API_KEY, or the one that models.api_key_env names)."
        )


def check_address(base_url: str) -> None:
    """Raise `InvalidInput`, with a guess of what is meant, for what is no address of a service."""
    address = urlsplit(base_url)
    try:
        has_host = bool(address.hostname) and (address.port is None or address.port > 0)
    except ValueError:
        has_host = False
    if address.scheme not in {"http", "https"} or not has_host:
        guess = base_url.rsplit("://", maxsplit=1)[-1].lstrip("/") or "localhost:8000/v1"
        raise InvalidInput(
            f"The base_url {base_url!r} is no address: one begins with http:// or https:// and "
            f"names a host, as in --base-url http://{guess}"
        )
    for ending in ("/chat/completions", "/completions", "/responses", "/embeddings"):
        if address.path.rstrip("/").endswith(ending):
            raise InvalidInput(
                f"The base_url {base_url!r} names one call of the service. Leave the end out: "
                f"--base-url {base_url.rstrip('/').removesuffix(ending)}"
            )


def _openai(name: str, model: str, access: ModelAccess) -> ChatModel:
    from querist.agents.models.providers.openai_compatible import OpenAICompatible

    if not access.api_key and not access.base_url:
        raise ModelRefused(_NO_KEY.format(name=name))
    return OpenAICompatible(
        model,
        name=name,
        api_key=access.api_key or "none",
        base_url=access.base_url,
        counter=counter_for(model, cache=access.cache / "tiktoken"),
        in_flight=access.in_flight,
        timeout=access.timeout,
        thinking=access.thinking,
        tell=access.tell,
    )
