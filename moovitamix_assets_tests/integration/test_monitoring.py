"""Quality and drift from the source on: the same rows by range and by day, and a taste that shifts is seen."""

import json
import math
from collections.abc import Iterator
from datetime import date, timedelta
from typing import Any

import pytest
from dagster import AssetSelection, ExecuteInProcessResult

from foundation.models.gate import Decision
from foundation.models.model_store import Candidate
from foundation.tables import empty_frame
from mock_api.server import running_server
from moovitamix_assets.partitions import range_tags
from moovitamix_assets.training.gate.promotion import record_decision
from moovitamix_assets.warehouse.connection import write_warehouse
from moovitamix_assets.warehouse.schemas import MODEL_EVALUATIONS
from moovitamix_assets_tests.conftest import FIRST, LAST, small_world
from moovitamix_assets_tests.integration.deployment import Deployment

TRAINED = date(2026, 9, 3)
SHIFT = date(2026, 9, 4)
DAYS = [FIRST + timedelta(days=offset) for offset in range((LAST - FIRST).days + 1)]
MONITORED = AssetSelection.assets("recommendation_quality", "drift")


@pytest.fixture(scope="module")
def watched(source_url: str, tmp_path_factory: pytest.TempPathFactory) -> Deployment:
    """The small world with a champion from the third day on, lists for each day, and all of it watched in one run."""
    deployment = Deployment(
        tmp_path_factory.mktemp("watched") / "data",
        source_url,
        drift_minimum_rows=15,
        quality_minimum_users=2,
        promotion_minimum_users=2,
    )
    deployment.run(FIRST, TRAINED)
    assert deployment.ingest(FIRST, LAST).success
    promote(deployment, str(deployment.query("SELECT model_version FROM promotions")[0][0]), TRAINED)
    assert deployment.execute(
        AssetSelection.assets("recommendations") | MONITORED, range_tags(FIRST, LAST)
    ).success
    return deployment


@pytest.fixture(scope="module")
def shifted(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    """A larger world, in which a decided taste changes on the fourth day; its champion is of the second."""
    sizes = {"people": 300, "tracks": 300, "sessions_a_day": 300}
    world = small_world(**sizes, taste_strength=2, taste_shift_on=SHIFT)
    with running_server(world) as url:
        deployment = Deployment(tmp_path_factory.mktemp("shifted") / "data", url)
        trained = date(2026, 9, 2)
        assert deployment.ingest(FIRST, LAST).success
        snapshot = deployment.execute(
            AssetSelection.assets("training_set"), partition_key=trained.isoformat()
        )
        assert snapshot.success
        promote(deployment, f"{trained}-00000001", trained)
        assert deployment.execute(AssetSelection.assets("drift"), range_tags(FIRST, LAST)).success
        yield deployment


def promote(deployment: Deployment, version: str, as_of: date) -> None:
    """Put a version in force, whatever the gate said of it."""
    candidate = Candidate(version, empty_frame(MODEL_EVALUATIONS), empty_frame(MODEL_EVALUATIONS))
    with write_warehouse(deployment.settings.warehouse_path) as connection:
        connection.execute("DELETE FROM promotions")
        record_decision(connection, candidate, as_of, Decision("promoted", "Chosen by hand."), {})


def rows(deployment: Deployment) -> dict[str, list[tuple[Any, ...]]]:
    return {
        table: deployment.query(f"SELECT * FROM {table} ORDER BY ALL")
        for table in ("recommendation_quality", "drift")
    }


def metadata_of(result: ExecuteInProcessResult, asset: str) -> dict[str, Any]:
    (event,) = [
        event for event in result.get_asset_materialization_events() if event.asset_key.path[-1] == asset
    ]
    return {name: value.value for name, value in event.materialization.metadata.items()}


def test_each_day_alone_gives_the_rows_that_a_range_gives(watched: Deployment) -> None:
    before = rows(watched)
    assert before["recommendation_quality"]
    assert before["drift"]
    for day in reversed(DAYS):
        assert watched.execute(MONITORED, partition_key=day.isoformat()).success
    assert rows(watched) == before
    assert watched.execute(MONITORED, range_tags(DAYS[1], DAYS[3])).success
    assert rows(watched) == before


def test_only_days_with_lists_of_the_day_before_are_measured(watched: Deployment) -> None:
    measured = watched.query(
        "SELECT day, list_sort(list(DISTINCT model_version = 'popularity')) FROM recommendation_quality "
        "GROUP BY day ORDER BY day"
    )
    assert [day for day, _ in measured] == DAYS[1:]
    assert measured[0][1] == measured[1][1] == [True]
    assert False in measured[2][1]
    assert False in measured[3][1]


@pytest.mark.parametrize("day", DAYS[1:])
def test_the_figures_are_those_counted_from_the_tables(watched: Deployment, day: date) -> None:
    before = day - timedelta(days=1)
    lists: dict[int, dict[int, int]] = {}
    versions = {}
    for user, rank, track, version in watched.query(
        "SELECT user_id, rank, track_id, model_version FROM recommendations WHERE generated_for = ?", before
    ):
        lists.setdefault(user, {})[track] = rank
        versions[user] = version
    newest = """SELECT user_id, track_id FROM listens WHERE changed_on <= ?
        QUALIFY changed_on = max(changed_on) OVER (PARTITION BY user_id, listened_at)"""
    heard = set(watched.query(newest, before))
    catalogue = {row[0] for row in watched.query("SELECT track_id FROM tracks WHERE changed_on <= ?", before)}
    known = {row[0] for row in watched.query("SELECT track_id FROM tracks WHERE changed_on <= ?", day)}
    new: dict[int, set[int]] = {}
    for user, track in watched.query("SELECT user_id, track_id FROM listens WHERE changed_on = ?", day):
        if (user, track) not in heard and track in known and user in lists:
            new.setdefault(user, set()).add(track)
    for version, users, ndcg, recall, coverage in watched.query(
        "SELECT model_version, users, ndcg_at_10, recall_at_20, coverage FROM recommendation_quality "
        "WHERE day = ? AND segment = 'all'",
        day,
    ):
        people = [user for user in new if versions[user] == version]
        assert users == len(people)
        gains = []
        for user in people:
            ranks = [lists[user][track] for track in new[user] if track in lists[user]]
            best = sum(1 / math.log2(place + 2) for place in range(min(10, len(new[user]))))
            gains.append(sum(1 / math.log2(rank + 1) for rank in ranks if rank <= 10) / best)
        assert ndcg == pytest.approx(sum(gains) / len(people))
        assert recall == pytest.approx(
            sum(len(new[user] & lists[user].keys()) / len(new[user]) for user in people) / len(people)
        )
        shown = {track for user in people for track, rank in lists[user].items() if rank <= 10}
        assert coverage == pytest.approx(len(shown) / len(catalogue))


def test_while_no_version_is_in_force_popular_lists_are_worth_what_popularity_is(watched: Deployment) -> None:
    figures = watched.query(
        "SELECT ndcg_at_10, popularity_ndcg_at_10 FROM recommendation_quality WHERE day <= ?", TRAINED
    )
    assert figures
    assert all(ndcg == pytest.approx(popular) for ndcg, popular in figures)


def test_drift_waits_for_a_champion_and_the_metadata_say_what_was_compared(watched: Deployment) -> None:
    assert [row[0] for row in watched.query("SELECT DISTINCT day FROM drift ORDER BY day")] == DAYS[2:]
    early = watched.execute(AssetSelection.assets("drift"), partition_key=FIRST.isoformat())
    assert metadata_of(early, "drift")["compared_with"] == "nothing: there is no champion"
    late = watched.execute(AssetSelection.assets("drift"), partition_key=LAST.isoformat())
    told = metadata_of(late, "drift")
    ((version,),) = watched.query("SELECT model_version FROM promotions")
    assert told["compared_with"] == version
    assert told["listen_hour"] > 0
    assert "data:image/png" in told["compared_with_thresholds"]


def test_a_champion_without_a_reference_is_said_so(watched: Deployment) -> None:
    before = rows(watched)
    folder = watched.settings.training_sets_dir / TRAINED.isoformat()
    folder.rename(folder.with_name("elsewhere"))
    try:
        result = watched.execute(AssetSelection.assets("drift"), partition_key=LAST.isoformat())
        assert "has no reference" in metadata_of(result, "drift")["compared_with"]
        assert not watched.query("SELECT 1 FROM drift WHERE day = ?", LAST)
    finally:
        folder.with_name("elsewhere").rename(folder)
    assert watched.execute(AssetSelection.assets("drift"), partition_key=LAST.isoformat()).success
    assert rows(watched) == before


def test_what_lists_were_worth_stays_when_they_are_no_longer_kept(watched: Deployment) -> None:
    before = rows(watched)
    watched.edit("CREATE TABLE aside AS FROM recommendations")
    watched.edit(f"DELETE FROM recommendations WHERE generated_for <= DATE '{TRAINED}'")
    assert watched.execute(AssetSelection.assets("recommendation_quality"), range_tags(FIRST, LAST)).success
    assert rows(watched) == before
    watched.edit("DELETE FROM recommendations; INSERT INTO recommendations FROM aside; DROP TABLE aside")


def test_figures_of_the_day_are_in_the_metadata(watched: Deployment) -> None:
    result = watched.execute(AssetSelection.assets("recommendation_quality"), partition_key=LAST.isoformat())
    told = metadata_of(result, "recommendation_quality")
    ((ndcg, popular),) = watched.query(
        "SELECT ndcg_at_10, popularity_ndcg_at_10 FROM recommendation_quality "
        "WHERE day = ? AND segment = 'all' AND model_version <> 'popularity'",
        LAST,
    )
    assert told["model_ndcg_at_10"] == ndcg
    assert told["model_popularity_ndcg_at_10"] == popular
    assert "data:image/png" in told["compared_with_popularity"]


def test_the_manifest_holds_a_reference_and_nothing_personal(watched: Deployment) -> None:
    folder = watched.settings.training_sets_dir / TRAINED.isoformat()
    content = (folder / "manifest.json").read_text()
    assert json.loads(content)["reference"]["listen_genre"]["rows"] > 0
    for first, last, email in watched.query(
        "SELECT first_name, last_name, email FROM users WHERE email IS NOT NULL"
    ):
        assert f'"{first}' not in content
        assert f'"{last}' not in content
        assert email not in content


def test_a_shift_of_taste_is_seen_from_its_day_on_and_nothing_else_is(shifted: Deployment) -> None:
    drifted = shifted.query("SELECT day, feature FROM drift WHERE drifted ORDER BY day")
    assert drifted == [(day, "listen_genre") for day in DAYS if day >= SHIFT]
    judged = shifted.query("SELECT DISTINCT feature FROM drift ORDER BY feature")
    assert {"listen_hour", "listen_popularity", "session_length", "unknown_tracks"} <= {
        row[0] for row in judged
    }
