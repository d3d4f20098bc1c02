"""A small pipeline in good order, which tests copy and then spoil."""

import shutil
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from moovitamix_assets_tests.checks.small_pipeline import PlainSource, SmallPipeline

FIRST, LAST = date(2026, 9, 1), date(2026, 9, 3)
TABLES = ("users", "tracks", "listens")


def user(number: object, at: str = "2026-09-01T08:00:00", **fields: object) -> dict[str, Any]:
    return {
        "id": number,
        "first_name": "Zebulon",
        "last_name": "Quillfeather",
        "email": f"zebulon{number}@quillfeather.example",
        "gender": "Agender",
        "favorite_genres": "Jazz",
        "created_at": at,
        "updated_at": at,
    } | fields


def track(number: object, at: str = "2026-09-01T08:00:00", **fields: object) -> dict[str, Any]:
    names = ("name", "artist", "songwriters", "album")
    return {"id": number, "duration": "03:21", "genres": "jazz", "created_at": at, "updated_at": at} | {
        name: f"{name} {number}" for name in names
    } | fields  # fmt: skip


def session(number: object, items: object, at: str, **fields: object) -> dict[str, Any]:
    return {"user_id": number, "items": items, "created_at": at, "updated_at": at} | fields


def good_records() -> dict[str, list[Any]]:
    days = ("2026-09-01", "2026-09-02", "2026-09-03")
    return {
        "users": [user(number, f"{days[number % 3]}T08:00:00") for number in range(1, 7)],
        "tracks": [track(number, f"{days[number % 3]}T08:00:00") for number in range(1, 10)],
        "listen_history": [
            session(number, [1, 2, 3], f"{day}T{10 + number}:00:00") for number in range(1, 7) for day in days
        ],
    }


@pytest.fixture(scope="session")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The data directory of a pipeline in good order. Only to be copied."""
    pipeline = SmallPipeline(tmp_path_factory.mktemp("pipeline") / "data", PlainSource(good_records()))
    result = pipeline.execute([*TABLES, *(f"raw_{table}" for table in TABLES)], FIRST, LAST)
    assert result.success
    return pipeline.settings.data_dir


@pytest.fixture
def pipeline(filled: Path, tmp_path: Path) -> SmallPipeline:
    """A pipeline in good order."""
    return SmallPipeline(shutil.copytree(filled, tmp_path / "data"), PlainSource(good_records()))


@pytest.fixture
def new_house(tmp_path: Path) -> Callable[..., SmallPipeline]:
    """Makes empty pipelines."""

    def make(records: dict[str, list[Any]], filtered: bool = False, **settings: Any) -> SmallPipeline:
        return SmallPipeline(tmp_path / "new", PlainSource(records, filtered), **settings)

    return make
