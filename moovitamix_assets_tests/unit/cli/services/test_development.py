import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from foundation.ports import PortInUse
from moovitamix_assets.cli.services import development, quiet_dagster
from moovitamix_assets.cli.services.development import _workspace, run_development
from moovitamix_assets.settings import Settings

Play = Callable[[str], list[int]]

lines: list[str] = []


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
    def open_instance(data_dir: Path) -> Iterator[None]:
        yield None

    def played(program: str) -> list[int]:
        def instead(arguments: list[str], **options: object) -> "subprocess.Popen[bytes]":
            assert arguments[:4] == [sys.executable, "-m", quiet_dagster.__name__, "dev"]
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
    assert run_development(Settings(), lines.append) == code


LOOKS = (
    "import os, sys; wanted = dict(pair.split('=') for pair in {!r}.split()); "
    "raise SystemExit(any(os.environ[name] != value for name, value in wanted.items()))"
)


@pytest.fixture
def taken() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def test_the_code_location_looks_where_the_source_listens_and_links_lead_to_the_ui(play: Play) -> None:
    play(LOOKS.format("MOOVITAMIX_API_URL=http://127.0.0.1:7 MOOVITAMIX_UI_URL=http://127.0.0.1:3456"))
    lines.clear()
    assert run_development(Settings(), lines.append, port=3456) == 0
    assert lines == ["Source at http://127.0.0.1:7", "Dagster UI at http://127.0.0.1:3456"]


def test_the_data_folder_of_the_command_is_that_of_the_code_location(play: Play, tmp_path: Path) -> None:
    play(LOOKS.format(f"MOOVITAMIX_DATA_DIR={tmp_path}/other"))
    assert run_development(Settings(data_dir=tmp_path / "other"), lines.append) == 0


def test_a_link_that_was_set_stays(play: Play) -> None:
    play(LOOKS.format("MOOVITAMIX_UI_URL=https://dagster.example.org"))
    assert run_development(Settings(ui_url="https://dagster.example.org"), lines.append) == 0


def test_ports_in_use_are_replaced_unless_they_were_asked_for(
    play: Play, taken: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    ports = play("pass")
    monkeypatch.setattr(development, "_UI_PORT", taken)
    lines.clear()
    assert run_development(Settings(), lines.append) == 0
    own = f"process {os.getpid()} "
    assert lines[0].startswith(f"Port {taken} is in use by {own}")
    port = lines[-1].rpartition(":")[2]
    assert f"the Dagster UI gets port {port} (--port chooses another)" in lines[0]
    assert int(port) != taken
    for asked in ({"port": taken}, {"source_port": taken}):
        with pytest.raises(PortInUse, match=str(taken)):
            run_development(Settings(), lines.append, **asked)
    assert taken not in ports


def test_no_source_is_started_beside_one_that_is_named(play: Play) -> None:
    ports = play("import os; raise SystemExit(os.environ['MOOVITAMIX_API_URL'] != 'http://127.0.0.1:9')")
    assert run_development(Settings(api_url="http://127.0.0.1:9"), lines.append) == 0
    assert ports == []


INTERRUPT = "import os, signal, time; os.kill(os.getppid(), signal.SIGINT)\n"


def test_an_interruption_is_passed_on_once_and_is_no_failure(play: Play) -> None:
    play(
        "import signal\n"
        "def ended(*_): signal.signal(signal.SIGINT, lambda *_: None); raise SystemExit(7)\n"
        "signal.signal(signal.SIGINT, ended)\n" + INTERRUPT + "time.sleep(60)"
    )
    assert run_development(Settings(), lines.append) == 0


def test_what_does_not_end_after_an_interruption_is_killed(
    play: Play, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(development, "_STOP_SECONDS", 0.3)
    play("import signal; signal.signal(signal.SIGINT, signal.SIG_IGN)\n" + INTERRUPT + "time.sleep(60)")
    assert run_development(Settings(), lines.append) == 0


def test_what_it_started_ends_with_it(play: Play, tmp_path: Path) -> None:
    child = tmp_path / "child"
    play(
        "import subprocess, sys, pathlib\n"
        "process = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)'])\n"
        f"pathlib.Path({str(child)!r}).write_text(str(process.pid))"
    )
    assert run_development(Settings(), lines.append) == 0
    pid = int(child.read_text())
    for _ in range(200):
        state = Path(f"/proc/{pid}/stat")
        if not state.exists() or state.read_text().rpartition(")")[2].split()[0] == "Z":
            return
        os.sched_yield()
        signal.sigtimedwait([], 0.05)
    raise AssertionError("the child lives on")


def test_dagster_is_given_the_records_inside_a_data_folder_and_finds_the_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("DAGSTER_HOME", raising=False)
    monkeypatch.chdir(tmp_path)
    assert development._home_of(Path("data")) == {}
    assert development._home_of(Path("other")) == {"DAGSTER_HOME": f"{tmp_path}/other/.dagster_home"}
    monkeypatch.setenv("DAGSTER_HOME", f"{tmp_path}/chosen")
    assert development._home_of(Path("other")) == {}
