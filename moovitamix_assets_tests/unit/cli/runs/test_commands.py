"""The end of `moovitamix run`, whose copy of the warehouse may fail; and the reasons that commands pass on."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from types import ModuleType

import pytest
from typer.testing import CliRunner, Result

from foundation.errors import Explained
from foundation.warehouse import copying
from foundation.warehouse.copying import copy_of
from moovitamix_assets.automation import training_records
from moovitamix_assets.cli.app import app
from moovitamix_assets.cli.interface import instance
from moovitamix_assets.cli.runs import pipeline, retraining_now
from moovitamix_assets.cli.runs.pipeline import Missing, Outcome
from moovitamix_assets.settings import Settings
from moovitamix_assets.warehouse.connection import write_warehouse
from moovitamix_assets_tests.integration.deployment import environment
from moovitamix_assets_tests.unit.operations.loads import add_loads


@pytest.fixture
def run(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    """Run the command with a pipeline that finds one day loaded and nothing missing."""

    def pipeline_without_work(*arguments: object, **options: object) -> Outcome:
        return Outcome(Missing([], decision=False, made=False))

    with write_warehouse(Settings(data_dir=tmp_path / "data").warehouse_path) as connection:
        add_loads(connection, date(2026, 9, 1))
    monkeypatch.chdir(home)
    monkeypatch.setattr(pipeline, "run_pipeline", pipeline_without_work)
    variables = environment(tmp_path / "data", "http://127.0.0.1:9")
    return lambda **more: CliRunner().invoke(app, ["run", "--to", "2026-09-01"], env=variables | more)


def test_it_ends_with_a_copy_of_the_warehouse(run: Callable[..., Result], tmp_path: Path) -> None:
    copy = copy_of(tmp_path / "data" / "warehouse.duckdb")
    assert run(MOOVITAMIX_WAREHOUSE_COPY="false").exit_code == 0
    assert not copy.exists()
    assert run().exit_code == 0
    assert copy.exists()


def test_a_copy_that_fails_is_a_warning(
    run: Callable[..., Result], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(copying, "_LEFT_FREE", 1e12)
    result = run()
    assert result.exit_code == 0
    assert "warehouse_copy.duckdb was not written" in " ".join(result.output.split())


@pytest.mark.parametrize(
    ("arguments", "module", "name"),
    [
        (("rollback",), pipeline, "run_rollback"),
        (("retrain",), training_records, "request_retraining"),
        (("retrain", "--cancel"), training_records, "withdraw_request"),
        (("retrain", "--now"), retraining_now, "train_now"),
    ],
)
def test_a_reason_is_passed_on_for_the_record(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    arguments: tuple[str, ...],
    module: ModuleType,
    name: str,
) -> None:
    given: list[object] = []

    def record(*values: object) -> None:
        given.extend(values)
        raise Explained("Recorded.")

    @contextmanager
    def opened(data_dir: Path) -> Iterator[None]:
        yield None

    with write_warehouse(Settings(data_dir=tmp_path).warehouse_path) as connection:
        add_loads(connection, date(2026, 9, 1))
    monkeypatch.setattr(instance, "open_instance", opened)
    monkeypatch.setattr(module, name, record)
    result = CliRunner().invoke(
        app, [*arguments, "--reason", "The catalogue was cleaned.", "--data-dir", f"{tmp_path}"]
    )
    assert "Recorded." in result.output
    assert "The catalogue was cleaned." in given
