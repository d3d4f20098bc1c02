"""The IO manager of the warehouse: dagster-duckdb-pandas, made transactional and typed by the tables' schemas.

The stock manager inserts by position, deletes and inserts without a transaction, leaks connections, and opens
read-write to read; each of these is fixed here and has a test. What the rows mean does not belong here.
See https://docs.dagster.io/guides/build/io-managers.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from typing import Any, ClassVar

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
from dagster_duckdb.io_manager import DuckDbClient, DuckDBIOManager
from dagster_duckdb_pandas import DuckDBPandasTypeHandler

from foundation.dagster_internals import DbIOManager, DbTypeHandler, TableSlice
from foundation.tables import sql_type
from foundation.warehouse.cleaned_partitions import CleanedPartitions
from foundation.warehouse.connection import read_warehouse, write_warehouse
from foundation.warehouse.layout import SourceTable, WarehouseLayout
from foundation.warehouse.loads import record_made, withdraw_loads
from foundation.warehouse.rows import insert


class PartitionsRefused(ValueError):
    """Partitions that must not be loaded; they are unchanged, the others of the run were stored."""


class RowsOutsidePartition(ValueError):
    """Rows whose partition column is outside the partitions being written."""


class WarehouseIOManager(DuckDBIOManager):
    """Stores frames and cleaned partitions in DuckDB; one output is one transaction.

    The product's subclass sets `layout`. An asset names its partition column in the metadata `partition_expr`. Its
    metadata or that of its output may bound what is written: `kept_partitions` (days counted back from the newest
    one, be it this write's or the table's) deletes older partitions, `written_from` (a day) leaves the run's
    partitions before it unchanged.
    """

    layout: ClassVar[WarehouseLayout]
    schema_: str | None = "main"

    @classmethod
    def type_handlers(cls) -> Sequence[DbTypeHandler[Any]]:
        """Frames, and cleaned partitions with their rejected records."""
        return [_FrameHandler(cls.layout), _CleanedHandler(cls.layout)]

    @staticmethod
    def default_load_type() -> type | None:
        """An input without annotation is a frame."""
        return pd.DataFrame

    def create_io_manager(self, context: object) -> IOManager:  # type: ignore[override]
        """The stock manager around the transactional client."""
        return _RefusingManager(
            db_client=_TransactionalClient(self.layout),
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
        """Store the output; then fail for the partitions that were refused, with the others recorded as materialized.

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
    def __init__(self, layout: WarehouseLayout) -> None:
        self._layout = layout

    @contextmanager
    def connect(  # type: ignore[override]  # a static method there
        self, context: object, table_slice: TableSlice
    ) -> Iterator[duckdb.DuckDBPyConnection]:
        opened = write_warehouse if isinstance(context, OutputContext) else read_warehouse
        with opened(Path(str(table_slice.database)), self._layout) as connection:
            yield connection

    @staticmethod
    def ensure_schema_exists(context: OutputContext, table_slice: TableSlice, connection: object) -> None:
        """Nothing: opening the warehouse for writing creates every table."""

    @staticmethod
    def delete_table_slice(
        context: OutputContext, table_slice: TableSlice, connection: duckdb.DuckDBPyConnection
    ) -> None:
        """Nothing: which partitions are replaced depends on the rows, so each handler deletes them itself."""


class _FrameHandler(DuckDBPandasTypeHandler):
    def __init__(self, layout: WarehouseLayout) -> None:
        self._layout = layout

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
        rows = insert(connection, self._layout.tables[table_slice.table], obj)
        record_made(connection, table_slice.table, _rows_by_day(obj[column], first, end))
        kept = _bound(context, "kept_partitions")
        if kept is not None:
            _delete_before_kept(table_slice, connection, int(kept))
        return {"run_rows_written": rows}


class _CleanedHandler(DbTypeHandler[CleanedPartitions]):
    def __init__(self, layout: WarehouseLayout) -> None:
        self._layout = layout

    def handle_output(
        self,
        context: OutputContext,
        table_slice: TableSlice,
        obj: CleanedPartitions,
        connection: duckdb.DuckDBPyConnection,
    ) -> Mapping[str, Any]:
        source = self._layout.sources[table_slice.table]
        for frame in (obj.accepted, obj.rejected, obj.loads):
            _refuse_rows_outside(table_slice.table, *_window(table_slice), frame)
        days = [day.date() for day in obj.loads["changed_on"]]
        for table in (source.name, source.rejected.name):
            connection.execute(f"DELETE FROM {table} WHERE changed_on IN (SELECT unnest(?::DATE[]))", [days])
        withdraw_loads(connection, source.name, days)
        rows = insert(connection, source.schema, obj.accepted)
        insert(connection, source.rejected, obj.rejected)
        insert(connection, self._layout.tables["partition_loads"], obj.loads)
        if obj.refused:
            _keep_refused_records(connection, source, obj.refused_records)
        return {"run_rows_written": rows}

    def load_input(
        self, context: InputContext, table_slice: TableSlice, connection: duckdb.DuckDBPyConnection
    ) -> CleanedPartitions:
        raise TypeError(f"Read the table {table_slice.table} as a pandas DataFrame.")

    @property
    def supported_types(self) -> Sequence[type[object]]:
        return [CleanedPartitions]


def _keep_refused_records(
    connection: duckdb.DuckDBPyConnection, source: SourceTable, records: pd.DataFrame
) -> None:
    """Store why partitions were refused, except for those that hold an earlier load: that one stays whole."""
    query = "SELECT changed_on FROM partition_loads WHERE table_name = ?"
    loaded = connection.execute(query, [source.name]).df()["changed_on"]
    shown = records[~records["changed_on"].isin(loaded)]
    days = sorted({day.date() for day in shown["changed_on"]})
    rejected = source.rejected
    connection.execute(f"DELETE FROM {rejected.name} WHERE changed_on IN (SELECT unnest(?::DATE[]))", [days])
    insert(connection, rejected, shown)


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
    """Delete what is older, written now or before: the same rows stay in whatever order days were written."""
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
    """The metadata of the output, else of the asset, under a name; None if neither has it."""
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
