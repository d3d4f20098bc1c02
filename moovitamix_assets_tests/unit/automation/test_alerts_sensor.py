"""The sensors that report: a message that was sent is not sent again, one that was not is; a finding once."""

import logging
from collections.abc import Iterator
from datetime import date, datetime
from pathlib import Path

import pytest
from dagster import (
    AssetMaterialization,
    DagsterInstance,
    DagsterRunStatus,
    SensorResult,
    SkipReason,
    build_sensor_context,
)

from foundation.models.promotions import fall_back, insert_decision
from foundation.operations.alerts import AlertNotSent, Message
from foundation.warehouse.errors import WarehouseLocked
from moovitamix_assets.automation import incidents, sensors
from moovitamix_assets.operations.freshness import WATCHED
from moovitamix_assets.settings import Settings
from moovitamix_assets.warehouse.connection import write_warehouse
from moovitamix_assets_tests.unit.automation.warehouses import add_quality, decide_about, put_down_run
from moovitamix_assets_tests.unit.operations.loads import add_loads
from moovitamix_assets_tests.unit.warehouse.rows import add_list, add_session

DAY = date(2026, 9, 6)
IN_TIME, LATE = datetime(2026, 9, 7, 3, 29), datetime(2026, 9, 7, 3, 31)


class Watch:
    """A deployment made up to the day before DAY, the sensors' cursors, and the messages that a service accepted."""

    def __init__(self, data_dir: Path, instance: DagsterInstance, monkeypatch: pytest.MonkeyPatch) -> None:
        self.instance = instance
        self.settings = Settings(data_dir=data_dir, nightly_at="00:30", freshness_hours=3)
        self.cursors: dict[str, str | None] = {}
        self.sent: list[Message] = []
        self.service_answers = True
        self.moment = IN_TIME
        self.patch = monkeypatch
        monkeypatch.setattr(sensors, "send", self._send)
        monkeypatch.setattr(sensors, "now", lambda settings: self.moment)
        with write_warehouse(self.settings.warehouse_path) as connection:
            add_loads(connection, date(2026, 9, 5))
            add_session(connection, date(2026, 9, 5), 1, [10], datetime(2026, 9, 6, 12))
        self.made(date(2026, 9, 5))

    def _send(self, message: Message, urls: str, setting: str, log: logging.Logger) -> None:
        if not self.service_answers:
            raise AlertNotSent("No service accepted it.")
        self.sent.append(message)

    def made(self, day: date, *assets: str) -> None:
        for asset in assets or WATCHED:
            self.instance.report_runless_asset_event(AssetMaterialization(asset, partition=f"{day}"))

    def look(self, name: str = "alerts") -> SensorResult | SkipReason:
        (sensor,) = (each for each in sensors.build_sensors(self.settings) if each.name == name)
        found = sensor(build_sensor_context(instance=self.instance, cursor=self.cursors.get(name)))
        self.cursors[name] = getattr(found, "cursor", None) or self.cursors.get(name)
        return found

    def titles(self) -> list[str]:
        """Titles of the messages of one look."""
        before = len(self.sent)
        self.look()
        return [message.title.removeprefix("MooVitamix: ") for message in self.sent[before:]]


@pytest.fixture
def watch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Watch]:
    with DagsterInstance.ephemeral() as instance:
        yield Watch(tmp_path, instance, monkeypatch)


def test_a_message_that_was_sent_is_not_sent_again(watch: Watch) -> None:
    assert watch.titles() == []
    watch.moment = LATE
    (late,) = watch.titles()
    assert late.endswith("not up to date")
    assert watch.titles() == []
    watch.made(DAY)
    assert watch.titles() == ["over: freshness"]
    assert watch.titles() == []


def test_a_message_that_no_service_took_is_sent_again(watch: Watch) -> None:
    watch.moment, watch.service_answers = LATE, False
    for _ in range(2):
        with pytest.raises(AlertNotSent):
            watch.look()
    assert watch.cursors.get("alerts") is None
    watch.service_answers = True
    assert len(watch.titles()) == 1
    assert watch.titles() == []


def test_that_it_is_over_is_sent_again_too(watch: Watch) -> None:
    watch.moment = LATE
    assert len(watch.titles()) == 1
    watch.made(DAY)
    watch.service_answers = False
    with pytest.raises(AlertNotSent):
        watch.look()
    watch.service_answers = True
    assert watch.titles() == ["over: freshness"]


def test_a_day_that_is_late_because_its_run_failed_is_one_message(watch: Watch) -> None:
    watch.moment = LATE
    put_down_run(watch.instance, "nightly", DagsterRunStatus.FAILURE)
    (failed,) = watch.titles()
    assert failed == "The job nightly failed"
    assert "With it: listens, recommendation_quality, recommendations: not up to date" in watch.sent[-1].body
    assert watch.titles() == []


def test_while_the_warehouse_is_locked_runs_are_reported_and_nothing_else_is_over(watch: Watch) -> None:
    watch.moment = LATE
    failed = put_down_run(watch.instance, "train", DagsterRunStatus.FAILURE)
    assert len(watch.titles()) == 1

    def locked(*_: object) -> None:
        raise WarehouseLocked("Process 7 holds the warehouse.")

    with watch.patch.context() as patch:
        patch.setattr(incidents, "find_future_days", locked)
        assert watch.titles() == []
        put_down_run(watch.instance, "ingest", DagsterRunStatus.FAILURE)
        watch.instance.delete_run(failed.run_id)
        found = watch.look()
        assert "Process 7 holds the warehouse." in found.skip_reason.skip_message
        assert watch.sent[-1].title == "MooVitamix: The job ingest failed"
        assert "Over: run:train" in watch.sent[-1].body
        assert "freshness" not in watch.sent[-1].body
    # What was open before is still open, and was reported.
    assert watch.titles() == []
    watch.made(DAY)
    assert watch.titles() == ["over: freshness"]


def test_a_fallback_is_one_message_when_it_begins_and_one_when_it_is_over(watch: Watch) -> None:
    champion, before = "2026-08-20-aaaaaaaa", date(2026, 9, 5)
    with write_warehouse(watch.settings.warehouse_path) as connection:
        decide_about(connection, champion)
        add_list(connection, before, 1, [10], "popularity")
        add_quality(
            connection, date(2026, 8, 30), champion, [0.080, 0.081, 0.079, 0.080, 0.020, 0.021, 0.019]
        )
        fall_back(connection, before, "It lost.", popularity_days=7, worse_since=date(2026, 9, 4), metrics={})
    assert watch.titles() == ["Popular tracks serve instead of the champion"]
    assert "With it: The quality of the recommendations has dropped" in watch.sent[-1].body
    assert watch.titles() == []
    with write_warehouse(watch.settings.warehouse_path) as connection:
        connection.execute("UPDATE recommendation_quality SET ndcg_at_10 = 0.08")
        insert_decision(connection, champion, before, "promoted", "Clearly better again.", {}, champion)
    assert watch.titles() == ["over: fallback"]
    assert watch.titles() == []


def test_an_event_is_reported_once_however_often_the_cursor_is_read(watch: Watch) -> None:
    with write_warehouse(watch.settings.warehouse_path) as connection:
        decide_about(connection, "2026-09-05-aaaaaaaa", "rejected")
        add_list(connection, date(2026, 9, 5), 1, [10], "popularity")
    assert watch.titles() == ["The candidate 2026-09-05-aaaaaaaa was rejected"]
    assert watch.titles() == []


def test_a_finding_about_freshness_is_recorded_when_it_changes(watch: Watch) -> None:
    def evaluations() -> dict[tuple[str, str], bool]:
        found = watch.look("freshness")
        events = found.asset_events if isinstance(found, SensorResult) else []
        return {(event.asset_key.path[-1], event.check_name): event.passed for event in events}

    checks = [(asset, "made_in_time") for asset in WATCHED] + [("listens", "newest_listen")]
    assert evaluations() == dict.fromkeys(checks, True)
    assert evaluations() == {}
    watch.moment = LATE
    assert evaluations() == dict.fromkeys(checks, False) | {("listens", "newest_listen"): True}
    assert evaluations() == {}
    watch.made(DAY, "listens")
    assert evaluations()["listens", "made_in_time"]


def test_a_locked_or_missing_warehouse_changes_no_finding(watch: Watch, tmp_path: Path) -> None:
    def locked(*_: object) -> None:
        raise WarehouseLocked("Process 7 holds the warehouse.")

    with watch.patch.context() as patch:
        patch.setattr(sensors, "check_freshness", locked)
        assert watch.look("freshness").skip_message == "Process 7 holds the warehouse."
    watch.settings = Settings(data_dir=tmp_path / "nowhere")
    assert "moovitamix run" in watch.look("freshness").skip_message
    assert watch.cursors == {"freshness": None}
    assert watch.titles() == []
