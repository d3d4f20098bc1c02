"""The whole path against a source that speaks the original contract: 1000 records an endpoint, no filters."""

from collections import Counter
from collections.abc import Iterator
from datetime import date, datetime
from pathlib import Path

import pytest

from moovitamix_assets_tests.integration import fingerprints
from moovitamix_assets_tests.integration.deployment import Deployment
from moovitamix_assets_tests.integration.original_source import Records, original_records, serving

FIRST, LAST = date(2026, 9, 1), date(2026, 9, 8)
CLOCK = datetime(2026, 9, 9)


@pytest.fixture(scope="module")
def records() -> Records:
    return original_records(CLOCK)


@pytest.fixture(scope="module")
def loaded(records: Records, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    with serving(records) as url:
        deployment = Deployment(tmp_path_factory.mktemp("original") / "data", url)
        deployment.run(FIRST, LAST)
        yield deployment


def test_every_record_arrives_in_the_partition_of_its_change(loaded: Deployment, records: Records) -> None:
    for table, endpoint in (("users", "users"), ("tracks", "tracks"), ("listens", "listen_history")):
        # Written out here, not asked of the code: of both times the later one counts, and ISO 8601 sorts as text.
        changed = [max(record["created_at"], record["updated_at"])[:10] for record in records[endpoint]]
        expected = Counter(max(date.fromisoformat(day), FIRST) for day in changed)
        accepted = loaded.query(
            "SELECT changed_on, accepted FROM partition_loads WHERE table_name = ? AND accepted > 0", table
        )
        assert dict(accepted) == dict(expected)
        assert sum(expected.values()) == 1000
        assert len(expected) > 1
    assert loaded.query("SELECT count(*), count(DISTINCT user_id) FROM users") == [(1000, 1000)]
    assert loaded.query("SELECT count(*), count(DISTINCT track_id) FROM tracks") == [(1000, 1000)]
    assert loaded.query("SELECT count(*) FROM listens") == [(5000,)]
    assert loaded.query("SELECT sum(rejected + duplicates + superseded) FROM partition_loads") == [(0,)]


def test_sessions_are_stored_track_by_track_in_their_order(loaded: Deployment, records: Records) -> None:
    stored = loaded.query("SELECT user_id, list(track_id ORDER BY position) FROM listens GROUP BY user_id")
    assert dict(stored) == {each["user_id"]: each["items"] for each in records["listen_history"]}


def test_users_who_share_an_email_are_all_kept(loaded: Deployment, records: Records) -> None:
    repeated = [user["email"] for user in records["users"][-4:]]
    kept = loaded.query("SELECT email, count(*) FROM users GROUP BY email HAVING count(*) > 1")
    assert dict(kept) == dict.fromkeys(repeated, 2)


def test_a_time_on_a_whole_second_is_read(loaded: Deployment, records: Records) -> None:
    user = records["users"][2]
    assert "." not in user["updated_at"]
    assert loaded.query("SELECT updated_at FROM users WHERE user_id = ?", user["id"]) == [
        (datetime.fromisoformat(user["updated_at"]),)
    ]
    assert loaded.query("SELECT count(*) FROM users WHERE created_at IS NULL OR updated_at IS NULL") == [(0,)]


def test_updates_before_the_creation_are_kept_as_they_are(loaded: Deployment) -> None:
    for table in ("users", "tracks"):
        assert loaded.query(f"SELECT count(*) FROM {table} WHERE updated_at < created_at") == [(250,)]


def test_nothing_to_learn_means_popular_tracks_for_all_users(loaded: Deployment) -> None:
    assert loaded.query("SELECT decision FROM promotions") == [("shadow",)]
    assert loaded.query("SELECT DISTINCT source, model_version FROM recommendations") == [
        ("popular", "popularity")
    ]
    assert loaded.query(
        "SELECT count(DISTINCT user_id), count(*), min(rank), max(rank) FROM recommendations"
    ) == [(1000, 20_000, 1, 20)]
    played = "SELECT count(*) FROM recommendations SEMI JOIN fact_listen_history USING (user_id, track_id)"
    assert loaded.query(played) == [(0,)]


def test_popular_tracks_for_all_users_are_a_warning_not_a_failure(loaded: Deployment) -> None:
    checks = loaded.instance.event_log_storage.get_latest_asset_check_execution_by_key(
        [key for key in _check_keys() if key.name in ("candidate_promoted", "made_by_a_model")]
    )
    found = {key.name: each.evaluation for key, each in checks.items()}
    # The candidate is neither better nor worse than popular tracks: it goes into shadow.
    assert {name: (each.passed, each.severity.value) for name, each in found.items()} == {
        "candidate_promoted": (True, "WARN"),
        "made_by_a_model": (False, "WARN"),
    }


def test_a_second_run_and_reading_the_days_again_change_nothing(loaded: Deployment) -> None:
    before = fingerprints.everything(loaded.data_dir)
    assert not loaded.run(FIRST, LAST).missing
    assert fingerprints.everything(loaded.data_dir) == before

    files = _landing_files(loaded.data_dir)
    assert loaded.ingest(FIRST, LAST).success
    assert fingerprints.everything(loaded.data_dir) == before
    assert _landing_files(loaded.data_dir) == 2 * files, "the source was not asked again"


def test_records_that_turn_up_late_are_added_to_their_days(tmp_path: Path) -> None:
    whole = original_records(CLOCK, 200)
    growing = {endpoint: listed[::2] for endpoint, listed in whole.items()}
    with serving(growing) as url, serving(whole) as url_of_whole:
        late, at_once = Deployment(tmp_path / "late", url), Deployment(tmp_path / "at_once", url_of_whole)
        assert late.ingest(FIRST, LAST).success
        assert late.query("SELECT count(*) FROM users") == [(100,)]
        for endpoint, listed in growing.items():
            listed += whole[endpoint][1::2]
        assert late.ingest(FIRST, LAST).success
        assert at_once.ingest(FIRST, LAST).success
    assert fingerprints.everything(late.data_dir) == fingerprints.everything(at_once.data_dir)


def _landing_files(data_dir: Path) -> int:
    return len(list((data_dir / "landing").rglob("*.parquet")))


def _check_keys():  # type: ignore[no-untyped-def]
    from moovitamix_assets.definitions import defs

    return defs.resolve_asset_graph().asset_check_keys
