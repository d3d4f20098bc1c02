"""What a scrape tells of real runs: succeeded, failed, queued, alive, killed; and of storage that cannot be read."""

import os
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from dagster import (
    AssetCheckResult,
    AssetCheckSeverity,
    AssetCheckSpec,
    AssetKey,
    DagsterInstance,
    DagsterRun,
    DagsterRunStatus,
    DailyPartitionsDefinition,
    Definitions,
    JobDefinition,
    Output,
    RunsFilter,
    asset,
    define_asset_job,
    in_process_executor,
    job,
    op,
)
from dagster._core.instance.ref import InstanceRef
from dagster._core.remote_origin import (
    RegisteredCodeLocationOrigin,
    RemoteJobOrigin,
    RemoteRepositoryOrigin,
)
from dagster._daemon.types import DaemonHeartbeat
from prometheus_client.parser import text_string_to_metric_families

from moovitamix_assets.monitoring.exporter import HealthCollector, PortTaken, Watched, serving
from moovitamix_assets.monitoring.gauges import Gauges
from moovitamix_assets.monitoring.run_gauges import process_use

DAILY = DailyPartitionsDefinition("2026-09-01")
SECRET = "jane.doe@example.org"
PULL = {
    "requests": 40,
    "retries": 3,
    "retries_by_cause": {"status_503": 2, "timeout": 1},
    "latency_p50_ms": 12.5,
    "latency_p95_ms": 80.0,
}


@asset(
    partitions_def=DAILY,
    check_specs=[
        AssetCheckSpec("strict", asset="raw_users", blocking=True),
        AssetCheckSpec("lenient", asset="raw_users"),
    ],
)
def raw_users(context):
    """Brings something, unless the source is tagged as broken."""
    if "broken" in context.run_tags:
        raise RuntimeError(SECRET)
    records = {} if "empty" in context.run_tags else {"records": 7}
    yield Output(None, metadata={**PULL, **records, "sample": SECRET})
    yield AssetCheckResult(check_name="strict", passed="strict" not in context.run_tags)
    yield AssetCheckResult(check_name="lenient", passed=False, severity=AssetCheckSeverity.WARN)


@op
def wait():
    time.sleep(600)


@job(executor_def=in_process_executor)
def waiting():
    wait()


DEFINITIONS = Definitions(
    assets=[raw_users],
    jobs=[define_asset_job("nightly", selection=[raw_users]), waiting],
    executor=in_process_executor,
)
QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}


@pytest.fixture
def instance() -> Iterator[DagsterInstance]:
    with DagsterInstance.ephemeral() as made:
        yield made


def run_nightly(instance: DagsterInstance, day: str = "2026-09-03", *tags: str):
    return DEFINITIONS.resolve_job_def("nightly").execute_in_process(
        instance=instance,
        partition_key=day,
        tags=dict.fromkeys(tags, "yes"),
        run_config=QUIET,
        raise_on_error=False,
    )


def queue(instance: DagsterInstance, queued: JobDefinition) -> DagsterRun:
    location = RegisteredCodeLocationOrigin("location")
    origin = RemoteJobOrigin(RemoteRepositoryOrigin(location, "repository"), queued.name)
    return instance.create_run_for_job(queued, status=DagsterRunStatus.QUEUED, remote_job_origin=origin)


def collector(instance: DagsterInstance, cache_seconds: float = 0.0, **places: Path) -> HealthCollector:
    return HealthCollector(instance, Watched.all_of(DEFINITIONS, places), cache_seconds)


def scraped(source: HealthCollector) -> dict[tuple[str, ...], float]:
    """Samples by name, without the prefix, and values of labels."""
    return {
        (sample.name.removeprefix("moovitamix_"), *sample.labels.values()): sample.value
        for family in source.collect()
        for sample in family.samples
    }


def test_a_run_that_succeeded(instance):
    before = time.time()
    run_nightly(instance, "2026-09-03")
    told = scraped(collector(instance))
    assert told["runs", "nightly", "success"] == 1
    assert told["runs", "nightly", "failure"] == told["runs", "nightly", "queued"] == 0
    start, end = (told[f"job_last_{what}_timestamp_seconds", "nightly"] for what in ("start", "success"))
    assert before <= start <= end <= time.time()
    assert told["job_last_success_seconds", "nightly"] == pytest.approx(end - start)
    assert told["job_last_end_timestamp_seconds", "nightly"] == end
    assert ("job_last_failure_timestamp_seconds", "nightly") not in told
    assert start <= told["asset_materialized_timestamp_seconds", "raw_users"] <= end
    assert 0 < told["asset_step_seconds", "raw_users"] < end - start
    assert told["asset_rows", "raw_users"] == 7


def test_what_a_pull_told_of_the_source(instance):
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


def test_a_run_that_failed_leaves_what_was_before(instance):
    run_nightly(instance, "2026-09-03")
    success = scraped(collector(instance))
    run_nightly(instance, "2026-09-04", "broken")
    told = scraped(collector(instance))
    assert told["runs", "nightly", "failure"] == told["runs", "nightly", "success"] == 1
    failed = told["job_last_failure_timestamp_seconds", "nightly"]
    assert failed > told["job_last_success_timestamp_seconds", "nightly"]
    assert failed == told["job_last_end_timestamp_seconds", "nightly"]
    for kept in (
        ("job_last_success_timestamp_seconds", "nightly"),
        ("asset_newest_partition_end_timestamp_seconds", "raw_users"),
        ("source_read_timestamp_seconds", "users"),
        ("check_evaluated_timestamp_seconds", "raw_users", "strict", "error", "true"),
    ):
        assert told[kept] == success[kept]


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


def test_the_longest_waiting_of_queued_runs(instance):
    waits = [queue(instance, DEFINITIONS.resolve_job_def("waiting")) for _ in range(2)]
    oldest = instance.get_run_record_by_id(waits[0].run_id)
    told = scraped(collector(instance))
    assert told["runs", "waiting", "queued"] == 2
    assert told["run_queued_since_timestamp_seconds", "waiting"] == oldest.create_timestamp.timestamp()
    assert told["run_queued_since_timestamp_seconds", "waiting"] == pytest.approx(time.time(), abs=30)
    assert ("run_queued_since_timestamp_seconds", "nightly") not in told
    assert told["run_process_gone", "waiting"] == 0


def test_runs_of_jobs_that_are_no_longer_defined_are_told_of_as_one(instance):
    @job
    def removed():
        wait()

    queue(instance, removed)
    told = scraped(collector(instance))
    assert told["runs", "other", "queued"] == 1
    assert not any("removed" in key for key in told)


def test_a_run_that_was_started_and_has_no_process_yet_is_not_gone(instance):
    instance.create_run_for_job(DEFINITIONS.resolve_job_def("waiting"), status=DagsterRunStatus.STARTING)
    told = scraped(collector(instance))
    assert told["run_process_gone", "waiting"] == 0
    assert told["run_under_way_since_timestamp_seconds", "waiting"] == pytest.approx(time.time(), abs=30)


RUN_ELSEWHERE = """
import sys
from dagster import DagsterInstance
from dagster._core.instance.ref import InstanceRef
from moovitamix_assets_tests.unit.monitoring.test_exporter import DEFINITIONS, QUIET
with DagsterInstance.from_ref(InstanceRef.from_dir(sys.argv[1])) as instance:
    DEFINITIONS.resolve_job_def("waiting").execute_in_process(instance=instance, run_config=QUIET)
"""


def wait_until_in_step(instance: DagsterInstance) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        for run in instance.get_runs(RunsFilter(job_name="waiting")):
            if any(
                entry.dagster_event and entry.dagster_event.is_step_start
                for entry in instance.all_logs(run.run_id)
            ):
                return
        time.sleep(0.1)
    raise AssertionError("the step did not begin")


def test_a_process_is_measured_while_it_lives_and_missed_when_it_was_killed(tmp_path):
    with DagsterInstance.from_ref(InstanceRef.from_dir(str(tmp_path))) as instance:
        process = subprocess.Popen([sys.executable, "-c", RUN_ELSEWHERE, str(tmp_path)])
        try:
            wait_until_in_step(instance)
            alive = scraped(collector(instance))
            assert alive["run_process_gone", "waiting"] == 0
            assert alive["run_memory_bytes", "waiting"] > 20e6
            assert alive["run_cpu_seconds", "waiting"] > 0.1
        finally:
            process.kill()
        while scraped(collector(instance))["run_process_gone", "waiting"] == 0 and process.poll() is None:
            time.sleep(0.05)  # Until it is a zombie: nobody has waited for it yet.
        process.wait()
        dead = scraped(collector(instance))
        assert dead["run_process_gone", "waiting"] == 1
        assert dead["runs", "waiting", "started"] == 1
        assert ("run_memory_bytes", "waiting") not in dead
        since = ("run_under_way_since_timestamp_seconds", "waiting")
        assert dead[since] == alive[since] > 0
        assert dead["dagster_storage_readable",] == 1


def test_a_process_with_the_number_of_a_dead_one_is_another():
    assert process_use(os.getpid(), time.time()) is not None
    assert process_use(os.getpid(), 1.0) is None


def test_a_zombie_is_gone():
    process = subprocess.Popen([sys.executable, "-c", ""])
    deadline = time.monotonic() + 30
    while process_use(process.pid, time.time()) is not None:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    process.wait()


def test_daemons_and_disks(instance, tmp_path):
    instance.add_daemon_heartbeat(DaemonHeartbeat(1234.5, "SCHEDULER", "id"))
    told = scraped(collector(instance, data=tmp_path / "not" / "made", dagster=tmp_path))
    assert told["daemon_heartbeat_timestamp_seconds", "SCHEDULER"] == 1234.5
    assert told["disk_free_bytes", "dagster"] > 0
    assert told["disk_free_bytes", "data"] == pytest.approx(told["disk_free_bytes", "dagster"], rel=0.1)


def test_storage_that_cannot_be_read_freezes_what_was_told_and_says_so(tmp_path, caplog):
    with DagsterInstance.from_ref(InstanceRef.from_dir(str(tmp_path))) as instance:
        run_nightly(instance)
        source = collector(instance)
        readable = scraped(source)
        runs = tmp_path / "history" / "runs.db"
        content = runs.read_bytes()
        for file in runs.parent.glob("runs.db*"):
            file.write_bytes(b"")
        runs.write_bytes(b"no database at all" * 1000)
        broken = scraped(source)
        scraped(source)
        runs.write_bytes(content)
        mended = scraped(source)
    assert (readable["dagster_storage_readable",], broken["dagster_storage_readable",]) == (1, 0)
    last_read = ("exporter_last_read_timestamp_seconds",)
    assert readable[last_read] == broken[last_read] == pytest.approx(time.time(), abs=30)
    success = ("job_last_success_timestamp_seconds", "nightly")
    assert broken[success] == readable[success]
    assert caplog.text.count("cannot be read") == 1
    assert mended["dagster_storage_readable",] == 1
    assert mended[last_read] > readable[last_read]


def test_storage_that_was_never_readable(instance, monkeypatch):
    monkeypatch.setattr(DagsterInstance, "get_run_records", None)
    told = scraped(collector(instance))
    assert told["dagster_storage_readable",] == 0
    assert ("exporter_last_read_timestamp_seconds",) not in told


def test_scrapes_close_together_read_once(instance):
    source = collector(instance, cache_seconds=60)
    before = scraped(source)
    run_nightly(instance)
    assert scraped(source) == before
    assert scraped(collector(instance)) != before


def test_it_is_served_as_text_without_anything_personal(instance, tmp_path):
    run_nightly(instance)
    run_nightly(instance, "2026-09-04", "broken")
    with serving(collector(instance, data=tmp_path), "127.0.0.1", 0) as port:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics") as answer:
            text = answer.read().decode()
        with (
            pytest.raises(PortTaken, match=f"127.0.0.1:{port}"),
            serving(collector(instance), "127.0.0.1", port),
        ):
            pass
    families = list(text_string_to_metric_families(text))
    assert all(family.name.startswith("moovitamix_") and family.documentation for family in families)
    assert [family.name for family in families] == [family.name for family in Gauges().families()]
    assert SECRET not in text
    assert not any(thread.name.endswith("(serve_forever)") for thread in threading.enumerate())


def test_a_sample_with_other_labels_is_refused():
    with pytest.raises(ValueError, match="job_name"):
        Gauges().add("run_process_gone", 1, "nightly", "a run")


def test_everything_of_the_definitions_is_watched():
    watched = Watched.all_of(DEFINITIONS, {})
    assert {"nightly", "waiting", "__ASSET_JOB"} <= set(watched.jobs)
    assert list(watched.assets) == [AssetKey("raw_users")]
    assert [key.name for key in watched.checks] == ["lenient", "strict"]
