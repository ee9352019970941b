"""Whatever the API's own description allows is answered, and never by an error of the server."""

import os
import subprocess
import sys
from importlib.util import find_spec

import pytest
from tests_web_support import question

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(1800),
    pytest.mark.skipif(
        "QUERIST_WHOLE" not in os.environ or find_spec("schemathesis") is None,
        reason="some minutes: pip install schemathesis and set QUERIST_WHOLE=1 to run it",
    ),
]


def test_schemathesis_finds_no_error_of_the_server(served):
    server = served([question(number) for number in range(8)])
    # Streams never end, and lines longer than a request may be are refused before they are read.
    command = [
        *(sys.executable, "-m", "schemathesis.cli", "run", f"{server.url}/api/openapi.json"),
        *("-H", f"Authorization: Bearer {server.token('olga', 'owner')}"),
        *("--checks", "not_a_server_error", "--exclude-path-regex", "stream"),
        *("--max-examples", "5", "--phases", "examples,fuzzing", "--request-timeout", "60"),
        *("--seed", "1", "--no-color"),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-6000:]
