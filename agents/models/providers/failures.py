"""What went wrong at an OpenAI-compatible endpoint, as an error of ours with its remedy."""

from __future__ import annotations

from typing import Any

from querist.agents.models.port import Garbled, Overloaded, RowRefused, Unreachable
from querist.agents.models.providers.refusals import Refusal
from querist.memory.errors import ModelError, ModelRefused

# httpx's names for what went wrong before anything was sent; whatever else may have been billed.
_NEVER_SENT = frozenset(
    {
        "ConnectError",
        "ConnectTimeout",
        "PoolTimeout",
        "UnsupportedProtocol",
        "LocalProtocolError",
        "InvalidURL",
        "ProxyError",
        "ClientConnectorError",
        "ConnectionTimeoutError",
        "ConnectionRefusedError",
        "gaierror",
        "UnicodeEncodeError",
    }
)


def refused(refusal: Refusal, endpoint: str, *, model: str) -> ModelError:
    """Turn what an endpoint had against a request into an error."""
    said = f"{endpoint} refused ({refusal.status}): {refusal.message}"
    if refusal.is_exhausted:
        return ModelRefused(
            f"{said} The account has no money left: add credit with the provider, or name "
            "another model with --model. What was labelled is kept; then: querist resume"
        )
    if refusal.may_pass:
        return Overloaded(
            f"{endpoint} answered {refusal.status}: {refusal.message}",
            retry_after=refusal.retry_after,
        )
    remedy = {
        401: "Check the API key (OPENAI_API_KEY, or api_key_env in [models]).",
        403: "This key may not use the model.",
        404: f"Check the model's name ({model!r}) and the base_url, which usually ends in /v1.",
    }.get(refusal.status)
    if remedy:
        return ModelRefused(f"{said} {remedy}")
    return RowRefused(f"{said} See what the endpoint takes with: querist doctor")


def translated(error: Exception, endpoint: str) -> ModelError:
    """Turn what the transport raised into an error: unreachable, or broken off and maybe billed."""
    cause = error.__cause__ or error
    if was_never_sent(error):
        return Unreachable(
            f"{endpoint} cannot be reached ({_told(cause)}). Check base_url (as in "
            "http://localhost:8000/v1), the key and the network: querist doctor"
        )
    return Garbled(
        f"{endpoint} broke off its answer ({_told(cause)}). What was labelled is kept; go "
        "on with: querist resume"
    )


def body_of(error: Any) -> object:
    """Read the body that came with an error status."""
    try:
        return error.response.json()
    except (ValueError, RuntimeError, AttributeError):
        return error.body


def was_never_sent(error: BaseException) -> bool:
    """Tell whether a request failed before anything was sent, so that nothing was billed."""
    cause: BaseException | None = error
    while cause is not None:
        if _NEVER_SENT & {kind.__name__ for kind in type(cause).__mro__}:
            return True
        cause = cause.__cause__ or cause.__context__
    return False


def _told(cause: BaseException) -> str:
    return str(cause) or type(cause).__name__
