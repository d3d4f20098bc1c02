"""The exporter itself: what it does without storage, how often it reads, what it serves."""

import threading
import time
import urllib.request
from collections.abc import Iterator

import pytest
from dagster import (
    AssetKey,
    DagsterInstance,
)
from dagster._daemon.types import DaemonHeartbeat
from prometheus_client.parser import text_string_to_metric_families

from foundation.dagster_internals import InstanceRef
from moovitamix_assets.operations.health.exporter import PortTaken, Watched, serving
from moovitamix_assets.operations.health.gauges import Gauges
from moovitamix_assets_tests.unit.operations.health.watched_runs import (
    DEFINITIONS,
    SECRET,
    collector,
    run_nightly,
    scraped,
)


@pytest.fixture
def instance() -> Iterator[DagsterInstance]:
    with DagsterInstance.ephemeral() as made:
        yield made


def test_daemons_and_disks(instance, tmp_path):
    instance.add_daemon_heartbeat(DaemonHeartbeat(1234.5, "SCHEDULER", "id"))
    told = scraped(collector(instance, data=tmp_path / "not" / "made", dagster=tmp_path))
    assert told["daemon_heartbeat_timestamp_seconds", "SCHEDULER"] == 1234.5
    assert told["disk_free_bytes", "dagster"] > 0
    assert told["disk_free_bytes", "data"] == pytest.approx(told["disk_free_bytes", "dagster"], rel=0.1)


def test_storage_that_cannot_be_read_freezes_what_was_reported_and_says_so(tmp_path, caplog):
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


def test_storage_that_was_never_readable(instance, monkeypatch, caplog):
    monkeypatch.setattr(DagsterInstance, "get_run_records", None)
    told = scraped(collector(instance))
    assert told["dagster_storage_readable",] == 0
    assert ("exporter_last_read_timestamp_seconds",) not in told
    assert "cannot be read" in caplog.text


def test_how_long_an_attempt_took_is_reported_whether_it_succeeded_or_not(instance, monkeypatch):
    for _ in range(2):
        before = time.monotonic()
        assert 0 < scraped(collector(instance))["exporter_read_seconds",] < time.monotonic() - before
        monkeypatch.setattr(DagsterInstance, "get_run_records", None)


def test_an_answer_is_renewed_once_it_is_too_old(instance, monkeypatch):
    source = collector(instance, cache_seconds=60)
    first = scraped(source)
    run_nightly(instance)
    soon, later = (time.monotonic() + seconds for seconds in (58, 62))
    monkeypatch.setattr(time, "monotonic", lambda: soon)
    assert scraped(source) == first
    monkeypatch.setattr(time, "monotonic", lambda: later)
    assert scraped(source)["runs", "nightly", "success"] == 1


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


def test_a_host_that_is_none_of_this_machine_is_not_taken_for_a_port_in_use(instance):
    with (
        pytest.raises(PortTaken, match="Give --host an address of this machine"),
        serving(collector(instance), "nohost.invalid", 0),
    ):
        pass
