"""The bundled source as a process: waited for, ended whatever it does, and never started in place of a named one."""

import os
import subprocess
import sys
from collections.abc import Callable

import psutil
import pytest

from moovitamix_assets.cli.runs import bundled_source as source
from moovitamix_assets.cli.runs.bundled_source import SourceNotStarted, bundled_source, source_for
from moovitamix_assets.settings import Settings

READY = 'print("warming up", flush=True); print("mock_api listening on http://127.0.0.1:7", flush=True); '

Play = Callable[[str], list["subprocess.Popen[str]"]]


@pytest.fixture
def play(monkeypatch: pytest.MonkeyPatch) -> Play:
    """Has a program played in place of the source; the processes that were started."""

    def started(program: str) -> list["subprocess.Popen[str]"]:
        processes = []
        start = subprocess.Popen

        def instead(arguments: list[str], **options: object) -> "subprocess.Popen[str]":
            assert arguments[:3] == [sys.executable, "-m", "mock_api"]
            processes.append(start([sys.executable, "-c", program, *arguments[3:]], **options))
            return processes[-1]

        monkeypatch.setattr(source.subprocess, "Popen", instead)
        return processes

    return started


def test_its_address_is_what_it_says_once_it_is_ready_and_it_is_ended_on_leaving(play: Play) -> None:
    processes = play(READY + "import time; time.sleep(60)")
    with bundled_source(port=7) as url:
        assert url == "http://127.0.0.1:7"
        (process,) = processes
        assert process.poll() is None
        assert process.args[-2:] == ["--port", "7"]
    assert process.poll() is not None


def test_one_that_ends_before_it_is_ready_is_an_error_with_its_exit_code(play: Play) -> None:
    play("import sys; print('port taken'); sys.exit(3)")
    with pytest.raises(SourceNotStarted, match="exit code 3"), bundled_source(port=0):
        pass


def test_one_that_says_nothing_is_given_up_and_ended(play: Play, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(source, "_START_SECONDS", 0.1)
    processes = play("import time; time.sleep(60)")
    with pytest.raises(SourceNotStarted, match="not ready after"), bundled_source(port=0):
        pass
    assert processes[0].poll() is not None


def test_one_that_does_not_end_is_killed(play: Play, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(source, "_STOP_SECONDS", 0.1)
    deaf = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); " + READY + "time.sleep(60)"
    processes = play(deaf)
    with bundled_source(port=0):
        pass
    assert processes[0].poll() == -9


def test_one_that_says_much_more_than_anybody_reads_goes_on(play: Play) -> None:
    processes = play(READY + "print('x' * 1_000_000, flush=True); raise SystemExit(5)")
    with bundled_source(port=0):
        assert processes[0].wait(30) == 5


def test_a_source_that_is_named_is_used_and_none_started(play: Play) -> None:
    processes = play("raise SystemExit(1)")
    named = Settings(api_url="https://api.example.org")
    with source_for(named) as sourced:
        assert sourced is named
    assert processes == []


def test_without_one_the_bundled_one_answers_on_a_free_port(play: Play) -> None:
    processes = play(READY + "import time; time.sleep(60)")
    with source_for(Settings(seed=3)) as sourced:
        assert (str(sourced.source.api_url), sourced.training.seed) == ("http://127.0.0.1:7", 3)
        assert processes[0].args[-1] == "0"


STARTS_THE_SOURCE = """
import time
from moovitamix_assets.cli.runs.bundled_source import bundled_source
with bundled_source(port=0) as url:
    print(url, flush=True)
    time.sleep(600)
"""


def test_it_ends_with_a_process_that_is_killed() -> None:
    small = {"MOCK_API_TRACKS": "50"}
    with subprocess.Popen(
        [sys.executable, "-c", STARTS_THE_SOURCE],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, **small},
    ) as parent:
        assert parent.stdout is not None
        assert parent.stdout.readline().startswith("http://127.0.0.1:")
        (child,) = psutil.Process(parent.pid).children()
        parent.kill()
    assert child.wait(30) in (0, None), "None where another process was given it"
    assert not child.is_running()
