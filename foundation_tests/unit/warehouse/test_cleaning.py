import json
from datetime import date, datetime
from typing import Any

import pandas as pd
import pytest

from foundation.tables import to_arrow, typed_values
from foundation.warehouse.cleaned_partitions import CleanedPartitions
from foundation.warehouse.cleaning import clean_records
from foundation_tests.unit.warehouse.films import FILMS, LAYOUT, SOURCE, parse

DAY, LOADED = date(2026, 9, 2), datetime(2026, 9, 3, 1)


def rows_of(changed_on: pd.Series, values: list[Any]) -> tuple[pd.DataFrame, int]:
    ids, titles = zip(*values, strict=True) if values else ((), ())
    columns = {"film_id": ids, "title": titles}
    rows = {name: typed_values(FILMS.columns[name], values) for name, values in columns.items()}
    return pd.DataFrame(rows | {"changed_on": changed_on.to_numpy()}), 0


def clean(*records: str) -> CleanedPartitions:
    """Clean records that were observed one hour after the other."""
    hours = [datetime(2026, 9, 3, hour) for hour in range(len(records))]
    landed = pd.DataFrame(
        {
            "record": pd.Series(records, dtype=object),
            "changed_at": pd.Series([datetime(2026, 9, 2)] * len(records), dtype="datetime64[us]"),
            "observed_at": pd.Series(hours, dtype="datetime64[us]"),
            "changed_on": pd.Series([DAY] * len(records), dtype="datetime64[s]"),
        }
    )
    return clean_records(SOURCE, landed, [DAY], LOADED, parse, rows_of)


def test_the_newest_observation_of_a_record_counts_and_every_record_is_counted() -> None:
    first, newest = '{"id":1,"title":"M"}', '{"id":1,"title":"N"}'

    cleaned = clean(first, first, newest, '{"id":null}')

    assert cleaned.accepted["title"].tolist() == ["N"]
    (load,) = cleaned.loads.to_dict("records")
    names = ("received", "accepted", "rejected", "duplicates", "superseded", "stored_rows")
    assert [load[name] for name in names] == [4, 1, 1, 1, 1, 1]
    assert to_arrow(LAYOUT.tables["partition_loads"], cleaned.loads).num_rows == 1


@pytest.mark.parametrize("record", ["", "{", "9" * 5000, "[" * 100_000 + "]" * 100_000, '{"id":1}{"id":2}'])
def test_a_record_that_cannot_be_decoded_is_rejected_without_an_exception(record: str) -> None:
    (rejected,) = clean(record).rejected.to_dict("records")

    assert rejected["reasons"] == ["not readable as JSON"]
    assert json.loads(rejected["record"]) == record
