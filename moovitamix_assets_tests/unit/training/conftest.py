"""A folder in memory where that is possible: making MLflow's database is hundreds of small transactions."""

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

_MEMORY = Path("/dev/shm")
_MEMORY_NEEDED = 1_000_000_000


@pytest.fixture
def memory_folder(tmp_path: Path) -> Iterator[Path]:
    in_memory = _MEMORY.is_dir() and shutil.disk_usage(_MEMORY).free > _MEMORY_NEEDED
    folder = Path(tempfile.mkdtemp(prefix="moovitamix-", dir=_MEMORY if in_memory else tmp_path))
    yield folder
    shutil.rmtree(folder)
