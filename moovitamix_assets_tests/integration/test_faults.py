"""A source that fails now and then costs time only; one whose page always fails costs the run, and no data."""

from collections.abc import Callable
from datetime import date

import pytest
from dagster import AssetKey

from mock_api.server import running_server
from moovitamix_assets.cli.runs.job_runs import RunFailed
from moovitamix_assets_tests.conftest import FIRST, LAST, small_world
from moovitamix_assets_tests.integration import fingerprints
from moovitamix_assets_tests.integration.deployment import Deployment

SHARE = 0.05
FAULTS = ["429", "500", "503", "dropped", "truncated", "html", "moving_total", "latency"]
# Fine enough for each fault to fire many times over the three endpoints.
PAGE_SIZE = 10
SOURCE_TABLES = [
    "users",
    "tracks",
    "listens",
    "rejected_users",
    "rejected_tracks",
    "rejected_listens",
    "partition_loads",
]
RAW_ASSETS = ["raw_users", "raw_tracks", "raw_listens"]

NewDeployment = Callable[..., Deployment]


def _cost(deployment: Deployment) -> dict[str, int]:
    """Retries, and pulls beyond the first, over the three endpoints: from the metadata of the materializations."""
    cost = {"retries": 0, "more_pulls": 0}
    for name in RAW_ASSETS:
        event = deployment.instance.get_latest_materialization_event(AssetKey(name))
        assert event is not None
        assert event.asset_materialization is not None
        metadata = event.asset_materialization.metadata
        cost["retries"] += metadata["retries"].value
        cost["more_pulls"] += metadata["pulls"].value - 1
    return cost


def _read_with_faults(
    new_deployment: NewDeployment, faults: dict[str, float], **settings: object
) -> Deployment:
    world = small_world(fault_retry_after_seconds=0, fault_latency_seconds=0.2, **faults)
    with running_server(world) as url:
        deployment = new_deployment(url=url, page_size=PAGE_SIZE, **settings)
        result = deployment.ingest(FIRST, LAST)
        assert result.success
    return deployment


def _source_tables(deployment: Deployment) -> dict[str, str]:
    found = fingerprints.tables(deployment.settings.warehouse_path)
    return {name: found[name] for name in SOURCE_TABLES}


def test_faults_of_all_kinds_at_once_change_no_table(
    undisturbed: Deployment, new_deployment: NewDeployment
) -> None:
    faults = {f"fault_{fault}": SHARE for fault in FAULTS if fault not in ("moving_total", "latency")}
    disturbed = _read_with_faults(new_deployment, faults)
    assert _source_tables(disturbed) == _source_tables(undisturbed)
    assert fingerprints.landing(disturbed.data_dir) == fingerprints.landing(undisturbed.data_dir)
    causes: set[str] = set()
    for name in RAW_ASSETS:
        event = disturbed.instance.get_latest_materialization_event(AssetKey(name))
        assert event is not None
        assert event.asset_materialization is not None
        causes |= set(event.asset_materialization.metadata["retries_by_cause"].value)
    assert len(causes) >= 6, causes


def test_a_total_that_moves_while_paging_is_read_again(
    undisturbed: Deployment, new_deployment: NewDeployment
) -> None:
    disturbed = _read_with_faults(new_deployment, {"fault_moving_total": SHARE})
    assert _source_tables(disturbed) == _source_tables(undisturbed)
    assert _cost(disturbed)["more_pulls"] > 0


@pytest.mark.long
@pytest.mark.parametrize("fault", FAULTS)
def test_each_fault_changes_nothing_from_source_to_recommendations(
    fault: str, undisturbed: Deployment, new_deployment: NewDeployment
) -> None:
    settings = {"request_timeout_seconds": 0.1} if fault == "latency" else {}
    with running_server(
        small_world(fault_retry_after_seconds=0, fault_latency_seconds=0.2, **{f"fault_{fault}": SHARE})
    ) as url:
        disturbed = new_deployment(url=url, page_size=PAGE_SIZE, **settings)
        disturbed.run(FIRST, LAST)
    cost = _cost(disturbed)
    print(f"\n{fault}: {cost}")
    assert cost["more_pulls" if fault == "moving_total" else "retries"] > 0
    assert fingerprints.everything(disturbed.data_dir) == fingerprints.everything(undisturbed.data_dir)


@pytest.mark.parametrize(
    "page",
    [
        "tracks:2",
        pytest.param("users:1", marks=pytest.mark.long),
        pytest.param("listen_history:3", marks=pytest.mark.long),
    ],
)
def test_a_page_that_always_fails_stops_the_run_and_changes_nothing(
    page: str, undisturbed: Deployment, new_deployment: NewDeployment
) -> None:
    loaded_to = date(2026, 9, 2)
    before_failure = new_deployment()
    assert before_failure.ingest(FIRST, loaded_to).success
    before = fingerprints.tables(before_failure.settings.warehouse_path)
    with running_server(small_world(fault_always=page)) as url:
        failing = new_deployment(url=url, request_retries=2, page_size=PAGE_SIZE)
        endpoint, number = page.split(":")
        with pytest.raises(RunFailed, match=f"Page {number} of {endpoint} could not be read") as failure:
            failing.run(FIRST, LAST)
        assert "3 tries" in str(failure.value)
        assert "503" in str(failure.value)
        assert url in str(failure.value)
    assert fingerprints.tables(failing.settings.warehouse_path) == before
    # The source is well again: what is missing is made up for.
    assert before_failure.ingest(FIRST, LAST).success
    assert _source_tables(before_failure) == _source_tables(undisturbed)


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        ({"fault_repeated_page": "tracks:3"}, "page 3 holds the same 10 records as page 2"),
        ({"fault_halved_total": "users"}, "and 90 records in pages of 10 are 9 pages"),
    ],
)
def test_a_source_that_contradicts_itself_for_good_is_not_loaded(
    fault: dict[str, str], said: str, new_deployment: NewDeployment
) -> None:
    with running_server(small_world(**fault)) as url:
        failing = new_deployment(url=url, page_size=PAGE_SIZE)
        with pytest.raises(RunFailed, match=r"since the source contradicts itself: .*" + said):
            failing.run(FIRST, LAST)
