"""The IO manager of the warehouse: dagster-duckdb-pandas, made transactional and typed by the tables' schemas.

The stock manager inserts by position, deletes and inserts without a transaction, leaks connections, and opens
read-write to read; each of these is mended here and has a test. What the rows mean does not belong here.
See https://docs.dagster.io/guides/build/io-managers.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import duckdb
import pandas as pd
import pandera.pandas as pa
from dagster import InputContext, IOManager, OutputContext, TableColumn, TableColumnConstraints, TableSchema
from dagster._core.storage.db_io_manager import DbIOManager, DbTypeHandler, TableSlice
from dagster_duckdb.io_manager import DuckDbClient, DuckDBIOManager
from dagster_duckdb_pandas import DuckDBPandasTypeHandler

from moovitamix_assets.warehouse.cleaning import CleanedPartitions
from moovitamix_assets.warehouse.connection import insert, read_warehouse, write_warehouse
from moovitamix_assets.warehouse.schemas import (
    PARTITION_LOADS,
    REJECTED_TABLES,
    SOURCE_TABLES,
    TABLES,
    sql_type,
)


class RowsOutsidePartition(ValueError):
    """Rows whose partition column lies outside the partitions being written."""


class WarehouseIOManager(DuckDBIOManager):
    """Stores frames and cleaned partitions in DuckDB; one output is one transaction.

    An asset names its partition column in the metadata `partition_expr`, and may bound its history with the
    metadata `kept_partitions`, its own or its output's (days counted back from the newest one, be it this write's
    or the table's).
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
        return DbIOManager(
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
        column, first, end = _window(table_slice)
        written = [table_slice.table]
        if table_slice.table in SOURCE_TABLES:
            written.append(f"rejected_{table_slice.table}")
            connection.execute(
                "DELETE FROM partition_loads WHERE table_name = ? AND changed_on >= ? AND changed_on < ?",
                [table_slice.table, first, end],
            )
        for table in written:
            connection.execute(f"DELETE FROM {table} WHERE {column} >= ? AND {column} < ?", [first, end])


class _FrameHandler(DuckDBPandasTypeHandler):
    def handle_output(
        self,
        context: OutputContext,
        table_slice: TableSlice,
        obj: pd.DataFrame,
        connection: duckdb.DuckDBPyConnection,
    ) -> Mapping[str, Any]:
        _refuse_rows_outside(table_slice, obj)
        rows = insert(connection, TABLES[table_slice.table], obj)
        told = {**(context.definition_metadata or {}), **(context.output_metadata or {})}
        kept = told.get("kept_partitions")
        if kept is not None:
            _delete_before_kept(table_slice, connection, int(getattr(kept, "value", kept)))
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
            _refuse_rows_outside(table_slice, frame)
        rows = insert(connection, SOURCE_TABLES[table_slice.table], obj.accepted)
        insert(connection, REJECTED_TABLES[table_slice.table], obj.rejected)
        insert(connection, PARTITION_LOADS, obj.loads)
        return {"rows_written": rows}

    def load_input(
        self, context: InputContext, table_slice: TableSlice, connection: duckdb.DuckDBPyConnection
    ) -> CleanedPartitions:
        raise TypeError(f"Read the table {table_slice.table} as a pandas DataFrame.")

    @property
    def supported_types(self) -> Sequence[type[object]]:
        return [CleanedPartitions]


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


def _refuse_rows_outside(table_slice: TableSlice, frame: pd.DataFrame) -> None:
    column, first, end = _window(table_slice)
    days = pd.to_datetime(frame[column])
    outside = frame[~((days >= first) & (days < end))]
    if len(outside):
        raise RowsOutsidePartition(
            f"{len(outside)} rows for {table_slice.table} lie outside the partitions {first:%Y-%m-%d} to "
            f"{end - pd.Timedelta(days=1):%Y-%m-%d}, the first with {column} = {outside[column].iloc[0]!r}. "
            "Nothing was written."
        )
