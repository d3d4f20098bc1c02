"""`moovitamix serve` as a process: it answers, follows publications, and stops at once when asked to."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from foundation.publishing.generations import Generations
from moovitamix_serving_tests.publications import TRACKS, publication, publish


def serve(data_dir: Path, *options: str, **variables: str) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-m", "moovitamix_assets.cli", "serve", "--data-dir", str(data_dir), *options],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONUNBUFFERED": "1", **variables},
    )


def url_of(process: "subprocess.Popen[str]") -> str:
    assert process.stdout is not None
    return process.stdout.readline().split()[2].rstrip(",")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_says_where_it_answers_and_ends_when_asked_to(tmp_path: Path, number: signal.Signals) -> None:
    publish(Generations(tmp_path / "serving", ""), publication())
    process = serve(tmp_path, "--port", "0")
    try:
        url = url_of(process)
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


def test_under_requests_every_answer_is_of_one_generation_while_others_replace_it(tmp_path: Path) -> None:
    """Version v<n> recommends from row n modulo five on: an answer of two generations would contradict itself."""
    generations = Generations(tmp_path / "serving", "")
    publish(generations, publication(version="v0", first=0))
    process = serve(tmp_path, "--port", "0", MOOVITAMIX_SERVING_WATCH_SECONDS="0.01")
    ended = threading.Event()

    def ask(url: str) -> list[str]:
        versions = []
        while not ended.is_set():
            with urllib.request.urlopen(url, timeout=30) as response:
                answer, headers = json.load(response), response.headers
            first = int(answer["model_version"][1:]) % len(TRACKS)
            expected = [TRACKS[(first + place) % len(TRACKS)] for place in range(3)]
            assert [each["track"]["track_id"] for each in answer["recommendations"]] == expected
            assert (headers["x-generation"], headers["x-model-version"]) == (
                answer["generation"],
                answer["model_version"],
            )
            versions.append(answer["model_version"])
        return versions

    try:
        url = f"{url_of(process)}/v1/recommendations/7"
        with ThreadPoolExecutor(3) as threads:
            asking = [threads.submit(ask, url) for _ in range(3)]
            try:
                for number in range(1, 25):
                    publish(
                        generations, publication(version=f"v{number}", first=number % len(TRACKS)), kept=2
                    )
                    time.sleep(0.05)
            finally:
                ended.set()
            seen = {version for each in asking for version in each.result()}
    finally:
        process.kill()
        process.communicate()
    assert len(seen) > 3
