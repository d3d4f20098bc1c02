"""The `moovitamix` command as a person meets it: exit codes, messages, and two of them at once."""

import shutil
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from mock_api.server import running_server
from moovitamix_assets.cli.app import app
from moovitamix_assets_tests.conftest import FIRST, LAST, small_world
from moovitamix_assets_tests.integration import fingerprints
from moovitamix_assets_tests.integration.deployment import Deployment, environment, finish, moovitamix

RANGE = ("run", "--from", FIRST.isoformat(), "--to", LAST.isoformat())

Invoke = Callable[..., Result]


@pytest.fixture
def invoke(home: Path, tmp_path: Path, source_url: str, monkeypatch: pytest.MonkeyPatch) -> Invoke:
    """Runs the command inside this process, on a data directory of the test's own."""
    monkeypatch.chdir(home)

    hasty = {"MOOVITAMIX_REQUEST_RETRIES": "1", "MOOVITAMIX_RETRY_BACKOFF_SECONDS": "0.001"}

    def run(*arguments: str, url: str = source_url) -> Result:
        return CliRunner().invoke(app, arguments, env=environment(tmp_path / "data", url, **hasty))

    return run


@pytest.mark.parametrize(
    ("arguments", "value", "remedy"),
    [
        (("--from", "2026-08-31"), "2026-08-31", "Choose a later day"),
        (("--from", "yesterday"), "yesterday", "2026-09-30"),
        (("--from", "2026-09-03", "--to", "2026-09-02"), "2026-09-03", "2026-09-02"),
        (("--to", "2999-01-01"), "2999-01-01", f"{datetime.now(UTC).date() - timedelta(days=1)}"),
        (("--to", "2026-02-30"), "2026-02-30", "2026-09-30"),
        (("--source-url", "localhost:8000"), "localhost:8000", "http://127.0.0.1:8000"),
        (("--source-url", ""), "''", "http://127.0.0.1:8000"),
        (("--source-url", "http://"), "http://", "http://127.0.0.1:8000"),
    ],
)
def test_a_bad_value_is_named_with_its_remedy(
    arguments: tuple[str, ...], value: str, remedy: str, invoke: Invoke, tmp_path: Path
) -> None:
    result = invoke("run", *arguments)
    assert result.exit_code == 2, result.output
    assert value in result.output
    assert remedy in result.output
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize("kind", ["a file", "below a file"])
def test_a_data_dir_that_is_none_is_named_with_its_remedy(kind: str, invoke: Invoke, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    chosen = tmp_path / "notes.txt" if kind == "a file" else tmp_path / "notes.txt" / "data"
    result = invoke(*RANGE, "--data-dir", str(chosen))
    assert result.exit_code == 2, result.output
    assert str(chosen) in result.output
    assert "another" in result.output
    assert (tmp_path / "notes.txt").read_text() == "mine"


def test_a_source_that_is_not_there_fails_with_a_remedy(invoke: Invoke) -> None:
    result = invoke(*RANGE, "--source-url", "http://127.0.0.1:9", url="http://127.0.0.1:9")
    assert result.exit_code == 1
    assert "http://127.0.0.1:9" in result.output
    assert "MOOVITAMIX_API_URL" in result.output
    assert "Traceback" not in result.output


def test_a_page_that_always_fails_ends_the_command(invoke: Invoke) -> None:
    with running_server(small_world(fault_always="listen_history:2")) as url:
        result = invoke(*RANGE, url=url)
    assert result.exit_code == 1
    assert "Page 2 of listen_history could not be read" in result.output
    assert f"{url}/listen_history?page=2" in result.output
    assert "503" in result.output


def test_days_that_have_not_ended_by_the_clock_of_the_source_are_not_run(
    invoke: Invoke, tmp_path: Path
) -> None:
    result = invoke("run")
    assert result.exit_code == 1, result.output
    assert "has not ended" in result.output
    assert "by the machine's clock, 2026-09-06 12:00 by the source's" in result.output
    assert not (tmp_path / "data").exists()


def test_a_regenerated_source_fails_though_nothing_is_missing(
    invoke: Invoke, undisturbed: Deployment, tmp_path: Path
) -> None:
    shutil.copytree(undisturbed.data_dir, tmp_path / "data")
    assert invoke(*RANGE).exit_code == 0
    with running_server(small_world(seed=2)) as url:
        result = invoke(*RANGE, url=url)
    assert result.exit_code == 1
    assert "the source was regenerated" in result.output
    assert "moovitamix reset" in result.output
    assert fingerprints.everything(tmp_path / "data") == fingerprints.everything(undisturbed.data_dir)


def test_a_start_date_moved_after_the_first_load_is_refused(
    invoke: Invoke, undisturbed: Deployment, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MOOVITAMIX_START_DATE", "2026-09-02")
    before = fingerprints.everything(undisturbed.data_dir)
    result = invoke("run", "--to", LAST.isoformat(), "--data-dir", str(undisturbed.data_dir))
    assert result.exit_code == 2, result.output
    assert "MOOVITAMIX_START_DATE is 2026-09-02" in result.output
    assert "Set it back to 2026-09-01" in result.output
    assert fingerprints.everything(undisturbed.data_dir) == before


def test_two_runs_at_once_leave_what_one_leaves(
    home: Path, tmp_path: Path, source_url: str, undisturbed: Deployment
) -> None:
    variables = environment(tmp_path / "data", source_url)
    both = [moovitamix(home, variables, *RANGE) for _ in range(2)]
    for process in both:
        code, output = finish(process)
        assert code == 0, output
        assert "Records from" in output
    assert fingerprints.everything(tmp_path / "data") == fingerprints.everything(undisturbed.data_dir)
