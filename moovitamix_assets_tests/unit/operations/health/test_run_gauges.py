"""What is told of runs: succeeded, failed, queued, alive and killed."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator

import pytest
from dagster import (
    DagsterEvent,
    DagsterEventType,
    DagsterInstance,
    DagsterRunStatus,
    RunsFilter,
    job,
)

from foundation.dagster_internals import InstanceRef
from moovitamix_assets.operations.health.run_gauges import process_use
from moovitamix_assets_tests.unit.operations.health.watched_runs import (
    DEFINITIONS,
    collector,
    queue,
    run_nightly,
    scraped,
    wait,
)

NO_PROCESS = 2**22 + 1  # Linux gives no greater numbers than 2**22.


@pytest.fixture
def instance() -> Iterator[DagsterInstance]:
    with DagsterInstance.ephemeral() as made:
        yield made


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


def test_the_newest_of_two_runs(instance):
    run_nightly(instance)
    between = time.time()
    run_nightly(instance)
    told = scraped(collector(instance))
    assert told["runs", "nightly", "success"] == 2
    assert told["job_last_start_timestamp_seconds", "nightly"] > between
    assert told["job_last_success_timestamp_seconds", "nightly"] > between


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


def test_the_newest_start_is_reported_however_the_run_ended(instance):
    run_nightly(instance, "2026-09-03", "broken")
    between = time.time()
    run_nightly(instance, "2026-09-04")
    assert scraped(collector(instance))["job_last_start_timestamp_seconds", "nightly"] > between
    between = time.time()
    run_nightly(instance, "2026-09-04", "broken")
    assert scraped(collector(instance))["job_last_start_timestamp_seconds", "nightly"] > between


def test_a_run_that_was_canceled_before_it_began_ended_and_took_no_time(instance):
    run = queue(instance, DEFINITIONS.resolve_job_def("waiting"))
    instance.report_run_canceled(run)
    told = scraped(collector(instance))
    assert told["dagster_storage_readable",] == 1
    assert told["runs", "waiting", "canceled"] == 1
    assert told["job_last_end_timestamp_seconds", "waiting"] == pytest.approx(time.time(), abs=30)
    for unknown in ("job_last_start_timestamp_seconds", "job_last_end_seconds"):
        assert (unknown, "waiting") not in told


def test_the_longest_of_the_runs_under_way_is_reported(instance):
    job = DEFINITIONS.resolve_job_def("waiting")
    oldest, _ = (instance.create_run_for_job(job, status=DagsterRunStatus.STARTED) for _ in range(2))
    made = instance.get_run_record_by_id(oldest.run_id).create_timestamp.timestamp()
    assert scraped(collector(instance))["run_under_way_since_timestamp_seconds", "waiting"] == made


def test_the_longest_waiting_of_queued_runs(instance):
    waits = [queue(instance, DEFINITIONS.resolve_job_def("waiting")) for _ in range(2)]
    oldest = instance.get_run_record_by_id(waits[0].run_id)
    told = scraped(collector(instance))
    assert told["runs", "waiting", "queued"] == 2
    assert told["run_queued_since_timestamp_seconds", "waiting"] == oldest.create_timestamp.timestamp()
    assert told["run_queued_since_timestamp_seconds", "waiting"] == pytest.approx(time.time(), abs=30)
    assert ("run_queued_since_timestamp_seconds", "nightly") not in told
    assert told["run_process_gone", "waiting"] == 0


def test_runs_of_jobs_that_are_no_longer_defined_are_reported_of_as_one(instance):
    @job
    def removed():
        wait()

    queue(instance, removed)
    told = scraped(collector(instance))
    assert told["runs", "other", "queued"] == 1
    assert not any("removed" in key for key in told)


def test_a_run_that_was_started_and_has_no_process_yet_is_not_gone(instance):
    run = instance.create_run_for_job(
        DEFINITIONS.resolve_job_def("waiting"), status=DagsterRunStatus.STARTING
    )
    daemon = DagsterEvent(DagsterEventType.PIPELINE_STARTING.value, "waiting", pid=NO_PROCESS)
    instance.report_dagster_event(daemon, run.run_id)
    told = scraped(collector(instance))
    assert told["run_process_gone", "waiting"] == 0
    assert told["run_under_way_since_timestamp_seconds", "waiting"] == pytest.approx(time.time(), abs=30)


RUN_ELSEWHERE = """
import sys
from dagster import DagsterInstance
from foundation.dagster_internals import InstanceRef
from moovitamix_assets_tests.unit.operations.health.watched_runs import DEFINITIONS, QUIET
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
