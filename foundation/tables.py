"""Tables as Pandera schemas, and what is derived from one: the DDL, the Arrow schema, typed values, empty frames.

Which tables there are, and how rows come about, belongs to the product.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pandas as pd
import pandera.pandas as pa
import pyarrow
from pandas.api.extensions import ExtensionArray
from pandera.engines.pandas_engine import DataType


class _Moment(DataType):
    """Times coarser than nanoseconds, a unit Pandera does not know: they range from year 1 to 9999."""

    def __init__(self, unit: Literal["s", "us"]) -> None:
        object.__setattr__(self, "type", np.dtype(f"datetime64[{unit}]"))

    def coerce(self, data_container: Any) -> Any:
        if pd.api.types.is_numeric_dtype(data_container.dtype):
            raise TypeError("numbers are not times")
        return data_container.astype(self.type)

    def check(self, pandera_dtype: object, data_container: Any = None) -> bool:
        return bool(data_container is not None and data_container.dtype == self.type)

    def __str__(self) -> str:
        return str(self.type)


@dataclass(frozen=True)
class ColumnType:
    """A column type in DuckDB, pandas and Arrow, and the type Pandera checks where it is not the one of pandas."""

    sql: str
    pandas: Any
    arrow: pyarrow.DataType
    pandera: DataType | None = None


BIGINT = ColumnType("BIGINT", pd.Int64Dtype(), pyarrow.int64())
INTEGER = ColumnType("INTEGER", pd.Int32Dtype(), pyarrow.int32())
SMALLINT = ColumnType("SMALLINT", pd.Int16Dtype(), pyarrow.int16())
FLOAT = ColumnType("FLOAT", "float32", pyarrow.float32())
DOUBLE = ColumnType("DOUBLE", "float64", pyarrow.float64())
BOOLEAN = ColumnType("BOOLEAN", pd.BooleanDtype(), pyarrow.bool_())
TEXT = ColumnType("VARCHAR", pd.StringDtype(), pyarrow.string())
JSON = ColumnType("JSON", pd.StringDtype(), pyarrow.string())
TEXTS = ColumnType("VARCHAR[]", object, pyarrow.list_(pyarrow.string()))
TIMESTAMP = ColumnType("TIMESTAMP", "datetime64[us]", pyarrow.timestamp("us"), _Moment("us"))
DATE = ColumnType("DATE", "datetime64[s]", pyarrow.date32(), _Moment("s"))

_TYPES = {
    kind.sql: kind
    for kind in (
        BIGINT, INTEGER, SMALLINT, FLOAT, DOUBLE, BOOLEAN, TEXT, JSON, TEXTS, TIMESTAMP, DATE,
    )
}  # fmt: skip


def column(kind: ColumnType, description: str, *checks: pa.Check, nullable: bool = False) -> pa.Column:
    """A column of a table, with its description and the checks of its values."""
    return pa.Column(
        kind.pandera or kind.pandas,
        checks=list(checks),
        nullable=nullable,
        description=description,
        metadata={"sql_type": kind.sql},
    )


def table(table_name: str, description: str, /, **columns: pa.Column) -> pa.DataFrameSchema:
    """A table: exactly these columns, values converted to their types where that loses nothing."""
    return pa.DataFrameSchema(
        dict(columns), name=table_name, description=description, strict=True, coerce=True
    )


def sql_type(column: pa.Column) -> str:
    """The DuckDB type of a column."""
    return str((column.metadata or {})["sql_type"])


def table_ddl(schema: pa.DataFrameSchema) -> str:
    """`CREATE TABLE IF NOT EXISTS` for a schema, with NOT NULL where the schema says so."""
    columns = ", ".join(
        f'"{name}" {sql_type(column)}{"" if column.nullable else " NOT NULL"}'
        for name, column in schema.columns.items()
    )
    return f'CREATE TABLE IF NOT EXISTS "{schema.name}" ({columns})'


def to_arrow(schema: pa.DataFrameSchema, frame: pd.DataFrame) -> pyarrow.Table:
    """The rows of a frame, typed as the table has them.

    Args:
        schema: The table.
        frame: Columns by name, in any order; rows unvalidated.

    Raises:
        pandera.errors.SchemaErrors: If a column is missing, unknown, of the wrong type or out of its range;
            every failure case is in it.
    """
    validated = schema.validate(frame, lazy=True)
    return pyarrow.Table.from_pandas(
        validated[list(schema.columns)],
        schema=pyarrow.schema(
            [(name, _TYPES[sql_type(column)].arrow) for name, column in schema.columns.items()]
        ),
        preserve_index=False,
    )


def typed_values(column: pa.Column, values: Iterable[Any]) -> ExtensionArray:
    """Values as a column has them in pandas; None becomes its NULL.

    Raises:
        ValueError, TypeError or OverflowError: If a value is none of the column's type.
    """
    listed = values if isinstance(values, np.ndarray | pd.Series | ExtensionArray) else list(values)
    typed: ExtensionArray = pd.array(listed, dtype=_TYPES[sql_type(column)].pandas)
    return typed


def empty_frame(schema: pa.DataFrameSchema) -> pd.DataFrame:
    """No rows, with the table's columns and types."""
    return pd.DataFrame(
        {name: pd.Series(dtype=_TYPES[sql_type(column)].pandas) for name, column in schema.columns.items()}
    )
