"""Every private name of Dagster that the project uses, with the reason; other modules import them from here.

Dagster may rename or change them in any release. `foundation_tests/unit/test_dagster_internals.py` pins each one and
names what to do when it is gone. Where a public name exists, it is used instead.
"""

# Reads and replaces by partition: `foundation/warehouse/io_manager.py` extends it. Public ones write without a
# transaction.
# The stored form of events: a run's newest materializations are rewritten when its records are removed. The public
# `delete_run` would make partitions look as if they had never been materialized.
from dagster._core.events import StepMaterializationData
from dagster._core.events.log import EventLogEntry

# Where the console logger of runs without configuration is chosen: no public setting replaces it.
from dagster._core.execution import context_creation_job
from dagster._core.instance import RUNLESS_RUN_ID

# Configuration of the working directory with records in a folder of their own, as `dagster dev` has it.
from dagster._core.instance.ref import InstanceRef

# The origin of a run: what it is found by in the UI. Public functions set it only on runs that they launch.
from dagster._core.remote_origin import (
    RegisteredCodeLocationOrigin,
    RemoteJobOrigin,
    RemoteRepositoryOrigin,
)

# Planned evaluations hide completed ones; the status tells them apart.
from dagster._core.storage.asset_check_execution_record import AssetCheckExecutionRecordStatus
from dagster._core.storage.db_io_manager import DbIOManager, DbTypeHandler, TableSlice
from dagster._core.storage.event_log.schema import AssetCheckExecutionsTable, SqlEventLogStorageTable
from dagster._core.storage.event_log.sql_event_log import SqlEventLogStorage
from dagster._core.storage.event_log.sqlite.sqlite_event_log import INDEX_SHARD_NAME, SqliteEventLogStorage

# Documented for dagster.yaml by this name.
from dagster._core.storage.noop_compute_log_manager import NoOpComputeLogManager

# The address of the code server that starts a run: the only trace of a run whose process never began.
from dagster._core.storage.tags import GRPC_INFO_TAG

# The type of errors in events; the events themselves are public.
from dagster_shared.error import SerializableErrorInfo

__all__ = [
    "GRPC_INFO_TAG",
    "INDEX_SHARD_NAME",
    "RUNLESS_RUN_ID",
    "AssetCheckExecutionRecordStatus",
    "AssetCheckExecutionsTable",
    "DbIOManager",
    "DbTypeHandler",
    "EventLogEntry",
    "InstanceRef",
    "NoOpComputeLogManager",
    "RegisteredCodeLocationOrigin",
    "RemoteJobOrigin",
    "RemoteRepositoryOrigin",
    "SerializableErrorInfo",
    "SqlEventLogStorage",
    "SqlEventLogStorageTable",
    "SqliteEventLogStorage",
    "StepMaterializationData",
    "TableSlice",
    "context_creation_job",
]
