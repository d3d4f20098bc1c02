"""With one record in twenty spoiled: each is accounted for, and each that was rejected can be read back whole."""

import json
from collections import Counter
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import orjson
import pytest
from dagster import AssetCheckEvaluation, AssetCheckKey, AssetKey, AssetSelection

from foundation.landing.partitions import count_landed, read_landing
from mock_api.served_log import record_sha256
from mock_api.server import running_server
from moovitamix_assets.ingestion.landing import landing_at
from moovitamix_assets.partitions import days_between
from moovitamix_assets_tests.conftest import FIRST, LAST, small_world
from moovitamix_assets_tests.integration.deployment import Deployment

DIRTY_SHARE = 0.05
ENDPOINTS = {"users": "users", "tracks": "tracks", "listens": "listen_history"}
DAYS = days_between(FIRST, LAST)


@pytest.fixture(scope="module")
def served_log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("served") / "served.jsonl"


@pytest.fixture(scope="module")
def loaded(served_log: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    world = small_world(
        people=400, tracks=400, sessions_a_day=80, dirty_share=DIRTY_SHARE, served_log=served_log
    )
    with running_server(world) as url:
        deployment = Deployment(tmp_path_factory.mktemp("dirty") / "data", url)
        assert deployment.ingest(FIRST, LAST).success
        yield deployment


def test_every_partition_adds_up(loaded: Deployment) -> None:
    kinds = Counter[str]()
    for table, endpoint in ENDPOINTS.items():
        for day in DAYS:
            received = count_landed(landing_at(loaded.settings.landing_dir), endpoint, day)
            [counts] = loaded.query(
                """SELECT received, accepted, rejected, duplicates, superseded FROM partition_loads
                   WHERE table_name = ? AND changed_on = ?""",
                table,
                day,
            )
            assert counts[0] == received
            assert received == sum(counts[1:]), (table, day, counts)
            kinds.update(
                dict(zip(("accepted", "rejected", "duplicates", "superseded"), counts[1:], strict=True))
            )
            key = "user_id, listened_at" if table == "listens" else f"{table[:-1]}_id"
            assert loaded.query(f"SELECT count(DISTINCT ({key})) FROM {table} WHERE changed_on = ?", day) == [
                (counts[1],)
            ]
            assert loaded.query(f"SELECT count(*) FROM rejected_{table} WHERE changed_on = ?", day) == [
                (counts[2],)
            ]
    assert min(kinds.values()) > 0, "the dirt shows in every count"


def test_what_can_be_used_is_accepted_in_one_version_a_day(loaded: Deployment) -> None:
    for table, endpoint in ENDPOINTS.items():
        landed = read_landing(landing_at(loaded.settings.landing_dir), endpoint, DAYS)
        usable = {
            (day.date(), _key(json.loads(record)))
            for day, record in zip(landed["changed_on"], landed["record"], strict=True)
        }
        columns = "user_id, listened_at" if table == "listens" else f"{table[:-1]}_id"
        stored = loaded.query(f"SELECT DISTINCT changed_on, {columns} FROM {table}")
        assert {(day, tuple(key)) for day, *key in stored} == {each for each in usable if each[1]}


def _key(record: dict[str, Any]) -> tuple[Any, ...] | None:
    """What identifies a record, in the words of the contract; None where it cannot be used."""
    if "items" not in record:
        return None if record["id"] is None else (record["id"],)
    tracks = [item for item in record["items"] or [] if isinstance(item, int)]
    if record["user_id"] is None or not tracks or not (record["created_at"] or "").startswith("20"):
        return None
    try:
        return record["user_id"], datetime.fromisoformat(record["created_at"])
    except ValueError:
        return None


def test_what_landed_is_what_the_source_says_it_served(loaded: Deployment, served_log: Path) -> None:
    """The log holds the pages of every pull; the last as many as a pull has are those of the accepted one."""
    answers = [orjson.loads(line) for line in served_log.read_bytes().splitlines()]
    for endpoint in ENDPOINTS.values():
        # Without a filter only the first page is looked at, to judge the source.
        of_endpoint = [
            answer for answer in answers if answer["endpoint"] == endpoint and answer["updated_before"]
        ]
        pages = max(answer["page"] for answer in of_endpoint)
        accepted = of_endpoint[-pages:]
        assert sorted(answer["page"] for answer in accepted) == list(range(1, pages + 1))
        served = Counter(digest for answer in accepted for digest in answer["sha256"])
        landed = read_landing(landing_at(loaded.settings.landing_dir), endpoint, DAYS)["record"]
        assert Counter(record_sha256(json.loads(record)) for record in landed) == served
        assert len(landed) == accepted[0]["total"]


def test_rejected_records_can_be_read_back_whole_with_their_reasons(loaded: Deployment) -> None:
    for table, endpoint in ENDPOINTS.items():
        landed = {
            json.dumps(json.loads(record), sort_keys=True)
            for record in read_landing(landing_at(loaded.settings.landing_dir), endpoint, DAYS)["record"]
        }
        rejected = loaded.query(f"SELECT record, reasons FROM rejected_{table}")
        assert rejected
        for record, reasons in rejected:
            assert json.dumps(json.loads(record), sort_keys=True) in landed
            assert reasons
            assert all(reasons)
        id_of = "user_id" if table == "listens" else "id"
        without_id = [reasons for record, reasons in rejected if json.loads(record)[id_of] is None]
        assert without_id
        assert all(any("id" in reason for reason in reasons) for reasons in without_id)


@pytest.mark.parametrize("table", ["users", "tracks", "listens", "rejected_listens"])
def test_one_row_deleted_by_hand_is_noticed(loaded: Deployment, table: str) -> None:
    checked = table.removeprefix("rejected_")
    assert _nothing_lost(loaded, checked).passed
    loaded.edit(
        f"CREATE TABLE aside AS SELECT * FROM {table} ORDER BY rowid LIMIT 1;"
        f"DELETE FROM {table} WHERE rowid = (SELECT min(rowid) FROM {table})"
    )
    assert loaded.query("SELECT count(*) FROM aside") == [(1,)]
    evaluation = _nothing_lost(loaded, checked)
    loaded.edit(f"INSERT INTO {table} BY NAME FROM aside; DROP TABLE aside")
    assert not evaluation.passed
    assert evaluation.blocking
    assert f"1 days of {checked} do not add up" in (evaluation.description or "")
    assert _nothing_lost(loaded, checked).passed


def _nothing_lost(deployment: Deployment, table: str) -> AssetCheckEvaluation:
    """The check by itself, over every partition loaded."""
    check = AssetCheckKey(AssetKey(table), "nothing_lost")
    [evaluation] = deployment.execute(AssetSelection.checks(check)).get_asset_check_evaluations()
    return evaluation
