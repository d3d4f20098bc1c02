"""recommendation_quality and drift, materialized by Dagster: each day against the day before, by the right version."""

from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from dagster import AssetsDefinition, DagsterInstance, materialize

from foundation import plots
from foundation.models.promotions import fall_back
from foundation.progress import NoProgress
from moovitamix_assets.monitoring.assets import drift, recommendation_quality
from moovitamix_assets.partitions import range_tags
from moovitamix_assets.settings import Settings
from moovitamix_assets.training.dataset.reference_profile import POPULARITY_COLUMN, profile
from moovitamix_assets.training.gate.promotion import roll_back
from moovitamix_assets.warehouse.as_of import listens_changed
from moovitamix_assets.warehouse.connection import read_warehouse, write_warehouse
from moovitamix_assets.warehouse.io_manager import WarehouseIOManager
from moovitamix_assets.warehouse.schemas import SHADOW_RECOMMENDATIONS
from moovitamix_assets_tests.unit.automation.warehouses import decide_about
from moovitamix_assets_tests.unit.operations.loads import add_loads
from moovitamix_assets_tests.unit.training.worlds import taste_world
from moovitamix_assets_tests.unit.warehouse.rows import add_list, add_session, add_tracks, add_users

FIRST = date(2026, 9, 1)
A, B = "2026-09-02-aaaaaaaa", "2026-09-04-bbbbbbbb"


def day(number: int) -> date:
    return FIRST + timedelta(days=number - 1)


class Measurer:
    """Three users and forty tracks since day 1."""

    def __init__(self, data_dir: Path) -> None:
        self.settings = Settings(data_dir=data_dir, drift_minimum_rows=1)
        with write_warehouse(self.settings.warehouse_path) as connection:
            add_loads(connection, *map(day, range(1, 7)))
            add_users(connection, day(1), 1, 2, 3)
            add_tracks(connection, day(1), *range(10, 50))

    def measure(
        self, asset: AssetsDefinition, first: int, last: int | None = None
    ) -> dict[str, dict[str, Any]]:
        """The figures of each day."""
        result = materialize(
            [asset],
            instance=DagsterInstance.ephemeral(),
            tags=range_tags(day(first), day(last or first)),
            resources={
                "settings": self.settings,
                "progress": NoProgress(),
                "warehouse": WarehouseIOManager(database=str(self.settings.warehouse_path)),
            },
            run_config={"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}},
        )
        return {
            str(made.partition): {name: value.value for name, value in made.metadata.items()}
            for made in result.asset_materializations_for_node(asset.key.path[-1])
        }

    def query(self, statement: str) -> list[tuple[Any, ...]]:
        with read_warehouse(self.settings.warehouse_path) as connection:
            return connection.execute(statement).fetchall()


@pytest.fixture
def measurer(tmp_path: Path) -> Measurer:
    return Measurer(tmp_path)


def measured(measurer: Measurer) -> list[tuple[Any, ...]]:
    return measurer.query(
        """SELECT day, model_version, users, hit_rate_at_10 FROM recommendation_quality
           WHERE segment = 'all' ORDER BY day, model_version"""
    )


def fill_recommendations(measurer: Measurer) -> None:
    with write_warehouse(measurer.settings.warehouse_path) as connection:
        add_list(connection, day(2), 1, [20, 21], A)
        add_list(connection, day(3), 1, [30, 31], A)
        add_list(connection, day(3), 2, [30, 31], "popularity")
        add_session(connection, day(3), 1, [20])
        add_session(connection, day(4), 1, [20, 21])
        add_session(connection, day(4), 2, [31])


def test_a_day_measures_the_recommendations_of_the_day_before_on_what_was_played_for_the_first_time(
    measurer: Measurer,
) -> None:
    fill_recommendations(measurer)
    figures = measurer.measure(recommendation_quality, 3, 5)
    assert measured(measurer) == [
        (day(3), A, 1, 1.0),
        # 21 was played for the first time on day 4, and was not recommended on day 3.
        (day(4), A, 1, 0.0),
        (day(4), "popularity", 1, 1.0),
    ]
    assert figures["2026-09-03"]["model_hit_rate_at_10"] == 1.0
    assert figures["2026-09-04"]["model_hit_rate_at_10"] == 0.0
    assert figures["2026-09-04"]["popular_hit_rate_at_10"] == 1.0
    assert figures["2026-09-05"]["dagster/partition_row_count"] == 0


def test_figures_of_the_model_are_of_what_was_served_and_shadows_have_their_own(
    measurer: Measurer, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn: list[pd.DataFrame] = []
    monkeypatch.setattr(plots, "quality_by_day", lambda rows: drawn.append(rows) or "")
    measurer.settings = measurer.settings.changed(quality_minimum_users=1)
    with write_warehouse(measurer.settings.warehouse_path) as connection:
        decide_about(connection, A)
        decide_about(connection, B, "shadow")
        fall_back(connection, day(4), "Worse.", popularity_days=7, worse_since=day(3), metrics={})
        for on, served, champion, challenger in ((3, A, None, [21]), (4, "popularity", [22], [20])):
            add_list(connection, day(on), 1, [20], served)
            for version, tracks in ((A, champion), (B, challenger)):
                if tracks:
                    add_list(connection, day(on), 1, tracks, version, SHADOW_RECOMMENDATIONS)
        add_session(connection, day(4), 1, [20])
        add_session(connection, day(5), 1, [22])
    figures = measurer.measure(recommendation_quality, 4, 5)
    hits = [
        {name: value for name, value in figures[f"{day(on)}"].items() if name.endswith("_hit_rate_at_10")}
        for on in (4, 5)
    ]
    assert hits == [
        {"model_hit_rate_at_10": 1.0, "challenger_hit_rate_at_10": 0.0},
        {"model_hit_rate_at_10": 0.0, "champion_hit_rate_at_10": 1.0, "challenger_hit_rate_at_10": 0.0},
    ]
    (rows,) = drawn
    everyone = rows[rows["segment"] == "all"].sort_values(["day", "model_version"])
    assert everyone["served"].tolist() == [True, False, False, False, True]


@pytest.mark.parametrize(("fewest", "shown"), [(2, "0 days"), (1, "1 days")])
def test_days_are_shown_on_which_as_many_users_were_measured_as_the_settings_ask_for(
    measurer: Measurer, monkeypatch: pytest.MonkeyPatch, fewest: int, shown: str
) -> None:
    monkeypatch.setattr(plots, "quality_by_day", lambda rows: f"{rows['day'].nunique()} days")
    measurer.settings = measurer.settings.changed(quality_minimum_users=fewest)
    fill_recommendations(measurer)
    figures = measurer.measure(recommendation_quality, 3)
    assert figures["2026-09-03"]["compared_with_popularity"] == shown


def test_what_was_measured_stays_when_its_recommendations_are_no_longer_kept(measurer: Measurer) -> None:
    fill_recommendations(measurer)
    measurer.measure(recommendation_quality, 3, 4)
    before = measured(measurer)
    with write_warehouse(measurer.settings.warehouse_path) as connection:
        connection.execute("DELETE FROM recommendations WHERE generated_for = '2026-09-02'")
        connection.execute(
            "UPDATE recommendations SET track_id = track_id + 5 WHERE generated_for = '2026-09-03'"
        )
    measurer.measure(recommendation_quality, 3, 4)
    assert measured(measurer)[0] == before[0]
    assert measured(measurer)[1:] != before[1:]


def test_without_recommendations_of_the_day_before_there_is_nothing_to_measure(measurer: Measurer) -> None:
    with write_warehouse(measurer.settings.warehouse_path) as connection:
        add_list(connection, day(3), 1, [20], A)
        add_session(connection, day(3), 1, [20])
    measurer.measure(recommendation_quality, 3)
    assert measured(measurer) == []


def write_reference(measurer: Measurer, number: int, changed_on: int) -> None:
    """The training set of a day, whose reference is the sessions that changed on another."""
    with read_warehouse(measurer.settings.warehouse_path) as connection:
        week = listens_changed(connection, day(changed_on), day(changed_on))
    world = taste_world()
    known = world.users.head(3).assign(user_id=[1, 2, 3])
    tracks = world.tracks.head(40).assign(track_id=range(10, 50))
    described = profile(week, known, tracks, tracks[["track_id", POPULARITY_COLUMN]])
    training_set = type(world)(day(number), known, tracks, world.interactions, described)
    training_set.write(measurer.settings.training_sets_dir / f"{day(number)}")


def fill_versions(measurer: Measurer) -> None:
    with write_warehouse(measurer.settings.warehouse_path) as connection:
        decide_about(connection, A)
        decide_about(connection, B)
        for number in range(1, 6):
            add_session(connection, day(number), 1, [10, 11])


def test_a_day_is_compared_with_what_its_champion_was_trained_on(measurer: Measurer) -> None:
    fill_versions(measurer)
    write_reference(measurer, 2, 1)
    write_reference(measurer, 4, 1)
    figures = measurer.measure(drift, 1, 5)
    compared = {key: each["compared_with"] for key, each in figures.items()}
    assert compared == {
        "2026-09-01": "nothing: there is no champion",
        "2026-09-02": A,
        "2026-09-03": A,
        "2026-09-04": B,
        "2026-09-05": B,
    }
    rows = measurer.query(
        "SELECT day, feature, drifted FROM drift WHERE feature = 'unknown_people' ORDER BY day"
    )
    assert rows == [(day(number), "unknown_people", False) for number in range(2, 6)]


def test_a_version_that_was_returned_to_is_compared_with_what_it_was_trained_on(measurer: Measurer) -> None:
    fill_versions(measurer)
    with write_warehouse(measurer.settings.warehouse_path) as connection:
        add_list(connection, day(5), 1, [10], B)
        roll_back(connection, "Worse.")
    write_reference(measurer, 2, 1)
    assert measurer.measure(drift, 5)["2026-09-05"]["compared_with"] == A


def test_a_training_set_that_is_gone_is_named_and_no_day_is_made_up(measurer: Measurer) -> None:
    fill_versions(measurer)
    write_reference(measurer, 2, 1)
    figures = measurer.measure(drift, 3, 4)
    assert figures["2026-09-03"]["compared_with"] == A
    gone = figures["2026-09-04"]["compared_with"]
    assert gone.startswith("nothing: ")
    assert f"{day(4)} of {B} has no reference" in gone
    assert measurer.query("SELECT DISTINCT day FROM drift") == [(day(3),)]


def test_strangers_drift_and_the_figures_count_features(measurer: Measurer) -> None:
    fill_versions(measurer)
    write_reference(measurer, 4, 1)
    with write_warehouse(measurer.settings.warehouse_path) as connection:
        for stranger in range(100, 160):
            add_session(connection, day(6), stranger, [10, 11])
    figures = measurer.measure(drift, 5, 6)
    assert figures["2026-09-05"]["unknown_people"] == 0
    assert figures["2026-09-06"]["unknown_people"] == 1
    drifted = measurer.query("SELECT day, feature FROM drift WHERE drifted")
    assert (day(6), "unknown_people") in drifted
    assert figures["2026-09-06"]["features_drifted"] == sum(row[0] == day(6) for row in drifted)


def test_a_day_on_which_too_little_happened_is_not_judged(measurer: Measurer) -> None:
    fill_versions(measurer)
    write_reference(measurer, 4, 1)
    measurer.settings = measurer.settings.changed(drift_minimum_rows=2)
    assert measurer.measure(drift, 5)["2026-09-05"]["dagster/partition_row_count"] == 0
