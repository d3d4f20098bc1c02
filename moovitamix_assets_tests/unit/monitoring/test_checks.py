"""The checks of monitoring, on rows put into the tables by hand, and once executed by Dagster."""

from datetime import date
from pathlib import Path

import pandas as pd
import pytest
from dagster import AssetCheckEvaluation, AssetCheckResult, DagsterInstance, asset, materialize

from foundation.warehouse.rows import insert
from moovitamix_assets.monitoring.checks import better_than_popularity, judge_drift, judge_quality, no_drift
from moovitamix_assets.settings import Settings
from moovitamix_assets.warehouse.connection import read_warehouse, write_warehouse
from moovitamix_assets.warehouse.schemas import DRIFT, RECOMMENDATION_QUALITY

DAY, NEXT_DAY = date(2026, 10, 2), date(2026, 10, 3)
CHAMPION = "2026-10-01-aaaaaaaa"


@asset
def recommendation_quality() -> None:
    """Measured before the run: only the checks matter here."""


@asset
def drift() -> None:
    pass


def add_quality(
    path: Path, day: date, ndcg: float, users: int = 50, version: str = CHAMPION, role: str = "champion"
) -> None:
    row = dict.fromkeys(RECOMMENDATION_QUALITY.columns, 0.1) | {"role": role}
    row |= {"day": pd.Timestamp(day), "model_version": version, "segment": "all", "users": users}
    row |= {"ndcg_at_10": ndcg, "popularity_ndcg_at_10": 0.04}
    with write_warehouse(path) as connection:
        insert(connection, RECOMMENDATION_QUALITY, pd.DataFrame([row]))


def add_drift(path: Path, day: date, **values: float) -> None:
    rows = [
        {"day": pd.Timestamp(day), "feature": feature, "statistic": "psi", "value": value, "threshold": 0.15}
        | {"drifted": value > 0.15}
        for feature, value in values.items()
    ]
    with write_warehouse(path) as connection:
        insert(connection, DRIFT, pd.DataFrame(rows))


def quality(settings: Settings, day: date | None = DAY) -> AssetCheckResult:
    with read_warehouse(settings.warehouse_path) as connection:
        return judge_quality(connection, day, settings.monitoring)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(data_dir=tmp_path)


@pytest.mark.parametrize(("ndcg", "passed"), [(0.0399, False), (0.04, True), (0.06, True)])
def test_a_model_must_not_lose_against_popular_tracks(settings, ndcg, passed) -> None:
    add_quality(settings.warehouse_path, DAY, ndcg)
    found = quality(settings)
    assert (found.passed, found.severity.value) == (passed, "WARN")
    assert f"{ndcg:.4f} by {CHAMPION} against 0.0400" in (found.description or "")


def test_a_stricter_ratio_is_followed(settings) -> None:
    add_quality(settings.warehouse_path, DAY, 0.05)
    assert not quality(settings.changed(quality_minimum_ratio=1.5)).passed
    assert quality(settings.changed(quality_minimum_ratio=1.2)).passed


def test_few_users_and_days_of_popular_tracks_alone_are_not_judged(settings) -> None:
    add_quality(settings.warehouse_path, DAY, 0.0, users=29)
    assert quality(settings).passed
    assert "29 users measured" in (quality(settings).description or "")
    add_quality(settings.warehouse_path, NEXT_DAY, 0.0, version="popularity")  # the few it does not know
    assert "Nothing to judge" in (quality(settings, NEXT_DAY).description or "")
    assert quality(settings, None).passed


@pytest.mark.parametrize(("users", "judged"), [(19, False), (20, True)])
def test_as_many_users_as_the_settings_ask_for_are_enough(settings, users, judged) -> None:
    add_quality(settings.warehouse_path, DAY, 0.0, users=users)
    assert quality(settings.changed(quality_minimum_users=20)).passed is not judged


def test_a_challenger_never_colours_the_check(settings) -> None:
    add_quality(
        settings.warehouse_path, DAY, 0.01, users=900, version="2026-10-02-bbbbbbbb", role="challenger"
    )
    assert "Nothing to judge" in (quality(settings).description or "")
    add_quality(settings.warehouse_path, DAY, 0.06, users=50)
    assert quality(settings).passed
    assert CHAMPION in (quality(settings).description or "")


def test_the_few_whom_the_champion_does_not_know_are_not_judged_in_its_place(settings) -> None:
    add_quality(settings.warehouse_path, DAY, 0.06, users=900, version="popularity")
    add_quality(settings.warehouse_path, DAY, 0.01, users=50)
    assert not quality(settings).passed


def test_a_day_of_fallback_passes_and_says_that_popular_tracks_serve(settings) -> None:
    add_quality(settings.warehouse_path, DAY, 0.01, users=60)
    add_quality(settings.warehouse_path, DAY, 0.04, version="popularity", role="fallback")
    assert quality(settings).passed
    assert quality(settings).description == f"{DAY}: popular tracks served all 50 users measured."


def test_days_without_a_role_were_measured_by_an_older_version_and_are_the_champions(settings) -> None:
    add_quality(settings.warehouse_path, DAY, 0.01, users=50)
    add_quality(settings.warehouse_path, DAY, 0.04, users=90, version="popularity")
    with write_warehouse(settings.warehouse_path) as connection:
        connection.execute("UPDATE recommendation_quality SET role = NULL")
    assert not quality(settings).passed


def test_each_feature_that_drifted_is_named(settings) -> None:
    add_drift(settings.warehouse_path, DAY, listen_hour=0.1, listen_genre=0.3)
    add_drift(settings.warehouse_path, NEXT_DAY, listen_hour=0.1)
    with read_warehouse(settings.warehouse_path) as connection:
        drifted, steady, absent = (judge_drift(connection, day) for day in (DAY, NEXT_DAY, None))
    assert not drifted.passed
    assert "listen_genre (psi 0.300, threshold 0.150) drifted, of 2 compared" in (drifted.description or "")
    assert steady.passed
    assert "no feature drifted" in (steady.description or "")
    assert absent.passed


def test_without_partitions_the_newest_day_of_each_table_is_checked(settings) -> None:
    add_quality(settings.warehouse_path, DAY, 0.06)
    add_quality(settings.warehouse_path, NEXT_DAY, 0.01)
    add_drift(settings.warehouse_path, DAY, listen_hour=0.3)
    add_drift(settings.warehouse_path, NEXT_DAY, listen_hour=0.1)
    result = materialize(
        [recommendation_quality, drift, better_than_popularity, no_drift],
        instance=DagsterInstance.ephemeral(),
        resources={"settings": settings},
        run_config={"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}},
    )
    found: dict[str, AssetCheckEvaluation] = {
        each.check_name: each for each in result.get_asset_check_evaluations()
    }
    assert {name: each.passed for name, each in found.items()} == {
        "better_than_popularity": False,
        "no_drift": True,
    }
