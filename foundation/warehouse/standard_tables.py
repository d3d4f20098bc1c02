"""The tables and columns that every warehouse has: rejected records, and which partitions were loaded and written.

Tables that hold what a product is about belong to the product.
"""

from collections.abc import Sequence

import pandera.pandas as pa

from foundation.tables import BIGINT, DATE, JSON, TEXT, TEXTS, TIMESTAMP, column, table

_IS_NOT_NEGATIVE = pa.Check.ge(0)

CHANGED_ON = column(DATE, "The partition: the day (UTC) on which this version of the record changed.")
LOADED_AT = column(TIMESTAMP, "Wall clock of the load, UTC.")


def rejected_table(source_table: str) -> pa.DataFrameSchema:
    """The table of the records of a source table that could not be used."""
    return table(
        f"rejected_{source_table}",
        f"Every record read for {source_table} that could not be used, as received, with the reasons.",
        record=column(
            JSON, "The record as received; where this is a JSON string, its content is the record."
        ),
        reasons=column(TEXTS, "Each reason why it could not be used, with the value found."),
        changed_on=CHANGED_ON,
        loaded_at=LOADED_AT,
    )


def partition_loads_table(source_tables: Sequence[str]) -> pa.DataFrameSchema:
    """The table of loaded partitions, for some source tables."""
    return table(
        "partition_loads",
        "What became of the records of each loaded partition of each table; an empty day has a row too, a refused "
        "partition has none.",
        table_name=column(
            TEXT, f"The table loaded: {', '.join(source_tables)}.", pa.Check.isin(list(source_tables))
        ),
        changed_on=CHANGED_ON,
        received=column(BIGINT, "Records in the landing files that were judged.", _IS_NOT_NEGATIVE),
        accepted=column(BIGINT, "Records that became rows, one or several each.", _IS_NOT_NEGATIVE),
        rejected=column(BIGINT, "Records stored in the rejected table.", _IS_NOT_NEGATIVE),
        duplicates=column(BIGINT, "Records identical to another, character by character.", _IS_NOT_NEGATIVE),
        superseded=column(
            BIGINT,
            "Older versions of a record within the day, and records that the source no longer returns.",
            _IS_NOT_NEGATIVE,
        ),
        stored_rows=column(BIGINT, "Rows written; a record may have several.", _IS_NOT_NEGATIVE),
        loaded_at=LOADED_AT,
    )


PARTITIONS_MADE = table(
    "partitions_made",
    "The partitions written of every other partitioned table; one without rows is recorded too.",
    table_name=column(TEXT, "The table that was written."),
    day=column(DATE, "The partition that was written."),
    row_count=column(BIGINT, "Rows written; 0 for an empty partition.", _IS_NOT_NEGATIVE),
)
