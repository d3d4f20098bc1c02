"""The source over real sockets: what a reader meets on the wire, the clock, the log and the command line."""

import json
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import requests

from mock_api.__main__ import main, read_settings
from mock_api.served_log import record_sha256
from mock_api.server import running_server
from moovitamix_assets_tests.unit.mock_api.conftest import read_all, small_settings

TIMEOUT_SECONDS = 10


def test_a_dropped_connection_sends_nothing() -> None:
    with running_server(small_settings(port=0, fault_dropped=1)) as url:
        with pytest.raises(requests.exceptions.ConnectionError, match=r"without response|reset"):
            requests.get(f"{url}/users", timeout=TIMEOUT_SECONDS)
        assert requests.get(f"{url}/openapi.json", timeout=TIMEOUT_SECONDS).ok


def test_a_truncated_body_is_shorter_than_it_says() -> None:
    with running_server(small_settings(port=0, fault_truncated=1)) as url:
        with requests.get(f"{url}/users", timeout=TIMEOUT_SECONDS, stream=True) as answer:
            assert answer.status_code == 200
            declared = int(answer.headers["content-length"])
            with pytest.raises(requests.exceptions.ChunkedEncodingError):
                _ = answer.content
        assert declared > 10_000


def test_the_clock_moves_on_request_alone() -> None:
    with running_server(small_settings(port=0)) as url, requests.Session() as session:
        before = session.get(f"{url}/listen_history", timeout=TIMEOUT_SECONDS)
        assert session.get(f"{url}/listen_history", timeout=TIMEOUT_SECONDS).content == before.content
        moved = session.post(f"{url}/_clock", json={"now": "2026-08-17T00:00:00Z"}, timeout=TIMEOUT_SECONDS)
        assert moved.json() == {"now": "2026-08-17T00:00:00"}
        assert session.get(f"{url}/_clock", timeout=TIMEOUT_SECONDS).json() == moved.json()
        after = session.get(f"{url}/listen_history", timeout=TIMEOUT_SECONDS).json()
        assert after["total"] > before.json()["total"]
        assert session.post(f"{url}/_clock", json={"now": "soon"}, timeout=TIMEOUT_SECONDS).status_code == 422
        assert "/_clock" not in session.get(f"{url}/openapi.json", timeout=TIMEOUT_SECONDS).json()["paths"]


def test_every_answer_is_dated_by_the_sources_own_clock() -> None:
    with running_server(small_settings(port=0, fault_always="users:2")) as url, requests.Session() as session:
        session.post(f"{url}/_clock", json={"now": "2027-01-31T23:59:00.5"}, timeout=TIMEOUT_SECONDS)
        for path in ("tracks", "users?page=2", "openapi.json", "nowhere"):
            raw = session.get(f"{url}/{path}", timeout=TIMEOUT_SECONDS).raw
            (dated,) = raw.headers.getlist("Date")
            # The clock goes on, and a machine may be busy.
            assert re.fullmatch(r"Sun, 31 Jan 2027 23:59:\d\d GMT", dated), path


def test_the_log_lists_what_was_served(tmp_path: Path) -> None:
    log = tmp_path / "served.jsonl"
    with running_server(small_settings(port=0, served_log=log)) as url, requests.Session() as session:
        received = read_all(session.get, f"{url}/users", updated_since="2026-08-03")
        session.get(f"{url}/users?page=0", timeout=TIMEOUT_SECONDS)
        session.get(f"{url}/openapi.json", timeout=TIMEOUT_SECONDS)
    (line,) = map(json.loads, log.read_text().splitlines())
    assert line.pop("sha256") == [record_sha256(record) for record in received]
    assert line == {
        "endpoint": "users",
        "page": 1,
        "size": 100,
        "total": len(received),
        "updated_since": "2026-08-03T00:00:00",
        "updated_before": None,
        "fault": None,
        "records": len(received),
    }


def test_the_command_line_serves_and_says_where() -> None:
    command = [
        sys.executable,
        "-m",
        "mock_api",
        "--port",
        "0",
        "--now",
        "2026-08-03T00:00:00",
        "--people",
        "20",
    ]
    with subprocess.Popen(
        [*command, "--tracks", "30"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            assert process.stdout is not None
            line = process.stdout.readline()
            assert line.startswith("mock_api listening on http://127.0.0.1:")
            url = line.split()[-1]
            assert requests.get(f"{url}/users", timeout=TIMEOUT_SECONDS).json()["total"] >= 20
        finally:
            process.terminate()
        _, errors = process.communicate(timeout=TIMEOUT_SECONDS)
    assert errors == ""


def test_a_flag_goes_before_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MOCK_API_SEED", "7")
    monkeypatch.setenv("MOCK_API_PEOPLE", "12")
    monkeypatch.setenv("MOCK_API_FAULT_ALWAYS", "users:2")
    settings = read_settings(["--seed", "8", "--fault-once", "tracks:1, listen_history:3"])
    assert (settings.seed, settings.people) == (8, 12)
    assert settings.fault_always == (("users", 2),)
    assert settings.fault_once == (("tracks", 1), ("listen_history", 3))


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["--dirty-share", "2"], "dirty_share"),
        (["--fault-always", "albums:1"], "fault_always"),
        (["--fault-always", "users"], "fault_always"),
        (["--fault-repeated-page", "users"], "fault_repeated_page"),
        (["--fault-halved-total", "albums"], "fault_halved_total"),
        (["--unknown", "1"], "unrecognized"),
    ],
)
def test_an_impossible_setting_is_named(
    arguments: list[str], reason: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        read_settings(arguments)
    assert reason in capsys.readouterr().err


def test_without_its_packages_the_command_names_them_and_the_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["mock_api", "--port", "0"])
    for name in ("faker", "orjson"):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(SystemExit, match=r"needs orjson, faker, which .* 'moovitamix-assets\[source\]'"):
        main()


def test_a_source_that_ends_with_its_parent_ends_quietly_at_ctrl_c() -> None:
    with subprocess.Popen(
        [sys.executable, "-m", "mock_api", "--until-stdin-closes", "--port", "0", "--people", "5"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert "listening" in process.stdout.readline()
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=30)
    assert "Fatal" not in errors
    assert "Traceback" not in errors
