"""The graph as a text: a change of it shows as a readable diff of `graph.txt`."""

from pathlib import Path

import pytest
from dagster import AssetKey, ResourceDefinition, colored_console_logger

from foundation.operations.logs import json_console_logger
from foundation.operations.run_processes import THIS_HOST
from moovitamix_assets.automation.jobs import HOST_TAG, JOBS, ROLLBACK_JOB
from moovitamix_assets.definitions import build_definitions
from moovitamix_assets.settings import Settings

SNAPSHOT = Path(__file__).with_name("graph.txt")


@pytest.fixture(scope="module")
def definitions():
    return build_definitions(Settings())


def drawn(definitions) -> str:
    graph = definitions.resolve_asset_graph()
    lines = []
    for key in sorted(graph.get_all_asset_keys()):
        node = graph.get(key)
        parents = ", ".join(sorted(parent.to_user_string() for parent in node.parent_keys)) or "nothing"
        policy = "range in one run" if node.backfill_policy else "one partition per run"
        fresh = ", fresh every day" if node.freshness_policy else ""
        lines.append(f"{key.to_user_string()} [{node.group_name}] from {parents}; {policy}{fresh}")
        for check in sorted(graph.get_check_keys_for_assets({key}), key=lambda check: check.name):
            blocking = " (blocking)" if graph.get(check).blocking else ""
            lines.append(f"    check {check.name}{blocking}")
    for job in sorted(definitions.resolve_all_job_defs(), key=lambda job: job.name):
        if not job.name.startswith("__"):
            nodes = ", ".join(sorted(node.name for node in job.nodes))
            lines.append(f"job {job.name}: {nodes}")
    for each in [*definitions.schedules, *definitions.sensors]:
        cron = getattr(each, "cron_schedule", None)
        kind = "sensor" if cron is None else f"schedule {cron}"
        targets = each.targets if cron is None else [each.target]
        jobs = ", ".join(sorted(target.job_name for target in targets)) or "nothing"
        lines.append(f"{kind} {each.name} ({each.default_status.value.lower()}) starts {jobs}")
    return "\n".join(lines) + "\n"


def test_the_graph_is_the_one_written_down(definitions):
    assert drawn(definitions) == SNAPSHOT.read_text()


def test_every_asset_says_what_it_is_and_whose(definitions):
    graph = definitions.resolve_asset_graph()
    for key in graph.get_all_asset_keys():
        node = graph.get(key)
        assert node.description, key
        assert node.owners, key
        assert node.kinds, key
        assert node.partitions_def is not None, key


def test_every_step_that_opens_the_warehouse_waits_for_its_pool(definitions):
    in_pool = {
        node.name
        for job in definitions.resolve_all_job_defs()
        for node in job.nodes
        if "warehouse" in node.definition.pools
    }
    without = {"raw_users", "raw_tracks", "raw_listens", "lightfm_model", "lightfm_model_checks"}
    everything = {node.name for job in definitions.resolve_all_job_defs() for node in job.nodes}
    assert everything - in_pool == without


def test_settings_of_another_start_date_are_refused():
    with pytest.raises(ValueError, match="2026-10-01"):
        build_definitions(Settings(start_date="2026-10-01"))


def test_a_resource_can_be_replaced():
    replaced = build_definitions(Settings(), {"progress": "another"})
    assert replaced.resources is not None
    assert replaced.resources["progress"] == "another"
    assert AssetKey("users") in replaced.resolve_asset_graph().get_all_asset_keys()


def test_every_resource_is_described_and_has_a_type_that_the_ui_can_name(definitions):
    for name, resource in (definitions.resources or {}).items():
        described = resource.description if isinstance(resource, ResourceDefinition) else resource.__doc__
        assert described, name
        if isinstance(resource, ResourceDefinition):
            assert "lambda" not in resource.resource_fn.__name__
            assert resource.resource_fn.__module__ == "moovitamix_assets.definitions"


if __name__ == "__main__":
    SNAPSHOT.write_text(drawn(build_definitions(Settings())))


def test_every_job_names_its_machine_and_its_longest_time() -> None:
    for job in (*JOBS, ROLLBACK_JOB):
        assert job.run_tags[HOST_TAG] == THIS_HOST
        assert float(job.run_tags["dagster/max_runtime"]) >= 3600


@pytest.mark.parametrize("job", ["ingest", "rollback", "__ASSET_JOB"])
def test_every_job_logs_in_the_format_of_the_settings(job: str) -> None:
    as_json = build_definitions(Settings(log_format="json")).resolve_job_def(job).loggers
    assert as_json["console"] is json_console_logger
    as_text = build_definitions(Settings(log_format="text")).resolve_job_def(job).loggers
    assert as_text == {"console": colored_console_logger}
