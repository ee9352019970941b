"""DataDesigner's pair of columns, a text and a check of it: run by path, where it is installed.

    python data_designer.py http://127.0.0.1:8000/v1 2000 100

Prints one line of JSON: {"rows": ..., "seconds": ...}; imports are not counted. Knows nothing of
Querist.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import logging
import os
import sys
import tempfile
import time


def main() -> None:
    """Create the rows that the arguments name."""
    sys.path.pop(0)  # this folder, in which a module has the library's name
    url, rows, in_flight = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    os.environ.setdefault("NEMO_TELEMETRY_ENABLED", "false")
    config = importlib.import_module("data_designer.config")
    interface = importlib.import_module("data_designer.interface")
    logging.disable(logging.CRITICAL)
    parameters = config.ChatCompletionInferenceParams(max_parallel_requests=in_flight)
    provider = config.ModelProvider(name="mock", endpoint=url, api_key="none")
    models = [
        config.ModelConfig(
            alias=name,
            model=name,
            provider="mock",
            inference_parameters=parameters,
            skip_health_check=True,
        )
        for name in ("writer", "checker")
    ]
    builder = config.DataDesignerConfigBuilder(model_configs=models)
    labels = config.CategorySamplerParams(values=["good", "bad"])
    builder.add_column(
        config.SamplerColumnConfig(name="label", sampler_type="category", params=labels)
    )
    for name, model, prompt in (
        ("text", "writer", "Write a review that is '{{ label }}'."),
        ("check", "checker", 'Is it good or bad? Text: "{{ text }}"'),
    ):
        builder.add_column(config.LLMTextColumnConfig(name=name, model_alias=model, prompt=prompt))
    with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(sys.stderr):
        designer = interface.DataDesigner(folder, model_providers=[provider])
        began = time.perf_counter()
        made = len(designer.create(builder, num_records=rows).load_dataset())
        seconds = time.perf_counter() - began
    print(json.dumps({"rows": made, "seconds": seconds}))


if __name__ == "__main__":
    main()
