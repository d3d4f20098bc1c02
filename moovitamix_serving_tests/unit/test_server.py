"""`moovitamix serve` as a process: it answers, follows publications, and stops at once when asked to."""

import json
import os
import signal
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest

from foundation.publishing.generations import Generations
from moovitamix_serving_tests.publications import publication, publish


def serve(data_dir: Path, *options: str) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-m", "moovitamix_assets.cli", "serve", "--data-dir", str(data_dir), *options],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    )


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_says_where_it_answers_and_ends_when_asked_to(tmp_path: Path, number: signal.Signals) -> None:
    publish(Generations(tmp_path / "serving", ""), publication())
    process = serve(tmp_path, "--port", "0")
    try:
        assert process.stdout is not None
        url = process.stdout.readline().split()[2].rstrip(",")
        with urllib.request.urlopen(f"{url}/v1/recommendations/7?k=1", timeout=30) as response:
            assert json.load(response)["recommendations"][0]["track"]["track_id"] == 10
        process.send_signal(number)
        _, errors = process.communicate(timeout=30)
    finally:
        process.kill()
    assert "Traceback" not in errors


def test_it_refuses_in_words_to_serve_others_without_keys(tmp_path: Path) -> None:
    process = serve(tmp_path, "--port", "0", "--host", "0.0.0.0")
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 2
    assert "moovitamix api-key" in errors
    assert "Traceback" not in errors
