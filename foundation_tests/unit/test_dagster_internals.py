"""Each private name of Dagster is where it was, and no other module imports one."""

import ast
import importlib
from pathlib import Path

import dagster
import pytest

ROOT = Path(__file__).parents[2]
INTERNALS = ROOT / "foundation" / "dagster_internals.py"
PRIVATE = ("dagster._", "dagster_shared")

RUN_ORIGIN = "adapt `foundation/operations/run_origin.py`, or drop it: the UI then lacks the runs of commands"
OLD_RUNS = "adapt `foundation/operations/old_runs.py`, or let Dagster's records of old runs grow until it is"
IO_MANAGER = "adapt `foundation/warehouse/io_manager.py`: it extends the base class of dagster-duckdb-pandas"
REMEDIES = {
    "AssetCheckExecutionRecordStatus": "compare the status with the text PLANNED in `health/asset_gauges.py`",
    "AssetCheckExecutionsTable": OLD_RUNS,
    "DbIOManager": IO_MANAGER,
    "DbTypeHandler": IO_MANAGER,
    "EventLogEntry": "import it from dagster, which has it as a public name since 1.9",
    "GRPC_INFO_TAG": "find the tag with the address of the code server among the tags of a run",
    "INDEX_SHARD_NAME": "adapt `foundation/operations/event_storage.py`, or drop it: first loads take longer",
    "InstanceRef": "set DAGSTER_HOME to a folder with a dagster.yaml, and use DagsterInstance.get()",
    "NoOpComputeLogManager": "find the compute log manager that captures nothing among those for dagster.yaml",
    "RUNLESS_RUN_ID": OLD_RUNS,
    "RegisteredCodeLocationOrigin": RUN_ORIGIN,
    "RemoteJobOrigin": RUN_ORIGIN,
    "RemoteRepositoryOrigin": RUN_ORIGIN,
    "SerializableErrorInfo": "find the type of `step_failure_data.error`",
    "SqlEventLogStorage": OLD_RUNS,
    "SqlEventLogStorageTable": OLD_RUNS,
    "SqliteEventLogStorage": OLD_RUNS,
    "StepMaterializationData": OLD_RUNS,
    "TableSlice": IO_MANAGER,
    "context_creation_job": "find where the default logger is chosen, for `foundation/operations/logs.py`",
}


def private_imports(path: Path) -> list[tuple[str, str]]:
    """The private names of Dagster that a module imports, as (module, name)."""
    return [
        (node.module, alias.name)
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith(PRIVATE)
        for alias in node.names
    ]


@pytest.mark.parametrize(("module", "name"), private_imports(INTERNALS))
def test_each_private_name_is_there(module: str, name: str) -> None:
    remedy = REMEDIES[name]
    try:
        found = getattr(importlib.import_module(module), name, None)
    except ImportError:
        found = None
    assert found is not None, f"Dagster {dagster.__version__} has no {module}.{name} any more: {remedy}."


def test_the_default_logger_is_chosen_by_the_name_that_is_replaced() -> None:
    place = importlib.import_module("dagster._core.execution.context_creation_job")
    assert callable(getattr(place, "default_system_loggers", None)), (
        f"Dagster {dagster.__version__} chooses the default loggers elsewhere: {REMEDIES['context_creation_job']}."
    )


def test_no_other_module_imports_private_names() -> None:
    modules = [
        path for folder in ("foundation", "moovitamix_assets") for path in (ROOT / folder).rglob("*.py")
    ]
    found = {path.relative_to(ROOT): private_imports(path) for path in modules if path != INTERNALS}
    assert {path: names for path, names in found.items() if names} == {}, (
        "import them in dagster_internals.py"
    )
