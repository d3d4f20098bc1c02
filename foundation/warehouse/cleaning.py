"""From landed records to accepted and rejected rows: pure functions on frames, one column at a time.

Which version of a record counts within a partition is decided here. Parsing a record, and the rows it becomes, belong
to the product; reading landing files and writing tables do not belong here.
"""

import json
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

import numpy as np
import pandas as pd

from foundation.json_records import storable_json
from foundation.tables import typed_values
from foundation.warehouse.cleaned_partitions import CleanedPartitions
from foundation.warehouse.layout import SourceTable
from foundation.warehouse.standard_tables import partition_loads_table

_LOAD_COLUMNS = list(partition_loads_table([]).columns)


@dataclass(frozen=True, slots=True)
class Unusable:
    """A record that cannot become rows.

    Attributes:
        reasons: The reasons, in plain words. The part before a colon is fixed; the value found follows it.
        key: The record's key, as far as it is readable, so that a newer observation of the record can be recognised.
    """

    reasons: list[str]
    key: tuple[Hashable, ...] | None = None


Parse = Callable[[object], tuple[Any, ...] | Unusable]
"""Parse a decoded record: its values, beginning with its key, or why it is unusable."""

RowsOf = Callable[[pd.Series, list[Any]], tuple[pd.DataFrame, int]]
"""The rows (all columns but `loaded_at`) of records' partitions and values, and how many of their parts have none."""


def clean_records(
    source: SourceTable,
    landed: pd.DataFrame,
    partitions: Sequence[date],
    loaded_at: datetime,
    parse: Parse,
    rows_of: RowsOf,
) -> CleanedPartitions:
    """Sort the records of some partitions into accepted rows, rejected records, duplicates and superseded ones.

    A record is judged by its newest observation: an unusable one counts as superseded, not as rejected, once a newer
    observation of the same record was landed, or a later reading of the partition no longer returned it.

    Args:
        source: The table.
        landed: One row per record: `record` (canonical JSON), `changed_at`, `observed_at`, `changed_on`, and
            `withdrawn` where landing knows of withdrawn records (see `foundation/landing/partitions.py`).
        partitions: Every partition being loaded; each gets its row in `loads`, with or without records.
        loaded_at: Wall clock, naive UTC.
        parse: Parses a record.
        rows_of: Makes the rows of parsed records.
    """
    distinct = landed.sort_values("observed_at", kind="stable").drop_duplicates(
        ["changed_on", "record"], keep="last"
    )
    current = distinct[~distinct["withdrawn"]] if "withdrawn" in distinct else distinct
    parsed = [_parsed(parse, record) for record in current["record"]]
    is_usable = np.array([not isinstance(values, Unusable) for values in parsed], dtype=bool)
    usable = current[is_usable].reset_index(drop=True)
    values = [values for values in parsed if not isinstance(values, Unusable)]
    accepted = _newest_versions(source, usable, values)
    unusable = [values for values in parsed if isinstance(values, Unusable)]
    rejected = current[~is_usable].assign(
        reasons=pd.Series([each.reasons for each in unusable], dtype=object).array
    )
    rejected = rejected[~_observed_again(source, current, parsed, is_usable)].reset_index(drop=True)
    rows, left_out = rows_of(accepted["changed_on"], [values[place] for place in accepted.index])
    rows = rows.assign(loaded_at=_repeated(loaded_at, len(rows)))[list(source.schema.columns)]
    return CleanedPartitions(
        accepted=rows,
        rejected=_rejected_rows(source, rejected, loaded_at),
        loads=_loads(
            source,
            partitions,
            loaded_at,
            received=landed,
            distinct=distinct,
            accepted=accepted,
            rejected=rejected,
            stored_rows=rows,
        ),
        items_left_out=left_out,
    )


def _parsed(parse: Parse, record: str) -> tuple[Any, ...] | Unusable:
    try:
        return parse(json.loads(record))
    except (ValueError, RecursionError):
        # Numbers of thousands of digits and nesting without end are JSON, but not readable.
        return Unusable(["not readable as JSON"])


def _newest_versions(
    source: SourceTable, usable: pd.DataFrame, values: list[tuple[Any, ...]]
) -> pd.DataFrame:
    """One version per partition and key: latest change, then latest observation, then greatest text.

    Args:
        source: The table.
        usable: The records, numbered from 0.
        values: The values of each of them, beginning with the key.

    Returns:
        The rows of `usable` that count, under their numbers, by partition and key.
    """
    keys = list(source.record_key)
    columns = source.schema.columns
    keyed = usable.assign(
        **{
            key: typed_values(columns[key], [parsed[place] for parsed in values])
            for place, key in enumerate(keys)
        }
    )
    repeats = keyed.duplicated(["changed_on", *keys], keep=False)
    newest_of_repeats = (
        keyed[repeats]
        .sort_values(["changed_at", "observed_at", "record"], na_position="first", kind="stable")
        .drop_duplicates(["changed_on", *keys], keep="last")
    )
    return pd.concat([keyed[~repeats], newest_of_repeats]).sort_values(["changed_on", *keys], kind="stable")


def _observed_again(
    source: SourceTable,
    current: pd.DataFrame,
    parsed: list[Any],
    is_usable: np.ndarray[Any, np.dtype[np.bool_]],
) -> np.ndarray[Any, np.dtype[np.bool_]]:
    """Return for each unusable record, in the order of `current`, whether a newer observation of it exists."""
    unusable_keys = {each.key for each in parsed if isinstance(each, Unusable)} - {None}
    if not unusable_keys:
        return np.zeros(int((~is_usable).sum()), dtype=bool)
    keys = [
        each.key if isinstance(each, Unusable) else tuple(each[: len(source.record_key)]) for each in parsed
    ]
    places = [
        (day, key) if key in unusable_keys else None
        for day, key in zip(current["changed_on"], keys, strict=True)
    ]
    newest: dict[Any, datetime] = {}
    for place, observed_at in zip(places, current["observed_at"], strict=True):
        if place is not None:
            newest[place] = max(observed_at, newest.get(place, observed_at))
    again = [
        place is not None and observed_at < newest[place]
        for place, observed_at in zip(places, current["observed_at"], strict=True)
    ]
    of_unusable: np.ndarray[Any, np.dtype[np.bool_]] = np.array(again, dtype=bool)[~is_usable]
    return of_unusable


def _rejected_rows(source: SourceTable, rejected: pd.DataFrame, loaded_at: datetime) -> pd.DataFrame:
    ordered = rejected.sort_values(["changed_on", "record"], kind="stable")
    columns: dict[str, Any] = {
        "record": [storable_json(record) for record in ordered["record"]],
        "reasons": ordered["reasons"],
        "changed_on": ordered["changed_on"],
        "loaded_at": _repeated(loaded_at, len(ordered)),
    }
    return pd.DataFrame(
        {name: typed_values(column, columns[name]) for name, column in source.rejected.columns.items()}
    )


def _repeated(moment: datetime, times: int) -> np.ndarray[Any, np.dtype[np.datetime64]]:
    return np.full(times, np.datetime64(moment, "us"))


def _loads(
    source: SourceTable, partitions: Sequence[date], loaded_at: datetime, **records: pd.DataFrame
) -> pd.DataFrame:
    """A row per partition, from the frames of records that each step left."""
    counts = pd.DataFrame(
        {step: frame.groupby("changed_on").size() for step, frame in records.items()},
        index=pd.DatetimeIndex(np.array(partitions, dtype="datetime64[s]"), name="changed_on"),
    )
    counts = counts.fillna(0).astype("int64")
    return counts.assign(
        table_name=source.name,
        duplicates=counts["received"] - counts["distinct"],
        superseded=counts["distinct"] - counts["accepted"] - counts["rejected"],
        loaded_at=loaded_at,
    ).reset_index()[_LOAD_COLUMNS]
