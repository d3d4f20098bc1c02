"""The asset `published_recommendations`: what readers find is what the tables say of the newest day."""

from datetime import date, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import orjson
import pandas as pd
import pytest
from dagster import AssetKey, DagsterInstance, ExecuteInProcessResult, materialize

from foundation.models.promotions import fall_back
from foundation.progress import NoProgress
from foundation.warehouse.rows import insert
from moovitamix_assets.partitions import range_tags
from moovitamix_assets.recommendations.assets import published_recommendations, recommendations
from moovitamix_assets.recommendations.publishing import publication
from moovitamix_assets.recommendations.publishing.layout import Publication, read_publication
from moovitamix_assets.recommendations.publishing.publication import publication_of
from moovitamix_assets.recommendations.publishing.store import generations
from moovitamix_assets.settings import Settings
from moovitamix_assets.warehouse.connection import read_warehouse, write_warehouse
from moovitamix_assets.warehouse.io_manager import WarehouseIOManager
from moovitamix_assets.warehouse.schemas import REJECTED_TABLES, SHADOW_RECOMMENDATIONS
from moovitamix_assets_tests.unit.automation.warehouses import add_quality, decide_about
from moovitamix_assets_tests.unit.operations.loads import add_loads
from moovitamix_assets_tests.unit.warehouse.rows import add_list, add_session, add_tracks, add_users

FIRST = date(2026, 9, 1)
A, B = "2026-09-02-aaaaaaaa", "2026-09-03-bbbbbbbb"


def day(number: int) -> date:
    return FIRST + timedelta(days=number - 1)


class Publisher:
    """Three users and tracks; the first user played track 10, which makes it the most popular one."""

    def __init__(self, data_dir: Path) -> None:
        self.settings = Settings(data_dir=data_dir, recommendations_per_user=2, published_kept=2)
        self.store = generations(self.settings.serving_dir)
        with write_warehouse(self.settings.warehouse_path) as connection:
            add_loads(connection, *map(day, range(1, 7)))
            add_users(connection, day(1), 1, 2, 3)
            add_tracks(
                connection, day(1), 10, 11, 12, name="Song", artist="Singer", created_at=datetime(2026, 9, 1)
            )
            add_session(connection, day(2), 1, [10])

    def make(self, first: int, last: int, *assets: Any) -> ExecuteInProcessResult:
        return materialize(
            list(assets or (recommendations, published_recommendations)),
            instance=DagsterInstance.ephemeral(),
            tags=range_tags(day(first), day(last)),
            resources={
                "settings": self.settings,
                "progress": NoProgress(),
                "warehouse": WarehouseIOManager(database=str(self.settings.warehouse_path)),
            },
            run_config={"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}},
        )

    def published(self) -> Publication:
        name = self.store.current()
        assert name is not None
        self.store.verify(name)
        return read_publication(self.store.folder(name))

    def made_of(self, number: int) -> Publication:
        with read_warehouse(self.settings.warehouse_path) as connection:
            made = publication_of(connection, day(number), self.settings.models_dir)
        assert made is not None
        return made


@pytest.fixture
def publisher(tmp_path: Path) -> Publisher:
    return Publisher(tmp_path)


@pytest.fixture
def modelless(monkeypatch: pytest.MonkeyPatch) -> None:
    """Champions without a folder: the vectors stay empty."""
    monkeypatch.setattr(publication, "model_store", lambda _: SimpleNamespace(load=lambda version: None))


def tracks_of(found: Publication, user: int, arm: Any = "champion") -> list[int]:
    row = int(np.searchsorted(found.user_ids, user))
    return [int(found.tracks.ids[at]) for at in found.arms[arm].positions[row] if at >= 0]


def figures(result: ExecuteInProcessResult) -> dict[str, Any]:
    made = result.asset_materializations_for_node("published_recommendations")
    return {name: value.value for name, value in made[-1].metadata.items()}


def test_what_is_published_is_what_the_table_holds(publisher: Publisher) -> None:
    result = publisher.make(2, 4)
    found = publisher.published()
    with read_warehouse(publisher.settings.warehouse_path) as connection:
        rows = connection.execute(
            "SELECT user_id, list(track_id ORDER BY rank) FROM recommendations WHERE generated_for = ? GROUP BY 1",
            [day(4)],
        ).fetchall()
    assert {int(user): tracks_of(found, user) for user in found.user_ids} == dict(rows)
    manifest = found.manifest
    assert (manifest.model_version, manifest.challenger, manifest.generated_for) == (
        "popularity",
        None,
        "2026-09-04",
    )
    assert (manifest.generated_at, manifest.expires_at) == ("2026-09-05T00:00:00Z", "2026-09-07T00:00:00Z")
    assert (manifest.users, manifest.tracks, manifest.length, manifest.genres) == (3, 3, 2, ["pop"])
    shown = figures(result)
    assert shown["generation"] == publisher.store.current() == "000001-2026-09-04-popularity"
    assert shown["users_by_source"] == {"model": 0, "cold_start": 0, "popular": 3}
    assert shown["bytes"] > 1000


def test_only_the_newest_day_is_published_and_an_earlier_one_says_so(publisher: Publisher) -> None:
    publisher.make(4, 4)
    current = publisher.store.current()
    shown = figures(publisher.make(2, 3))
    assert shown == {"published": False, "reason": "The newest recommendations are of 2026-09-04."}
    assert publisher.store.current() == current


def test_without_recommendations_nothing_is_published(publisher: Publisher) -> None:
    shown = figures(publisher.make(4, 4, published_recommendations))
    assert shown == {"published": False, "reason": "There are no recommendations."}
    assert publisher.store.current() is None


def test_publishing_a_day_again_gives_the_same_bytes_and_so_many_generations_are_kept(
    publisher: Publisher,
) -> None:
    for _ in range(3):
        publisher.make(4, 4)
    names = publisher.store.names()
    assert len(names) == 2
    first, second = (
        {file.name: file.read_bytes() for file in publisher.store.folder(name).iterdir()} for name in names
    )
    assert first == second


@pytest.mark.usefixtures("modelless")
def test_the_challenger_stands_beside_the_champion_and_knows_not_all_users(publisher: Publisher) -> None:
    with write_warehouse(publisher.settings.warehouse_path) as connection:
        decide_about(connection, A)
        decide_about(connection, B, "shadow")
        for user in (1, 2):
            add_list(connection, day(4), user, [11, 12], A)
        add_list(connection, day(4), 2, [12, 10], B, SHADOW_RECOMMENDATIONS)
        add_list(connection, day(4), 1, [12, 10], "2026-09-01-cccccccc", SHADOW_RECOMMENDATIONS)
    made = publisher.made_of(4)
    assert (made.manifest.model_version, made.manifest.challenger) == (A, B)
    assert [tracks_of(made, user) for user in (1, 2)] == [[11, 12], [11, 12]]
    assert [tracks_of(made, user, "challenger") for user in (1, 2)] == [[11, 12], [12, 10]]


@pytest.mark.usefixtures("modelless")
def test_tracks_that_came_after_the_training_are_new(publisher: Publisher) -> None:
    with write_warehouse(publisher.settings.warehouse_path) as connection:
        decide_about(connection, A)
        add_tracks(connection, day(3), 13, created_at=datetime(2026, 9, 3))
        add_list(connection, day(4), 1, [12, 13], A)
    assert publisher.made_of(4).arms["champion"].recommendations_by_reason() == {
        "taste": 1,
        "new_track": 1,
        "favorite_genre": 0,
        "popular": 0,
    }


@pytest.mark.usefixtures("modelless")
def test_in_a_fallback_tracks_are_popular_by_the_days_of_the_fallback(publisher: Publisher) -> None:
    with write_warehouse(publisher.settings.warehouse_path) as connection:
        add_session(connection, day(6), 2, [12])
        decide_about(connection, A)
        add_list(connection, day(6), 1, [11], "popularity")
        before = publication_of(connection, day(6), publisher.settings.models_dir)
        fall_back(connection, day(6), "Worse.", popularity_days=1, worse_since=day(5), metrics={})
        after = publication_of(connection, day(6), publisher.settings.models_dir)
    assert before is not None
    assert after is not None
    assert before.tracks.ids[before.ranked.popular].tolist() == [10, 12, 11]
    assert after.tracks.ids[after.ranked.popular].tolist() == [12, 10, 11]
    assert (after.manifest.model_version, after.manifest.vectors_of) == ("popularity", A)
    assert after.history["model"]["fallback_since"] == "2026-09-06"


@pytest.mark.usefixtures("modelless")
def test_the_history_tells_model_decisions_quality_and_data(publisher: Publisher) -> None:
    rejected = pd.DataFrame(
        {
            "record": ["{}", "{}"],
            "reasons": [["no usable user_id: 'ada@example.org'"], ["no usable user_id: 7", "no name"]],
            "changed_on": pd.Timestamp(day(2)),
            "loaded_at": pd.Timestamp(day(3)),
        }
    )
    with write_warehouse(publisher.settings.warehouse_path) as connection:
        decide_about(connection, A)
        add_quality(connection, day(3), A, [0.1])
        connection.execute("UPDATE recommendation_quality SET served_ndcg_at_10 = 'nan'")
        insert(connection, REJECTED_TABLES["users"], rejected)
        add_list(connection, day(4), 1, [11], A)
    history = publisher.made_of(4).history
    assert history["model"]["model_version"] == A
    assert history["model"]["serving_since"] == "2026-09-02"
    assert [(each["model_version"], each["decision"]) for each in history["promotions"]] == [(A, "promoted")]
    (quality,) = history["quality"]
    assert (quality["day"], quality["ndcg_at_10"], quality["served_ndcg_at_10"]) == ("2026-09-03", 0.1, None)
    loads = {(each["day"], each["table_name"]): each for each in history["data_quality"]}
    assert loads["2026-09-02", "users"]["rejected_by_reason"] == {"no usable user_id": 2, "no name": 1}
    assert loads["2026-09-01", "users"]["rejected_by_reason"] == {}
    assert b"ada@example.org" not in orjson.dumps(history)


def test_no_personal_field_is_published(publisher: Publisher) -> None:
    with write_warehouse(publisher.settings.warehouse_path) as connection:
        add_users(connection, day(2), 4, first_name="Ada", last_name="Lovelace", email="ada@example.org")
    publisher.make(4, 4)
    name = publisher.store.current()
    assert name is not None
    published = b"".join(file.read_bytes() for file in publisher.store.folder(name).iterdir())
    assert 4 in publisher.published().user_ids
    assert not any(word in published for word in (b"Ada", b"Lovelace", b"ada@example.org"))


def test_it_follows_what_users_get_and_what_is_in_shadow() -> None:
    parents = published_recommendations.asset_deps[AssetKey("published_recommendations")]
    assert {key.path[-1] for key in parents} == {"recommendations", "shadow_recommendations"}
