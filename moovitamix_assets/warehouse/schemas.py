"""The tables: one Pandera schema each, and the one place where a table is defined.

Types, nullability, ranges and descriptions stand here; the DDL, the Arrow schema used to insert, the column schema
shown in the UI and the checks are derived from it. How rows come to be and how they are stored do not belong here.
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

MAXIMUM_POSITION = 32767


class _Moment(DataType):
    """Times of a unit coarser than nanoseconds, which Pandera does not know: they reach from year 1 to 9999."""

    def __init__(self, unit: Literal["s", "us"]) -> None:
        object.__setattr__(self, "type", np.dtype(f"datetime64[{unit}]"))

    def coerce(self, data_container: Any) -> Any:
        if pd.api.types.is_numeric_dtype(data_container.dtype):
            raise TypeError("numbers are no times")
        return data_container.astype(self.type)

    def check(self, pandera_dtype: object, data_container: Any = None) -> bool:
        return bool(data_container is not None and data_container.dtype == self.type)

    def __str__(self) -> str:
        return str(self.type)


@dataclass(frozen=True)
class _Type:
    """A column type in the three worlds a row passes through, and how Pandera checks it where pandas does not do."""

    sql: str
    pandas: Any
    arrow: pyarrow.DataType
    pandera: DataType | None = None


_BIGINT = _Type("BIGINT", pd.Int64Dtype(), pyarrow.int64())
_INTEGER = _Type("INTEGER", pd.Int32Dtype(), pyarrow.int32())
_SMALLINT = _Type("SMALLINT", pd.Int16Dtype(), pyarrow.int16())
_FLOAT = _Type("FLOAT", "float32", pyarrow.float32())
_DOUBLE = _Type("DOUBLE", "float64", pyarrow.float64())
_BOOLEAN = _Type("BOOLEAN", "bool", pyarrow.bool_())
_TEXT = _Type("VARCHAR", pd.StringDtype(), pyarrow.string())
_JSON = _Type("JSON", pd.StringDtype(), pyarrow.string())
_TEXTS = _Type("VARCHAR[]", object, pyarrow.list_(pyarrow.string()))
_TIMESTAMP = _Type("TIMESTAMP", "datetime64[us]", pyarrow.timestamp("us"), _Moment("us"))
_DATE = _Type("DATE", "datetime64[s]", pyarrow.date32(), _Moment("s"))

_TYPES = {
    kind.sql: kind
    for kind in (
        _BIGINT, _INTEGER, _SMALLINT, _FLOAT, _DOUBLE, _BOOLEAN, _TEXT, _JSON, _TEXTS, _TIMESTAMP, _DATE,
    )
}  # fmt: skip


def _column(kind: _Type, description: str, *checks: pa.Check, nullable: bool = False) -> pa.Column:
    return pa.Column(
        kind.pandera or kind.pandas,
        checks=list(checks),
        nullable=nullable,
        description=description,
        metadata={"sql_type": kind.sql},
    )


def _table(table_name: str, description: str, /, **columns: pa.Column) -> pa.DataFrameSchema:
    return pa.DataFrameSchema(
        dict(columns), name=table_name, description=description, strict=True, coerce=True
    )


_IS_NOT_NEGATIVE = pa.Check.ge(0)
_CHANGED_ON = _column(_DATE, "The partition: the day (UTC) on which this version of the record changed.")
_LOADED_AT = _column(_TIMESTAMP, "Wall clock of the load, UTC.")

USERS = _table(
    "users",
    "People: one row per person and per day on which their record changed.",
    user_id=_column(_BIGINT, "The source's id."),
    first_name=_column(_TEXT, "Personal: stands in no table but this.", nullable=True),
    last_name=_column(_TEXT, "Personal: stands in no table but this.", nullable=True),
    email=_column(_TEXT, "Personal; two people may share one, so it is never a key.", nullable=True),
    gender=_column(_TEXT, "As the person said it; none is folded into another.", nullable=True),
    favorite_genres=_column(_TEXTS, "What the person says to like.", nullable=True),
    created_at=_column(_TIMESTAMP, "UTC.", nullable=True),
    updated_at=_column(_TIMESTAMP, "UTC; precedes created_at in a quarter of the source's records.", nullable=True),
    changed_on=_CHANGED_ON,
    loaded_at=_LOADED_AT,
)  # fmt: skip

TRACKS = _table(
    "tracks",
    "The catalogue: one row per track and per day on which its record changed.",
    track_id=_column(_BIGINT, "The source's id."),
    name=_column(_TEXT, "Title.", nullable=True),
    artist=_column(_TEXT, "Artist.", nullable=True),
    songwriters=_column(_TEXT, "Songwriters, as one text.", nullable=True),
    duration_seconds=_column(_INTEGER, "From MM:SS.", pa.Check.gt(0), nullable=True),
    genres=_column(_TEXTS, "The track's genres.", nullable=True),
    album=_column(_TEXT, "Album.", nullable=True),
    created_at=_column(_TIMESTAMP, "UTC.", nullable=True),
    updated_at=_column(
        _TIMESTAMP, "UTC; precedes created_at in a quarter of the source's records.", nullable=True
    ),
    changed_on=_CHANGED_ON,
    loaded_at=_LOADED_AT,
)

LISTENS = _table(
    "listens",
    "Listening: one row per track of a session. The newest version of a session replaces all rows of older ones.",
    user_id=_column(_BIGINT, "Who listened."),
    track_id=_column(_BIGINT, "What was played; kept even where the track is not known (yet)."),
    listened_at=_column(_TIMESTAMP, "The session's created_at, at every position. UTC."),
    position=_column(
        _SMALLINT, "Place in the session, from 1.", pa.Check.in_range(1, MAXIMUM_POSITION)
    ),
    session_updated_at=_column(_TIMESTAMP, "UTC.", nullable=True),
    changed_on=_CHANGED_ON,
    loaded_at=_LOADED_AT,
)  # fmt: skip


def _rejected(table: str) -> pa.DataFrameSchema:
    return _table(
        f"rejected_{table}",
        f"Every record read for {table} that could not be used, whole, with the reasons.",
        record=_column(
            _JSON, "The record as received; where a JSON text stands, its content is that record."
        ),
        reasons=_column(_TEXTS, "Why, in plain words."),
        changed_on=_CHANGED_ON,
        loaded_at=_LOADED_AT,
    )


PARTITION_LOADS = _table(
    "partition_loads",
    "What became of the records of each loaded partition of each table; a line for an empty day too, none for a "
    "partition that was refused.",
    table_name=_column(_TEXT, "users, tracks or listens.", pa.Check.isin(["users", "tracks", "listens"])),
    changed_on=_CHANGED_ON,
    received=_column(_BIGINT, "Records in the landing files that were judged.", _IS_NOT_NEGATIVE),
    accepted=_column(_BIGINT, "Records that became rows (a session is one record).", _IS_NOT_NEGATIVE),
    rejected=_column(_BIGINT, "Records kept in the rejected table.", _IS_NOT_NEGATIVE),
    duplicates=_column(_BIGINT, "Records equal to another, letter by letter.", _IS_NOT_NEGATIVE),
    superseded=_column(
        _BIGINT,
        "Older versions of a record within the day, and records that the source no longer brings.",
        _IS_NOT_NEGATIVE,
    ),
    stored_rows=_column(_BIGINT, "Rows written (a session is one row per track).", _IS_NOT_NEGATIVE),
    loaded_at=_LOADED_AT,
)

PARTITIONS_MADE = _table(
    "partitions_made",
    "The partitions written of every other table that a nightly run makes; one without rows is marked too.",
    table_name=_column(_TEXT, "recommendations, recommendation_quality or drift."),
    day=_column(_DATE, "The partition."),
    row_count=_column(_BIGINT, "Rows written.", _IS_NOT_NEGATIVE),
)

RECOMMENDATIONS = _table(
    "recommendations",
    "The top N of every person known, as of the end of a day.",
    user_id=_column(_BIGINT, "For whom."),
    rank=_column(_SMALLINT, "Place in the person's list, from 1.", pa.Check.ge(1)),
    track_id=_column(_BIGINT, "What."),
    score=_column(_FLOAT, "Higher is better; comparable within one person's list only."),
    source=_column(
        _TEXT, "What made it.", pa.Check.isin(["model", "cold_start", "popular"])
    ),
    model_version=_column(_TEXT, "The version in force, or `popularity` for fallback rows."),
    generated_for=_column(_DATE, "The partition: the as-of day."),
    generated_at=_column(_TIMESTAMP, "The end of that day, UTC."),
    expires_at=_column(_TIMESTAMP, "Not to be shown from then on, UTC."),
)  # fmt: skip

MODEL_EVALUATIONS = _table(
    "model_evaluations",
    "What each candidate, and what it was compared with, was worth on listens it had not seen.",
    model_version=_column(_TEXT, "The candidate's version."),
    as_of=_column(_DATE, "The day as of which it was trained."),
    subject=_column(_TEXT, "Who is measured: candidate, popularity, ..."),
    segment=_column(_TEXT, "Whose lists: all, warm, cold, new_tracks."),
    metric=_column(_TEXT, "ndcg_at_10, recall_at_20, ..."),
    value=_column(_DOUBLE, "The mean over people.", nullable=True),
    standard_error=_column(_DOUBLE, "Of that mean; NULL where it is no mean over people.", nullable=True),
    users=_column(_INTEGER, "People measured."),
)

PROMOTIONS = _table(
    "promotions",
    "Which version was in force as of any day, why, and what it replaced: the truth about champions.",
    model_version=_column(_TEXT, "The version that was decided about."),
    as_of=_column(_DATE, "The day from which the decision holds."),
    decided_at=_column(_TIMESTAMP, "Wall clock of the decision, UTC."),
    decision=_column(_TEXT, "What was decided.", pa.Check.isin(["promoted", "rejected", "rolled_back"])),
    reason=_column(_TEXT, "Why, in one sentence."),
    metrics=_column(_JSON, "The figures the decision was taken on."),
    previous_version=_column(_TEXT, "The version in force before; NULL if none.", nullable=True),
    decision_number=_column(
        _BIGINT, "Place in the order of decisions, from 1; of decisions for one day the greatest holds.", nullable=True
    ),
)  # fmt: skip

RECOMMENDATION_QUALITY = _table(
    "recommendation_quality",
    "What the lists of the day before were worth on what people heard for the first time on the day.",
    day=_column(_DATE, "The partition: the day on which people listened."),
    model_version=_column(_TEXT, "The version that made the lists, or `popularity`."),
    segment=_column(
        _TEXT, "Whose lists.", pa.Check.isin(["all", "warm", "cold", "new_tracks"])
    ),
    users=_column(_INTEGER, "People measured: with a list, and something heard for the first time."),
    ndcg_at_10=_column(_DOUBLE, "The mean over people."),
    recall_at_20=_column(_DOUBLE, "The mean over people."),
    precision_at_10=_column(_DOUBLE, "The mean over people."),
    map_at_10=_column(_DOUBLE, "The mean over people."),
    hit_rate_at_10=_column(_DOUBLE, "The mean over people."),
    coverage=_column(_DOUBLE, "Share of the catalogue in at least one of their first tens."),
    popularity_ndcg_at_10=_column(_DOUBLE, "What popular tracks would have earned with the same people."),
)  # fmt: skip

DRIFT = _table(
    "drift",
    "How far the listens, people and tracks of a day moved from what the champion was trained on.",
    day=_column(_DATE, "The partition."),
    feature=_column(_TEXT, "What is compared: listen_hour, listen_genre, ..."),
    statistic=_column(_TEXT, "How.", pa.Check.isin(["psi", "ks", "share"])),
    value=_column(_DOUBLE, "How far.", _IS_NOT_NEGATIVE),
    threshold=_column(_DOUBLE, "Above this it counts as drifted.", _IS_NOT_NEGATIVE),
    drifted=_column(_BOOLEAN, "Whether it is above."),
)

# Tables with a partition of their own: those the three endpoints fill.
SOURCE_TABLES = {"users": USERS, "tracks": TRACKS, "listens": LISTENS}
REJECTED_TABLES = {name: _rejected(name) for name in SOURCE_TABLES}
# The columns that identify a record of a source table.
RECORD_KEYS = {"users": ["user_id"], "tracks": ["track_id"], "listens": ["user_id", "listened_at"]}

TABLES: dict[str, pa.DataFrameSchema] = {
    str(schema.name): schema
    for schema in (
        *SOURCE_TABLES.values(),
        *REJECTED_TABLES.values(),
        PARTITION_LOADS,
        PARTITIONS_MADE,
        RECOMMENDATIONS,
        MODEL_EVALUATIONS,
        PROMOTIONS,
        RECOMMENDATION_QUALITY,
        DRIFT,
    )
}

# The columns that a warehouse of an older version lacks, and what fills each once it was added. They are nullable.
FILLED_WHEN_ADDED = {
    ("promotions", "decision_number"): """
        UPDATE promotions SET decision_number = numbered.decision_number FROM (
            SELECT rowid AS line, row_number() OVER (ORDER BY as_of, decided_at) AS decision_number FROM promotions
        ) AS numbered WHERE promotions.rowid = numbered.line""",
}

# What BI tools read: the latest state, without a word about partitions.
VIEWS = {
    "dim_users": """
        SELECT * FROM users
        QUALIFY row_number() OVER (PARTITION BY user_id ORDER BY changed_on DESC) = 1""",
    "dim_tracks": """
        SELECT * FROM tracks
        QUALIFY row_number() OVER (PARTITION BY track_id ORDER BY changed_on DESC) = 1""",
    "fact_listen_history": """
        SELECT * FROM listens
        QUALIFY changed_on = max(changed_on) OVER (PARTITION BY user_id, listened_at)""",
}


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
