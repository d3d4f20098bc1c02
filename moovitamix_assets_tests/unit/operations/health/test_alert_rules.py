"""The alert rules against the exporter itself: they select labels that it emits, and fire on trouble."""

import os
import re
import time
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
from dagster import (
    AssetCheckEvaluation,
    AssetCheckKey,
    AssetCheckSeverity,
    AssetKey,
    AssetMaterialization,
    DagsterEvent,
    DagsterEventType,
    DagsterInstance,
    DagsterRunStatus,
)
from dagster._daemon.types import DaemonHeartbeat

from foundation.dagster_internals import InstanceRef
from moovitamix_assets.definitions import build_definitions
from moovitamix_assets.operations.health.exporter import HealthCollector, Watched
from moovitamix_assets.operations.health.gauges import Gauges
from moovitamix_assets.settings import Settings
from moovitamix_assets_tests.unit.operations.health.rules import RULES, firing, selectors
from moovitamix_assets_tests.unit.operations.health.watched_runs import DEFINITIONS, queue, run_nightly

NO_PROCESS = 2**22 + 1  # Linux gives no greater numbers than 2**22.
HOUR = 3600.0
RECOMMENDATIONS = AssetKey("recommendations")
LISTENS, CHECK = AssetKey("listens"), AssetCheckKey(AssetKey("listens"), "nothing_lost")


@pytest.fixture
def instance() -> Iterator[DagsterInstance]:
    with DagsterInstance.ephemeral() as made:
        yield made


def fires(instance: DagsterInstance, alert: str, hours: float = 0.0) -> list[dict[str, str]]:
    """What an alert is about, so many hours from now."""
    watched = Watched(["nightly", "waiting"], [AssetKey("raw_users"), LISTENS, RECOMMENDATIONS], [CHECK], {})
    families = list(HealthCollector(instance, watched, cache_seconds=0).collect())
    return firing(alert, families, time.time() + hours * HOUR)


@pytest.mark.parametrize("alert", RULES)
def test_a_rule_selects_and_names_labels_that_its_metrics_have(alert: str) -> None:
    labels = {family.name: set(family._labelnames) for family in Gauges().families()}
    known = set().union(
        *(labels[selected.metric] for selected in selectors(alert) if selected.metric in labels)
    )
    for selected in selectors(alert):
        assert selected.labels.keys() <= labels[selected.metric], selected
    shown = re.findall(r"\$labels\.(\w+)", str(RULES[alert]["annotations"]))
    assert set(shown) <= known


def test_a_run_whose_process_was_killed_fires_and_one_that_lives_does_not(instance: DagsterInstance) -> None:
    job = DEFINITIONS.resolve_job_def("waiting")
    for pid, alerts in ((os.getpid(), []), (NO_PROCESS, [{"job_name": "waiting"}])):
        run = instance.create_run_for_job(job, status=DagsterRunStatus.STARTED)
        began = DagsterEvent(DagsterEventType.PIPELINE_START.value, "waiting", pid=pid)
        instance.report_dagster_event(began, run.run_id)
        assert fires(instance, "RunCrashed") == alerts


def test_a_run_that_waits_half_an_hour_fires(instance: DagsterInstance) -> None:
    queue(instance, DEFINITIONS.resolve_job_def("waiting"))
    assert fires(instance, "RunQueued", 0.49) == []
    assert fires(instance, "RunQueued", 0.51) == [{"job_name": "waiting"}]


def test_a_nightly_run_and_a_source_that_did_nothing_for_a_day_fire(instance: DagsterInstance) -> None:
    run_nightly(instance)
    assert fires(instance, "NightlyLate", 25.9) == fires(instance, "SourceNotRead", 25.9) == []
    assert fires(instance, "NightlyLate", 26.1) == [{"job_name": "nightly"}]
    assert fires(instance, "SourceNotRead", 26.1) == [{"endpoint": "users"}]
    # A run that fails makes nothing younger.
    run_nightly(instance, "2026-09-04", "broken")
    assert fires(instance, "NightlyLate", 26.1) == [{"job_name": "nightly"}]


def test_a_day_is_late_by_its_own_end_and_not_by_its_materialization(instance: DagsterInstance) -> None:
    now = datetime.now(UTC)
    ended = now.replace(hour=0, minute=0, second=0, microsecond=0).timestamp()
    yesterday = datetime.fromtimestamp(ended - HOUR, UTC).date()
    for made in (yesterday.isoformat(), "2026-09-01"):
        instance.report_runless_asset_event(AssetMaterialization(LISTENS, partition=made))
    since = (now.timestamp() - ended) / HOUR
    assert fires(instance, "PartitionLate", 27.4 - since) == []
    assert fires(instance, "PartitionLate", 27.6 - since) == [{"asset": "listens"}]


@pytest.mark.parametrize(
    ("passed", "blocking", "severity", "critical"),
    [
        (False, True, AssetCheckSeverity.ERROR, True),
        (True, True, AssetCheckSeverity.ERROR, False),
        (False, False, AssetCheckSeverity.ERROR, False),
        (False, True, AssetCheckSeverity.WARN, False),
    ],
)
def test_a_blocking_check_that_fails_fires(
    instance: DagsterInstance, passed: bool, blocking: bool, severity: AssetCheckSeverity, critical: bool
) -> None:
    instance.report_runless_asset_event(
        AssetCheckEvaluation(LISTENS, CHECK.name, passed, {}, severity=severity, blocking=blocking)
    )
    assert [labels["check"] for labels in fires(instance, "CheckFailing")] == [CHECK.name] * critical
    assert fires(instance, "CheckNotEvaluated", 27.4) == []
    assert len(fires(instance, "CheckNotEvaluated", 27.6)) == blocking


def test_a_fallback_fires_until_other_recommendations_are_made(instance: DagsterInstance) -> None:
    assert fires(instance, "Fallback") == []
    for fallback, alerts in ((0, []), (1, [{}]), (0, [])):
        state = {"fallback": fallback, "challengers": 1}
        instance.report_runless_asset_event(
            AssetMaterialization(RECOMMENDATIONS, partition="2026-09-01", metadata=state)
        )
        assert fires(instance, "Fallback") == alerts


def test_storage_that_cannot_be_read_fires(
    instance: DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert fires(instance, "DagsterStorageUnreadable") == []
    assert fires(instance, "DagsterStorageUnreadable", 0.05) == [{}]
    monkeypatch.setattr(DagsterInstance, "get_run_records", None)
    assert fires(instance, "DagsterStorageUnreadable") == [{}]


def test_the_daemons_that_are_watched_are_daemons_of_the_instance(tmp_path) -> None:
    (selected, *_) = selectors("DaemonSilent")
    watched = set(selected.labels["daemon"].split("|"))
    with DagsterInstance.from_ref(InstanceRef.from_dir(str(tmp_path))) as instance:
        assert watched <= set(instance.get_required_daemon_types())
        instance.add_daemon_heartbeat(DaemonHeartbeat(time.time(), "SCHEDULER", "id"))
        families = HealthCollector(instance, Watched([], [], [], {})).collect()
    (beats,) = (each for each in families if each.name == selected.metric)
    assert [selected.selects(sample.labels) for sample in beats.samples] == [True]


def test_what_must_be_evaluated_every_day_has_blocking_checks() -> None:
    graph = build_definitions(Settings()).resolve_asset_graph()
    (selected,) = selectors("CheckNotEvaluated")
    for asset in selected.labels["asset"].split("|"):
        assert any(graph.get(check).blocking for check in graph.get_check_keys_for_assets({AssetKey(asset)}))


def test_alerts_wait_no_longer_than_what_they_are_about_may_last() -> None:
    """A rule with a long `for` hardly fires: only one about what never happened may wait long."""
    waits = {alert: rule.get("for", "0m") for alert, rule in RULES.items()}
    long = {alert for alert, wait in waits.items() if wait not in ("0m", "1m", "2m", "5m")}
    assert long <= {"NightlyNever", "JobFailing"}
