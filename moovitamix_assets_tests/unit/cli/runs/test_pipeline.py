"""What `moovitamix run` finds missing, and which runs it makes of that; the runs themselves are played here."""

from collections.abc import Mapping
from contextlib import contextmanager
from datetime import date, datetime
from pathlib import Path

import pytest

from foundation.landing.first_partition import StartDateMoved, record_first_partition
from foundation.progress import NoProgress
from foundation.warehouse.errors import WarehouseLocked
from foundation.warehouse.loads import record_made
from moovitamix_assets.cli.runs import pipeline
from moovitamix_assets.cli.runs.pipeline import Missing, find_missing, run_pipeline
from moovitamix_assets.ingestion.landing import landing_at
from moovitamix_assets.partitions import days_between
from moovitamix_assets.settings import Settings
from moovitamix_assets.warehouse.connection import write_warehouse
from moovitamix_assets.warehouse.loads import NIGHTLY_TABLES
from moovitamix_assets_tests.unit.automation.warehouses import decide_about
from moovitamix_assets_tests.unit.operations.loads import add_loads
from moovitamix_assets_tests.unit.warehouse.rows import add_session, add_tracks, add_users
from moovitamix_assets_tests.unit.warehouse.second_process import holding

FIRST, LAST = date(2026, 9, 1), date(2026, 9, 10)
DAYS = days_between(FIRST, LAST)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(data_dir=tmp_path, holdout_days=3, lookback_days=3)


def fill(
    settings: Settings, *missing: date, played_on: date = FIRST, decided: bool = True, listed: bool = True
) -> None:
    """Everything made up to LAST, but for what is said to be missing."""
    with write_warehouse(settings.warehouse_path) as connection:
        add_loads(connection, *(day for day in DAYS if day not in missing))
        add_users(connection, FIRST, 1)
        add_tracks(connection, FIRST, 10)
        add_session(connection, played_on, 1, [10], datetime.combine(played_on, datetime.min.time()))
        if decided:
            decide_about(connection, f"{LAST}-aaaaaaaa", "rejected")
        for table in NIGHTLY_TABLES if listed else ():
            record_made(connection, table, {LAST: 0})


def test_without_a_warehouse_everything_is_missing(settings: Settings) -> None:
    assert find_missing(settings, FIRST, LAST) == Missing(DAYS, decision=True, made=True)


def test_where_all_is_made_nothing_is_missing(settings: Settings) -> None:
    fill(settings)
    assert not find_missing(settings, FIRST, LAST)
    # Of the day before, there is neither a decision nor a list.
    assert find_missing(settings, FIRST, DAYS[-2]) == Missing([], decision=True, made=True)


def test_days_are_missing_one_by_one_and_at_both_ends(settings: Settings) -> None:
    fill(settings, FIRST, DAYS[4], LAST)
    with write_warehouse(settings.warehouse_path) as connection:
        add_loads(connection, DAYS[4], tables=("users", "tracks"))
    assert find_missing(settings, FIRST, LAST).days == [FIRST, DAYS[4], LAST]
    assert find_missing(settings, DAYS[1], DAYS[3]).days == []


@pytest.mark.parametrize(
    ("decided", "listed", "decision"), [(False, False, True), (True, False, False), (False, True, False)]
)
def test_a_decision_is_missing_where_nothing_was_made_of_the_day_either(
    settings: Settings, decided: bool, listed: bool, decision: bool
) -> None:
    fill(settings, decided=decided, listed=listed)
    missing = find_missing(settings, FIRST, LAST)
    assert missing == Missing([], decision=decision, made=not listed)


@pytest.mark.parametrize("missing", NIGHTLY_TABLES)
def test_one_table_that_was_not_made_is_enough(settings: Settings, missing: str) -> None:
    fill(settings, listed=False)
    with write_warehouse(settings.warehouse_path) as connection:
        for table in set(NIGHTLY_TABLES) - {missing}:
            record_made(connection, table, {LAST: 7})
        record_made(connection, missing, {DAYS[-2]: 7})
    assert find_missing(settings, FIRST, LAST) == Missing([], decision=False, made=True)


@pytest.mark.parametrize(("played_on", "learns"), [(date(2026, 9, 7), True), (date(2026, 9, 8), False)])
def test_no_decision_is_missing_where_nobody_played_before_the_holdout(
    settings: Settings, played_on: date, learns: bool
) -> None:
    fill(settings, played_on=played_on, decided=False, listed=False)
    assert find_missing(settings, FIRST, LAST).decision is learns


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, tuple[str, ...]]]:
    """The runs, by job and the days in its tags; the first one loads what is missing."""
    runs: list[tuple[str, tuple[str, ...]]] = []

    def run(job: str, settings: Settings, tags: Mapping[str, str], *_: object) -> None:
        runs.append((job, tuple(tags.values())))
        if job == "ingest" and not settings.warehouse_path.exists():
            fill(settings, decided=False, listed=False)

    @contextmanager
    def source_for(settings: Settings):
        yield settings

    monkeypatch.setattr(pipeline, "run_job", run)
    monkeypatch.setattr(pipeline, "source_for", source_for)
    return runs


def outcome(settings: Settings, first: date = FIRST, last: date = LAST) -> pipeline.Outcome:
    return run_pipeline(settings, first, last, None, NoProgress())


def test_a_first_run_reads_every_day_at_once_then_trains_recommends_and_measures(
    settings: Settings, made: list[tuple[str, tuple[str, ...]]]
) -> None:
    assert outcome(settings).missing.days == DAYS
    as_of = (f"{LAST}",)
    assert made == [
        ("ingest", (f"{FIRST}", f"{LAST}")),
        ("train", as_of),
        ("recommend_and_measure", as_of),
    ]


def test_a_first_run_makes_its_last_days_as_nightly_runs(
    settings: Settings, made: list[tuple[str, tuple[str, ...]]], monkeypatch: pytest.MonkeyPatch
) -> None:
    computed: list[date] = []
    monkeypatch.setattr(pipeline, "run_nightly_days", lambda settings, days, *_: computed.extend(days))
    run_pipeline(settings, FIRST, LAST, None, NoProgress(), nightly_days=5)
    as_of = (f"{DAYS[-6]}",)
    assert made == [("ingest", (f"{FIRST}", f"{LAST}")), ("train", as_of), ("recommend", as_of)]
    assert computed == DAYS[-5:]


@pytest.mark.parametrize("nightly_days", [7, 10])
def test_a_first_run_that_could_not_train_so_early_trains_as_of_its_last_day(
    settings: Settings, made: list[tuple[str, tuple[str, ...]]], nightly_days: int
) -> None:
    run_pipeline(settings, FIRST, LAST, None, NoProgress(), nightly_days=nightly_days)
    assert [job for job, _ in made] == ["ingest", "train", "recommend_and_measure"]


def test_where_nothing_is_missing_nothing_runs(
    settings: Settings, made: list[tuple[str, tuple[str, ...]]]
) -> None:
    fill(settings)
    assert not outcome(settings).missing
    assert made == []


def test_new_days_are_read_with_the_last_days_again_and_no_further_back_than_asked(
    settings: Settings, made: list[tuple[str, tuple[str, ...]]]
) -> None:
    fill(settings, LAST)
    outcome(settings)
    assert made[0] == ("ingest", ("2026-09-08", "2026-09-10"))
    outcome(settings, first=date(2026, 9, 9))
    assert ("ingest", ("2026-09-09", "2026-09-10")) in made


def test_a_gap_is_read_up_to_its_end_and_the_model_is_trained_on_it(
    settings: Settings, made: list[tuple[str, tuple[str, ...]]]
) -> None:
    fill(settings, DAYS[1], DAYS[4])
    outcome(settings)
    assert [job for job, _ in made] == ["ingest", "train", "recommend_and_measure"]
    assert made[0] == ("ingest", ("2026-09-02", "2026-09-05"))


def test_missing_recommendations_ask_for_no_training(
    settings: Settings, made: list[tuple[str, tuple[str, ...]]]
) -> None:
    fill(settings, listed=False)
    outcome(settings)
    assert [job for job, _ in made] == ["recommend_and_measure"]


def test_where_there_is_nothing_to_learn_everyone_gets_recommendations_without_a_training(
    settings: Settings, made: list[tuple[str, tuple[str, ...]]]
) -> None:
    fill(settings, LAST, played_on=LAST, decided=False, listed=False)
    assert outcome(settings).nothing_to_learn
    assert [job for job, _ in made] == ["ingest", "recommend_and_measure"]


def test_a_warehouse_that_another_program_reads_is_named_before_anything_runs(
    settings: Settings, made: list[tuple[str, tuple[str, ...]]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("foundation.warehouse.opening._LOCK_WAIT_SECONDS", 0.1)
    fill(settings, LAST)
    with holding(settings.warehouse_path, "reading") as reader:
        with pytest.raises(WarehouseLocked, match=f"held by process {reader.pid} "):
            outcome(settings)
        with pytest.raises(WarehouseLocked, match=f"held by process {reader.pid} "):
            outcome(settings, FIRST, DAYS[-2])
    assert made == []


def test_a_warehouse_that_another_program_reads_is_no_matter_where_nothing_is_missing(
    settings: Settings, made: list[tuple[str, tuple[str, ...]]]
) -> None:
    fill(settings)
    with holding(settings.warehouse_path, "reading"):
        assert not outcome(settings).missing


def test_a_start_date_that_was_moved_is_refused_before_anything_runs(
    settings: Settings, made: list[tuple[str, tuple[str, ...]]]
) -> None:
    fill(settings, LAST)
    record_first_partition(landing_at(settings.landing_dir), date(2026, 8, 1))
    with pytest.raises(StartDateMoved):
        outcome(settings)
    assert made == []
