"""The IO manager of the warehouse: dagster-duckdb-pandas, made transactional and typed by the tables' schemas.

The stock manager inserts by position, deletes and inserts without a transaction, leaks connections, and opens
read-write to read; each of these is mended here and has a test. What the rows mean does not belong here.
See https://docs.dagster.io/guides/build/io-managers.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from typing import Any

import duckdb
import pandas as pd
import pandera.pandas as pa
from dagster import (
    AssetMaterialization,
    InputContext,
    IOManager,
    OutputContext,
    TableColumn,
    TableColumnConstraints,
    TableSchema,
)
from dagster._core.storage.db_io_manager import DbIOManager, DbTypeHandler, TableSlice
from dagster_duckdb.io_manager import DuckDbClient, DuckDBIOManager
from dagster_duckdb_pandas import DuckDBPandasTypeHandler

from foundation.tables import sql_type
from moovitamix_assets.warehouse.cleaning import CleanedPartitions
from moovitamix_assets.warehouse.connection import insert, read_warehouse, write_warehouse
from moovitamix_assets.warehouse.loads import record_made, withdraw_loads
from moovitamix_assets.warehouse.schemas import PARTITION_LOADS, REJECTED_TABLES, SOURCE_TABLES, TABLES


class PartitionsRefused(ValueError):
    """Partitions that must not be loaded; they are as they were before, the others of the run were stored."""


class RowsOutsidePartition(ValueError):
    """Rows whose partition column lies outside the partitions being written."""


class WarehouseIOManager(DuckDBIOManager):
    """Stores frames and cleaned partitions in DuckDB; one output is one transaction.

    An asset names its partition column in the metadata `partition_expr`. Metadata of its own or of its output may
    bound what is written: `kept_partitions` (days counted back from the newest one, be it this write's or the table's)
    forgets older partitions, `written_from` (a day) leaves the run's partitions before it as they are.
    """

    schema_: str | None = "main"

    @staticmethod
    def type_handlers() -> Sequence[DbTypeHandler[Any]]:
        """Frames, and cleaned partitions with what was rejected."""
        return [_FrameHandler(), _CleanedHandler()]

    @staticmethod
    def default_load_type() -> type | None:
        """An input without annotation is a frame."""
        return pd.DataFrame

    def create_io_manager(self, context: object) -> IOManager:  # type: ignore[override]
        """The stock manager around the transactional client."""
        return _RefusingManager(
            db_client=_TransactionalClient(),
            database=self.database,
            schema="main",
            type_handlers=self.type_handlers(),
            default_load_type=self.default_load_type(),
            io_manager_name="WarehouseIOManager",
        )


def table_schema(schema: pa.DataFrameSchema) -> TableSchema:
    """A table's columns as the Dagster UI shows them."""
    return TableSchema(
        columns=[
            TableColumn(
                name=name,
                type=sql_type(column),
                description=column.description,
                constraints=TableColumnConstraints(nullable=column.nullable),
            )
            for name, column in schema.columns.items()
        ]
    )


class _RefusingManager(DbIOManager):
    def handle_output(self, context: OutputContext, obj: Any) -> None:
        """Store the output; then fail for the partitions that were refused, with the others recorded as made.

        Raises:
            PartitionsRefused: If there are any.
        """
        super().handle_output(context, obj)
        if isinstance(obj, CleanedPartitions) and obj.refused:
            # An event logged here would be lost with the step, which would then count all its partitions as missing.
            instance = context.step_context.instance
            for day in obj.loads["changed_on"]:
                instance.report_runless_asset_event(
                    AssetMaterialization(context.asset_key, partition=f"{day:%Y-%m-%d}")
                )
            raise PartitionsRefused(obj.refused)


class _TransactionalClient(DuckDbClient):
    @staticmethod
    @contextmanager
    def connect(context: object, table_slice: TableSlice) -> Iterator[duckdb.DuckDBPyConnection]:
        opened = write_warehouse if isinstance(context, OutputContext) else read_warehouse
        with opened(Path(str(table_slice.database))) as connection:
            yield connection

    @staticmethod
    def ensure_schema_exists(context: OutputContext, table_slice: TableSlice, connection: object) -> None:
        """Nothing: opening the warehouse for writing makes every table."""

    @staticmethod
    def delete_table_slice(
        context: OutputContext, table_slice: TableSlice, connection: duckdb.DuckDBPyConnection
    ) -> None:
        """Nothing: which partitions are replaced depends on the rows, so each handler deletes them itself."""


class _FrameHandler(DuckDBPandasTypeHandler):
    def handle_output(
        self,
        context: OutputContext,
        table_slice: TableSlice,
        obj: pd.DataFrame,
        connection: duckdb.DuckDBPyConnection,
    ) -> Mapping[str, Any]:
        column, first, end = _window(table_slice)
        written_from = _bound(context, "written_from")
        if written_from is not None:
            first = pd.Timestamp(str(written_from))
        _refuse_rows_outside(table_slice.table, column, first, end, obj)
        connection.execute(
            f"DELETE FROM {table_slice.table} WHERE {column} >= ? AND {column} < ?", [first, end]
        )
        rows = insert(connection, TABLES[table_slice.table], obj)
        record_made(connection, table_slice.table, _rows_by_day(obj[column], first, end))
        kept = _bound(context, "kept_partitions")
        if kept is not None:
            _delete_before_kept(table_slice, connection, int(kept))
        return {"rows_written": rows}


class _CleanedHandler(DbTypeHandler[CleanedPartitions]):
    def handle_output(
        self,
        context: OutputContext,
        table_slice: TableSlice,
        obj: CleanedPartitions,
        connection: duckdb.DuckDBPyConnection,
    ) -> Mapping[str, Any]:
        for frame in (obj.accepted, obj.rejected, obj.loads):
            _refuse_rows_outside(table_slice.table, *_window(table_slice), frame)
        days = [day.date() for day in obj.loads["changed_on"]]
        for table in (table_slice.table, f"rejected_{table_slice.table}"):
            connection.execute(f"DELETE FROM {table} WHERE changed_on IN (SELECT unnest(?::DATE[]))", [days])
        withdraw_loads(connection, table_slice.table, days)
        rows = insert(connection, SOURCE_TABLES[table_slice.table], obj.accepted)
        insert(connection, REJECTED_TABLES[table_slice.table], obj.rejected)
        insert(connection, PARTITION_LOADS, obj.loads)
        if obj.refused:
            _keep_refused_records(connection, table_slice.table, obj.refused_records)
        return {"rows_written": rows}

    def load_input(
        self, context: InputContext, table_slice: TableSlice, connection: duckdb.DuckDBPyConnection
    ) -> CleanedPartitions:
        raise TypeError(f"Read the table {table_slice.table} as a pandas DataFrame.")

    @property
    def supported_types(self) -> Sequence[type[object]]:
        return [CleanedPartitions]


def _keep_refused_records(connection: duckdb.DuckDBPyConnection, table: str, records: pd.DataFrame) -> None:
    """Store why partitions were refused, but for those that hold an earlier load: that one stays whole."""
    loaded = connection.execute("SELECT changed_on FROM partition_loads WHERE table_name = ?", [table]).df()[
        "changed_on"
    ]
    shown = records[~records["changed_on"].isin(loaded)]
    days = sorted({day.date() for day in shown["changed_on"]})
    connection.execute(f"DELETE FROM rejected_{table} WHERE changed_on IN (SELECT unnest(?::DATE[]))", [days])
    insert(connection, REJECTED_TABLES[table], shown)


def _window(table_slice: TableSlice) -> tuple[str, pd.Timestamp, pd.Timestamp]:
    """The partition column of a slice, its first instant and its end (not included), naive UTC."""
    if len(table_slice.partition_dimensions or []) != 1:
        raise ValueError(f"The table {table_slice.table} is written by daily partitions only.")
    dimension = next(iter(table_slice.partition_dimensions or []))
    start, end = dimension.partitions
    return (
        dimension.partition_expr,
        pd.Timestamp(start).tz_localize(None),
        pd.Timestamp(end).tz_localize(None),
    )


def _delete_before_kept(table_slice: TableSlice, connection: duckdb.DuckDBPyConnection, kept: int) -> None:
    """Forget what is older, written now or before: the same rows stay in whatever order days were written."""
    column, _, end = _window(table_slice)
    table = table_slice.table
    connection.execute(
        f"DELETE FROM {table} WHERE {column} < greatest(?::DATE, (SELECT max({column}) + 1 FROM {table})) - ?::INTEGER",
        [end, kept],
    )


def _rows_by_day(days: "pd.Series[Any]", first: pd.Timestamp, end: pd.Timestamp) -> dict[date, int]:
    counts = pd.to_datetime(days).dt.floor("D").value_counts()
    every_day = pd.date_range(first, end, inclusive="left")
    return {day.date(): int(counts.get(day, 0)) for day in every_day}


def _bound(context: OutputContext, name: str) -> Any:
    """What the metadata of the output, else of the asset, says under a name; None if neither says anything."""
    value = {**(context.definition_metadata or {}), **(context.output_metadata or {})}.get(name)
    return getattr(value, "value", value)


def _refuse_rows_outside(
    table: str, column: str, first: pd.Timestamp, end: pd.Timestamp, frame: pd.DataFrame
) -> None:
    days = pd.to_datetime(frame[column])
    outside = frame[~((days >= first) & (days < end))]
    if len(outside):
        raise RowsOutsidePartition(
            f"{len(outside)} rows for {table} lie outside the partitions {first:%Y-%m-%d} to "
            f"{end - pd.Timedelta(days=1):%Y-%m-%d}, the first with {column} = {outside[column].iloc[0]!r}. "
            "Nothing was written."
        )
