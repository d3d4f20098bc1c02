"""What is told of assets, of the source and of checks."""

import time
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
from dagster import (
    DagsterInstance,
)

from moovitamix_assets_tests.unit.operations.health.watched_runs import collector, run_nightly, scraped


@pytest.fixture
def instance() -> Iterator[DagsterInstance]:
    with DagsterInstance.ephemeral() as made:
        yield made


def test_what_a_pull_reported_of_the_source(instance):
    run_nightly(instance)
    told = scraped(collector(instance))
    assert told["source_requests", "users"] == 40
    assert told["source_retries", "users"] == 3
    assert told["source_retries_by_cause", "users", "status_503"] == 2
    assert told["source_retries_by_cause", "users", "timeout"] == 1
    assert told["source_latency_p50_seconds", "users"] == pytest.approx(0.0125)
    assert told["source_latency_p95_seconds", "users"] == pytest.approx(0.08)
    assert told["source_read_timestamp_seconds", "users"] == pytest.approx(time.time(), abs=30)


def test_a_day_without_records_has_no_rows(instance):
    run_nightly(instance, "2026-09-03", "empty")
    assert scraped(collector(instance))["asset_rows", "raw_users"] == 0


def test_an_old_day_made_again_does_not_move_the_newest_partition(instance):
    source = collector(instance)
    newest_end = datetime(2026, 9, 5, tzinfo=UTC).timestamp()
    run_nightly(instance, "2026-09-04")
    first = scraped(source)
    run_nightly(instance, "2026-09-01")
    second = scraped(source)
    assert first["asset_newest_partition_end_timestamp_seconds", "raw_users"] == newest_end
    assert second["asset_newest_partition_end_timestamp_seconds", "raw_users"] == newest_end
    assert (
        second["asset_materialized_timestamp_seconds", "raw_users"]
        > first["asset_materialized_timestamp_seconds", "raw_users"]
    )
    run_nightly(instance, "2026-09-05")
    assert scraped(source)["asset_newest_partition_end_timestamp_seconds", "raw_users"] == newest_end + 86400


def test_what_did_not_change_is_not_asked_for_again(instance, monkeypatch):
    run_nightly(instance)
    source = collector(instance)
    first = scraped(source)
    for asked in ("get_materialized_partitions", "get_run_step_stats"):
        monkeypatch.setattr(DagsterInstance, asked, None)
    second = scraped(source)
    assert second["dagster_storage_readable",] == 1
    assert second["asset_step_seconds", "raw_users"] == first["asset_step_seconds", "raw_users"]


def test_checks_say_whether_they_block(instance):
    run_nightly(instance, "2026-09-03")
    told = scraped(collector(instance))
    assert told["check_failed", "raw_users", "strict", "error", "true"] == 0
    assert told["check_failed", "raw_users", "lenient", "warn", "false"] == 1
    run_nightly(instance, "2026-09-04", "strict")
    told = scraped(collector(instance))
    assert told["check_failed", "raw_users", "strict", "error", "true"] == 1
    evaluated = told["check_evaluated_timestamp_seconds", "raw_users", "strict", "error", "true"]
    assert evaluated == pytest.approx(time.time(), abs=30)


def test_a_check_that_is_only_planned_does_not_hide_that_it_failed(instance):
    run_nightly(instance, "2026-09-03", "strict")
    run_nightly(instance, "2026-09-04", "broken")
    assert scraped(collector(instance))["check_failed", "raw_users", "strict", "error", "true"] == 1


def test_a_check_that_was_only_ever_planned_is_not_reported_of(instance):
    run_nightly(instance, "2026-09-03", "broken")
    told = scraped(collector(instance))
    assert told["runs", "nightly", "failure"] == told["dagster_storage_readable",] == 1
    assert not any(key[0].startswith("check_") for key in told)
