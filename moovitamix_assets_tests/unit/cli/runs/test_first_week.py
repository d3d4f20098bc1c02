"""Nightly runs one after the other: what each runs, and that decisions are followed but for the last day."""

from collections.abc import Mapping
from contextlib import contextmanager
from datetime import date
from pathlib import Path

import pytest
from dagster import RunRequest

from foundation.progress import NoProgress
from moovitamix_assets.cli.runs import first_week
from moovitamix_assets.settings import Settings

DAYS = [date(2026, 9, 8), date(2026, 9, 9)]


@pytest.fixture
def runs(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str]]:
    """The runs, by job and partition."""
    started: list[tuple[str, str]] = []

    def run(job: str, settings: Settings, tags: Mapping[str, str], *_: object, **options: object) -> None:
        started.append((job, tags.get("dagster/partition", "")))

    monkeypatch.setattr(first_week, "run_job", run)
    return started


def test_decisions_are_followed_on_every_day_but_the_last(
    runs: list[tuple[str, str]], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    due = [
        [RunRequest("decide-a", job_name="decide", run_config={})],
        [RunRequest("recommend-a", job_name="recommend", partition_key=f"{DAYS[0]}")],
        [RunRequest("recommend-a", job_name="recommend", partition_key=f"{DAYS[0]}")],
    ]
    monkeypatch.setattr(first_week, "_requests", lambda *_: due.pop(0))
    first_week.run_nightly_days(Settings(data_dir=tmp_path), DAYS, None, NoProgress(), {})
    assert runs == [
        ("recommend_and_measure", f"{DAYS[0]}"),
        ("decide", ""),
        ("recommend", f"{DAYS[0]}"),
        ("recommend_and_measure", f"{DAYS[1]}"),
    ]


def test_progress_counts_the_days(
    runs: list[tuple[str, str]], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    shown: list[tuple[int, int]] = []

    class Shown:
        @contextmanager
        def track(self, description: str):
            yield lambda done, total: shown.append((done, total))

    monkeypatch.setattr(first_week, "_requests", lambda *_: [])
    first_week.run_nightly_days(Settings(data_dir=tmp_path), DAYS, None, Shown(), {})
    assert shown == [(1, 2), (2, 2)]
