import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from moovitamix_assets.cli.services import development
from moovitamix_assets.cli.services.development import _workspace, run_development
from moovitamix_assets.settings import Settings

Play = Callable[[str], list[int]]


def test_dagster_is_reported_what_to_load_in_a_folder_that_does_not_say_it(tmp_path: Path) -> None:
    option, workspace = _workspace(tmp_path)
    assert option == "--workspace"
    assert "moovitamix_assets.definitions" in Path(workspace).read_text()
    (tmp_path / "workspace.yaml").write_text("load_from: []")
    assert _workspace(tmp_path) == []


@pytest.fixture
def play(monkeypatch: pytest.MonkeyPatch) -> Iterator[Play]:
    """Has a program played in place of `dagster dev`; the ports on which a source was started."""
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    ports: list[int] = []
    start = subprocess.Popen

    @contextmanager
    def bundled_source(port: int) -> Iterator[str]:
        ports.append(port)
        yield "http://127.0.0.1:7"

    @contextmanager
    def open_instance() -> Iterator[None]:
        yield None

    def played(program: str) -> list[int]:
        def instead(arguments: list[str], **options: object) -> "subprocess.Popen[bytes]":
            assert arguments[:4] == [sys.executable, "-m", "dagster", "dev"]
            return start([sys.executable, "-c", program], **options)

        monkeypatch.setattr(development.subprocess, "Popen", instead)
        return ports

    monkeypatch.setattr(development, "bundled_source", bundled_source)
    monkeypatch.setattr(development, "open_instance", open_instance)
    yield played
    for number, handler in handlers.items():
        signal.signal(number, handler)


@pytest.mark.parametrize("code", [0, 3])
def test_it_ends_as_dagster_does(play: Play, code: int) -> None:
    play(f"raise SystemExit({code})")
    assert run_development(Settings()) == code


def test_the_source_listens_where_the_code_location_looks_for_it(play: Play) -> None:
    looks = "import os; raise SystemExit(os.environ['MOOVITAMIX_API_URL'] != 'http://127.0.0.1:8000')"
    assert play(looks) == []
    assert run_development(Settings()) == 0
    assert play(looks) == [8000]


def test_no_source_is_started_beside_one_that_is_named(play: Play) -> None:
    ports = play("import os; raise SystemExit(os.environ['MOOVITAMIX_API_URL'] != 'http://127.0.0.1:9')")
    assert run_development(Settings(api_url="http://127.0.0.1:9")) == 0
    assert ports == []


INTERRUPT = "import os, signal, time; os.kill(os.getppid(), signal.SIGINT)\n"


def test_an_interruption_is_passed_on_once_and_is_no_failure(play: Play) -> None:
    play(
        "import signal\n"
        "def ended(*_): signal.signal(signal.SIGINT, lambda *_: None); raise SystemExit(7)\n"
        "signal.signal(signal.SIGINT, ended)\n" + INTERRUPT + "time.sleep(60)"
    )
    assert run_development(Settings()) == 0


def test_what_does_not_end_after_an_interruption_is_killed(
    play: Play, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(development, "_STOP_SECONDS", 0.3)
    play("import signal; signal.signal(signal.SIGINT, signal.SIG_IGN)\n" + INTERRUPT + "time.sleep(60)")
    assert run_development(Settings()) == 0


def test_what_it_started_ends_with_it(play: Play, tmp_path: Path) -> None:
    child = tmp_path / "child"
    play(
        "import subprocess, sys, pathlib\n"
        "process = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)'])\n"
        f"pathlib.Path({str(child)!r}).write_text(str(process.pid))"
    )
    assert run_development(Settings()) == 0
    pid = int(child.read_text())
    for _ in range(200):
        state = Path(f"/proc/{pid}/stat")
        if not state.exists() or state.read_text().rpartition(")")[2].split()[0] == "Z":
            return
        os.sched_yield()
        signal.sigtimedwait([], 0.05)
    raise AssertionError("the child lives on")
