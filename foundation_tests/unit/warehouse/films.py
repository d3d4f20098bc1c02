"""A small layout of no product in particular: films, loaded from the files of one endpoint."""

from typing import Any

from foundation.json_records import parse_timestamp, whole_number
from foundation.program import Program
from foundation.tables import BIGINT, TEXT, column, table
from foundation.warehouse.cleaning import Unusable
from foundation.warehouse.layout import SourceTable, WarehouseLayout
from foundation.warehouse.standard_tables import (
    CHANGED_ON,
    LOADED_AT,
    PARTITIONS_MADE,
    partition_loads_table,
    rejected_table,
)

FILMS = table(
    "films",
    "One row per film and day on which it changed.",
    film_id=column(BIGINT, "The key."),
    title=column(TEXT, "The title.", nullable=True),
    changed_on=CHANGED_ON,
    loaded_at=LOADED_AT,
)
SOURCE = SourceTable(FILMS, rejected_table("films"), "film_files", ["film_id"], ["film_id"])
LAYOUT = WarehouseLayout(
    program=Program(command="films", environment_prefix="FILMS_"),
    tables={
        "films": FILMS,
        "rejected_films": SOURCE.rejected,
        "partition_loads": partition_loads_table(["films"]),
        "partitions_made": PARTITIONS_MADE,
    },
    sources={"films": SOURCE},
    ledger_groups={"partition_loads": ["table_name", "changed_on"], "partitions_made": ["table_name", "day"]},
)


def parse(record: object) -> tuple[Any, ...] | Unusable:
    fields = record if isinstance(record, dict) else {}
    number = whole_number(fields.get("id"))
    return Unusable(["no usable id"]) if number is None else (number, fields.get("title"))


def changed_at(record: object) -> Any:
    return parse_timestamp(record.get("updated_at")) if isinstance(record, dict) else None
