"""Spans for OpenTelemetry: what ran when, for how long and for how much; silent by default.

Nothing is imported or sent unless somebody asks for it, and no span holds a text of a pool, a
prompt or a reply. Names of models and tokens follow the conventions for generative AI
(https://opentelemetry.io/docs/specs/semconv/gen-ai/).
"""

from __future__ import annotations

import functools
import os
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from decimal import Decimal
from typing import Any, TypeVar

from querist.memory.errors import InvalidInput
from querist.memory.extras import need
from querist.tools.wording import any_of

_ENDPOINTS = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
_PROTOCOLS = ("http/protobuf", "grpc")
_SECONDS = 5
"""A collector that does not answer must not hold a run up at its end for longer."""

_Node = TypeVar("_Node", bound=Callable[..., Awaitable[Any]])
_tracer: Any = None


class Span:
    """What is told about a piece of work."""

    def __init__(self, span: Any = None) -> None:
        """Without a span, nothing is kept."""
        self._span = span

    def note(self, **attributes: object) -> None:
        """Add attributes; `__` in a name stands for a dot. None is left out."""
        if self._span is None:
            return
        for name, value in attributes.items():
            if value is not None:
                self._span.set_attribute(name.replace("__", "."), _plain(value))


_SILENT = Span()


def is_wanted(environment: Mapping[str, str] = os.environ) -> bool:
    """Tell whether the user set an endpoint for traces."""
    is_off = environment.get("OTEL_SDK_DISABLED", "").lower() == "true"
    return not is_off and any(environment.get(name) for name in _ENDPOINTS)


def start_tracing(provider: Any = None) -> None:
    """Send spans to an OpenTelemetry `TracerProvider`; without one, to the endpoint that is set.

    Raises `MissingExtra` when the exporter for the endpoint's protocol is not installed, and
    `InvalidInput` for a protocol that there is not.
    """
    global _tracer  # noqa: PLW0603 - one a process, as OpenTelemetry has it
    provider = provider or _provider()
    _tracer = provider.get_tracer("querist")


def stop_tracing() -> None:
    """Be silent again."""
    global _tracer  # noqa: PLW0603
    _tracer = None


@contextmanager
def span(name: str, **attributes: object) -> Iterator[Span]:
    """Time a piece of work; an exception is noted by its type and goes on its way."""
    if _tracer is None:
        yield _SILENT
        return
    # Messages of errors may quote a text, so only their types are kept.
    with _tracer.start_as_current_span(
        name, record_exception=False, set_status_on_exception=False
    ) as begun:
        told = Span(begun)
        told.note(**attributes)
        try:
            yield told
        except BaseException as error:
            from opentelemetry.trace import Status, StatusCode

            told.note(error__type=type(error).__name__)
            begun.set_status(Status(StatusCode.ERROR))
            raise


def current() -> Any:
    """Give the span that is open here, for work elsewhere; None where nothing is traced."""
    if _tracer is None:
        return None
    from opentelemetry import context

    return context.get_current()


@contextmanager
def under(parent: Any) -> Iterator[None]:
    """Work under a span that was `current` elsewhere."""
    if parent is None:
        yield
        return
    from opentelemetry import context

    token = context.attach(parent)
    try:
        yield
    finally:
        context.detach(token)


def traced(name: str, node: _Node) -> _Node:
    """Give a span to every visit of a node of the loop."""

    @functools.wraps(node)
    async def visit(state: Any, runtime: Any) -> Any:
        run, number = runtime.context.run.id, state.get("round")
        with span(f"node {name}", querist__run=run, querist__round=number):
            return await node(state, runtime)

    return visit  # type: ignore[return-value]


def _provider() -> Any:
    """Make a provider that exports in the background and flushes at exit."""
    trace = need("opentelemetry.sdk.trace", extra="tracing")
    export = need("opentelemetry.sdk.trace.export", extra="tracing")
    resources = need("opentelemetry.sdk.resources", extra="tracing")
    protocol = os.environ.get("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf")
    if protocol not in _PROTOCOLS:
        raise InvalidInput(
            f"OTEL_EXPORTER_OTLP_PROTOCOL={protocol!r} is not spoken here: {any_of(_PROTOCOLS)}."
        )
    package = f"opentelemetry.exporter.otlp.proto.{protocol.partition('/')[0]}.trace_exporter"
    exporter = need(package, extra="tracing").OTLPSpanExporter(timeout=_SECONDS)
    name = os.environ.get("OTEL_SERVICE_NAME", "querist")
    provider = trace.TracerProvider(resource=resources.Resource.create({"service.name": name}))
    provider.add_span_processor(export.BatchSpanProcessor(exporter))
    return provider


def _plain(value: object) -> str | bool | int | float:
    if isinstance(value, bool | int | float | str):
        return value
    return float(value) if isinstance(value, Decimal) else str(value)
