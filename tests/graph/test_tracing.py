"""Traces: what a run tells an OpenTelemetry collector, and that it tells no text."""

import asyncio
import json
import socket
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from tests_graph_support import weak_annotator

from querist.agents.models.port import ChatReply, ToolUse, Usage
from querist.agents.models.providers.scripted import ScriptedModel
from querist.memory.errors import InvalidInput, ModelUnavailable
from querist.tools.tracing import is_wanted, span, start_tracing, stop_tracing

PRICES = {"openai:mind": {"input": 1, "output": 2}}


@pytest.fixture
def spans():
    """Collect the spans of a test."""
    exporter = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    start_tracing(provider)
    yield exporter.get_finished_spans
    stop_tracing()


def mind(request):
    looked = any(turn.role == "tool" for turn in request.messages)
    name, arguments = (
        ("Selection", {"reason": "Variety first.", "strategy": "random", "count": 20})
        if looked
        else ("try_strategies", {"strategies": ["margin", "random"], "count": 10})
    )
    return ChatReply("", Usage(200, 30), uses=(ToolUse("x", name, json.dumps(arguments)),))


@pytest.fixture
def run(scripted):
    made, _ = scripted(
        minds={"selector": "llm"}, models={"mind": "openai:mind"}, prices=PRICES, loop={"rounds": 2}
    )
    models = {
        "openai:mind": ScriptedModel(mind, name="openai:mind"),
        "local": ScriptedModel(weak_annotator, name="local"),
    }
    return made.use(models=models)


def test_a_run_tells_nodes_decisions_tools_and_calls_with_tokens_and_money(run, spans):
    asyncio.run(run.drive())
    found = spans()
    by_id = {one.context.span_id: one for one in found}
    (drive,) = (one for one in found if one.parent is None)
    assert drive.name == "drive"
    assert {one.context.trace_id for one in found} == {drive.context.trace_id}
    below = [one for one in found if one.parent and one.parent.span_id == drive.context.span_id]
    nodes = {one.name for one in below}
    assert {"node control", "node select", "node annotate", "node train"} <= nodes
    ruled = [one for one in found if one.name == "decide selector"]
    assert [one.attributes["querist.mind"] for one in ruled] == ["rules", "llm"]
    assert ruled[1].attributes["querist.usd"] == pytest.approx(2 * (200 * 1 + 30 * 2) / 1e6)
    assert by_id[ruled[1].parent.span_id].name == "node select"
    tried = next(one for one in found if one.name == "execute_tool try_strategies")
    assert by_id[tried.parent.span_id].name == "decide selector"
    calls = [one for one in found if one.name == "chat openai:mind"]
    assert [one.attributes["gen_ai.usage.input_tokens"] for one in calls] == [200, 200]
    assert calls[0].attributes["gen_ai.agent.name"] == "selector"
    labelled = [one for one in found if one.name == "chat local"]
    assert len(labelled) >= 20
    assert sum(one.attributes["querist.usd"] for one in found if one.name.startswith("chat")) == (
        pytest.approx(sum(float(usd) for (_, kind), usd in money(run) if kind == "llm"))
    )


def money(run):
    return run.view().ledger.by_agent().items()


def test_no_span_holds_a_text(run, spans):
    asyncio.run(run.drive())
    texts = [row.fields["text"] for row in run.view().view.get(run.view().view.ids[:40])]
    told = json.dumps([one.to_json() for one in spans()])
    assert len(told) > 1_000
    assert not [text for text in texts if text[:30] in told]


def test_a_call_that_fails_is_told_by_its_type_alone(spans):
    with pytest.raises(ModelUnavailable), span("chat x"):
        raise ModelUnavailable("the tenant wrote: my flat is flooded")
    (told,) = spans()
    assert told.attributes["error.type"] == "ModelUnavailable"
    assert not told.status.is_ok
    assert "flooded" not in told.to_json()


def test_nothing_is_traced_unless_it_is_asked_for():
    with span("unheard", usd=1) as silent:
        silent.note(tokens=2)
    assert not is_wanted({})
    assert not is_wanted({"OTEL_EXPORTER_OTLP_ENDPOINT": ""})
    assert is_wanted({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:4318"})
    off = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:4318", "OTEL_SDK_DISABLED": "true"}
    assert not is_wanted(off)


def test_a_protocol_that_is_not_spoken_is_refused(monkeypatch):
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_PROTOCOL", "http/json")
    with pytest.raises(InvalidInput, match="http/protobuf"):
        start_tracing()


TOLD = """
from querist.tools.tracing import span, start_tracing
start_tracing()
with span("node select", querist__round=3):
    pass
"""


def process(endpoint):
    environment = {"OTEL_EXPORTER_OTLP_ENDPOINT": endpoint, "PATH": "/usr/bin"}
    return subprocess.run(
        [sys.executable, "-c", TOLD], env=environment, capture_output=True, text=True, check=False
    )


def test_a_collector_gets_what_a_process_did():
    bodies = []

    class Collector(BaseHTTPRequestHandler):
        def do_POST(self):
            bodies.append((self.path, self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_):
            pass

    with HTTPServer(("127.0.0.1", 0), Collector) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        done = process(f"http://127.0.0.1:{server.server_port}")
        server.shutdown()
    assert done.returncode == 0, done.stderr
    (path, body), *_ = bodies
    import gzip

    body = gzip.decompress(body) if body[:2] == b"\x1f\x8b" else body
    told = ExportTraceServiceRequest.FromString(body)
    (resource,) = told.resource_spans
    names = {pair.key: pair.value.string_value for pair in resource.resource.attributes}
    assert (path, names["service.name"]) == ("/v1/traces", "querist")
    assert [one.name for one in resource.scope_spans[0].spans] == ["node select"]


def test_a_collector_that_is_not_there_stops_nothing():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    done = process(f"http://127.0.0.1:{port}")
    assert done.returncode == 0
