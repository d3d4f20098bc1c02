"""What integration and end-to-end tests share: a small world, and a deployment that read it undisturbed."""

import os
import shutil
import signal
import tempfile
from collections.abc import Callable, Iterator
from datetime import date, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

# Partitions are defined when the package is imported: no setting of the caller's shell may reach the tests.
for name in [name for name in os.environ if name.startswith(("MOOVITAMIX_", "MOCK_API_", "DAGSTER_"))]:
    del os.environ[name]
# A shell starts its background jobs with Ctrl-C ignored, and what the tests start would inherit that.
signal.signal(signal.SIGINT, signal.default_int_handler)

# What is heavy is imported where it is used: the process that only hands out tests imports this module too.
from mock_api.settings import MockApiSettings  # noqa: E402

if TYPE_CHECKING:
    from moovitamix_assets_tests.integration.deployment import Deployment

FIRST, LAST = date(2026, 9, 1), date(2026, 9, 5)
_MEMORY = Path("/dev/shm")
_MEMORY_NEEDED = 1_000_000_000


def small_world(**knobs: object) -> MockApiSettings:
    """A source with 60 people and four weeks of history, whose clock stands at noon after the last day."""
    sizes = {"people": 60, "tracks": 100, "sessions_a_day": 30, "first_day": date(2026, 8, 4)}
    return MockApiSettings(**{"port": 0, "now": datetime(2026, 9, 6, 12)} | sizes | knobs)


@pytest.fixture(scope="session")
def source_url() -> Iterator[str]:
    """Where the small world answers."""
    from mock_api.server import running_server

    with running_server(small_world()) as url:
        yield url


@pytest.fixture(scope="session")
def undisturbed(source_url: str, tmp_path_factory: pytest.TempPathFactory) -> "Deployment":
    """The small world read once, in one run, without any disturbance. Only to be looked at."""
    from moovitamix_assets_tests.integration.deployment import Deployment

    deployment = Deployment(tmp_path_factory.mktemp("undisturbed") / "data", source_url)
    deployment.run(FIRST, LAST)
    return deployment


@pytest.fixture
def new_deployment(tmp_path: Path, source_url: str) -> "Callable[..., Deployment]":
    """Makes empty deployments by name, on the small world unless another source is given."""
    from moovitamix_assets_tests.integration.deployment import Deployment

    def make(name: str = "data", url: str = source_url, **settings: object) -> Deployment:
        return Deployment(tmp_path / name, url, **settings)

    return make


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Path]:
    """A working directory with the project's dagster.yaml; in memory where that is possible.

    Dagster's event log is a thousand small SQLite transactions a run, and a disk makes each of them wait.
    """
    in_memory = _MEMORY.is_dir() and shutil.disk_usage(_MEMORY).free > _MEMORY_NEEDED
    folder = Path(tempfile.mkdtemp(prefix="moovitamix-", dir=_MEMORY if in_memory else tmp_path))
    project = Path(__file__).parents[1]
    shutil.copy(project / "dagster.yaml", folder)
    yield folder
    shutil.rmtree(folder)
