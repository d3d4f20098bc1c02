"""The asset `recommendations`, materialized by Dagster: which days are made, kept and removed, and by which version."""

from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest
from dagster import AssetKey, DagsterInstance, ExecuteInProcessResult, materialize

from foundation.models.model_store import ModelMissing
from foundation.models.promotions import fall_back
from foundation.progress import NoProgress
from moovitamix_assets.partitions import range_tags
from moovitamix_assets.recommendations.assets import recommendations
from moovitamix_assets.settings import Settings
from moovitamix_assets.warehouse.connection import read_warehouse, write_warehouse
from moovitamix_assets.warehouse.io_manager import WarehouseIOManager
from moovitamix_assets_tests.unit.automation.warehouses import decide_about
from moovitamix_assets_tests.unit.operations.loads import add_loads
from moovitamix_assets_tests.unit.warehouse.rows import add_session, add_tracks, add_users

FIRST = date(2026, 9, 1)


def day(number: int) -> date:
    return FIRST + timedelta(days=number - 1)


class Maker:
    """Recommends to two users; the second one came on day 3, and the first one played a track on day 2."""

    def __init__(self, data_dir: Path) -> None:
        self.settings = Settings(data_dir=data_dir, recommendations_kept_days=3, recommendations_per_user=2)
        with write_warehouse(self.settings.warehouse_path) as connection:
            add_loads(connection, *map(day, range(1, 7)))
            add_users(connection, day(1), 1)
            add_users(connection, day(3), 2)
            add_tracks(connection, day(1), 10, 11, 12)
            add_session(connection, day(2), 1, [10])

    def make(self, first: int, last: int) -> ExecuteInProcessResult:
        return materialize(
            [recommendations],
            instance=DagsterInstance.ephemeral(),
            tags=range_tags(day(first), day(last)),
            resources={
                "settings": self.settings,
                "progress": NoProgress(),
                "warehouse": WarehouseIOManager(database=str(self.settings.warehouse_path)),
            },
            run_config={"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}},
        )

    def query(self, statement: str) -> list[tuple[Any, ...]]:
        with read_warehouse(self.settings.warehouse_path) as connection:
            return connection.execute(statement).fetchall()

    def days(self) -> list[int]:
        rows = self.query("SELECT DISTINCT generated_for FROM recommendations ORDER BY 1")
        return [(row[0] - FIRST).days + 1 for row in rows]


@pytest.fixture
def maker(tmp_path: Path) -> Maker:
    return Maker(tmp_path)


def test_of_a_range_the_days_that_are_kept_are_made_each_as_of_itself(maker: Maker) -> None:
    result = maker.make(1, 5)
    assert maker.days() == [3, 4, 5]
    counted = {}
    for materialization in result.asset_materializations_for_node("recommendations"):
        counted[materialization.partition] = getattr(materialization.metadata.get("users"), "value", None)
    assert counted == {f"{day(number)}": 2 if number >= 3 else None for number in range(1, 6)}


def test_whether_popular_tracks_serve_and_a_challenger_is_in_shadow_is_a_number_of_each_day(
    maker: Maker,
) -> None:
    with write_warehouse(maker.settings.warehouse_path) as connection:
        decide_about(connection, f"{day(2)}-aaaaaaaa", "shadow")
        fall_back(connection, day(3), "Worse.", popularity_days=7, worse_since=day(2), metrics={})
    made = maker.make(1, 3).asset_materializations_for_node("recommendations")
    state = [tuple(each.metadata[name].value for name in ("fallback", "challengers")) for each in made]
    assert state == [(0, 0), (0, 1), (1, 1)]


def test_a_day_knows_the_users_and_plays_of_its_end_and_no_later_ones(maker: Maker) -> None:
    maker.make(1, 1)
    assert maker.query("SELECT user_id, track_id FROM recommendations ORDER BY rank") == [(1, 10), (1, 11)]
    maker.make(2, 2)
    assert maker.query(
        "SELECT track_id FROM recommendations WHERE generated_for = '2026-09-02' ORDER BY rank"
    ) == [
        (11,),
        (12,),
    ]


def test_a_new_day_removes_what_is_no_longer_kept_and_an_old_one_made_again_stays(maker: Maker) -> None:
    maker.make(3, 5)
    maker.make(6, 6)
    assert maker.days() == [4, 5, 6]
    maker.make(2, 2)
    assert maker.days() == [2, 4, 5, 6]
    maker.make(6, 6)
    assert maker.days() == [4, 5, 6]


def test_recommendations_are_made_by_the_champion_of_their_day(maker: Maker) -> None:
    with write_warehouse(maker.settings.warehouse_path) as connection:
        decide_about(connection, f"{day(4)}-aaaaaaaa")
    maker.make(3, 3)
    assert maker.query("SELECT DISTINCT source, model_version FROM recommendations") == [
        ("popular", "popularity")
    ]
    with pytest.raises(ModelMissing, match="2026-09-04-aaaaaaaa"):
        maker.make(4, 4)


def test_played_tracks_are_recommended_where_the_setting_says_so(maker: Maker) -> None:
    maker.settings = maker.settings.changed(recommend_heard_tracks=True)
    maker.make(2, 2)
    assert maker.query("SELECT track_id FROM recommendations ORDER BY rank") == [(10,), (11,)]


def test_lists_expire_after_so_many_hours(maker: Maker) -> None:
    maker.settings = maker.settings.changed(recommendations_expire_hours=5)
    maker.make(2, 2)
    assert maker.query(
        "SELECT DISTINCT expires_at - generated_at, generated_at::DATE FROM recommendations"
    ) == [(timedelta(hours=5), day(3))]


def test_it_looks_at_what_users_tracks_listens_and_the_champion_are() -> None:
    parents = recommendations.asset_deps[AssetKey("recommendations")]
    assert {key.path[-1] for key in parents} == {"users", "tracks", "listens", "champion_model"}


def test_the_sample_shows_titles_and_artists(maker: Maker) -> None:
    with write_warehouse(maker.settings.warehouse_path) as connection:
        connection.execute("UPDATE tracks SET name = 'Song ' || track_id, artist = 'Singer ' || track_id")

    result = maker.make(3, 3)

    (made,) = result.asset_materializations_for_node("recommendations")
    lines = str(made.metadata["sample"].value).splitlines()
    assert lines[0] == "| user_id | source | rank | title | artist | score |"
    assert lines[2].startswith("| 1 | popular | 1 | Song 11 | Singer 11 | ")
    assert {line.split(" | ")[0] for line in lines[2:]} == {"| 1", "| 2"}
