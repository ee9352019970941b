"""Whatever the API's own description allows is answered, and never by an error of the server."""

import subprocess
import sys

import pytest
from tests_web_support import question


@pytest.mark.slow
def test_schemathesis_finds_no_error_of_the_server(served, tmp_path):
    server = served([question(number) for number in range(8)])
    # Streams never end.
    command = [
        *(sys.executable, "-m", "schemathesis.cli", "run", f"{server.url}/api/openapi.json"),
        *("-H", f"Authorization: Bearer {server.token('olga', 'owner')}"),
        *("--checks", "not_a_server_error", "--exclude-path-regex", "stream"),
        *("--max-examples", "5", "--phases", "examples,fuzzing", "--request-timeout", "60"),
        *("--seed", "1", "--no-color"),
    ]
    # It keeps what it found where it runs.
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-6000:]
    assert " generated, " in done.stdout
