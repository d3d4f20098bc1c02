from datetime import datetime

import duckdb
import pandas as pd
import pandera.errors
import pandera.pandas as pa
import pyarrow
import pytest

from foundation.tables import (
    BIGINT,
    BOOLEAN,
    DATE,
    SMALLINT,
    TEXT,
    TEXTS,
    TIMESTAMP,
    column,
    empty_frame,
    sql_type,
    table,
    table_ddl,
    to_arrow,
    typed_values,
)

FILMS = table(
    "films",
    "One row per film.",
    film_id=column(BIGINT, "The key."),
    title=column(TEXT, "The title.", nullable=True),
    genres=column(TEXTS, "The genres.", nullable=True),
    stars=column(SMALLINT, "From 1 to 5.", pa.Check.in_range(1, 5), nullable=True),
    released_on=column(DATE, "The day."),
    changed_at=column(TIMESTAMP, "UTC."),
    in_color=column(BOOLEAN, "Whether.", nullable=True),
    is_feature=column(BOOLEAN, "Whether."),
)


def films(**values: object) -> pd.DataFrame:
    row = {
        "film_id": 1,
        "title": "M",
        "genres": ["crime"],
        "stars": 5,
        "released_on": "1931-05-11",
        "changed_at": datetime(9999, 12, 31, 23, 59, 59, 999999),
        "in_color": None,
        "is_feature": True,
    }
    return pd.DataFrame([row | values])


def test_the_ddl_makes_a_table_that_the_arrow_rows_fit() -> None:
    rows = to_arrow(FILMS, films())
    with duckdb.connect() as connection:
        connection.execute(table_ddl(FILMS))
        connection.execute("INSERT INTO films BY NAME SELECT * FROM rows")
        stored = connection.execute(
            "SELECT title, genres, stars, changed_at, in_color, is_feature FROM films"
        ).fetchall()
        types = dict(
            connection.execute(
                "SELECT column_name, data_type FROM duckdb_columns() WHERE NOT internal"
            ).fetchall()
        )
        with pytest.raises(duckdb.ConstraintException, match="NOT NULL"):
            connection.execute("INSERT INTO films (film_id) VALUES (2)")
    assert rows.num_rows == len(stored)
    assert stored == [("M", ["crime"], 5, datetime(9999, 12, 31, 23, 59, 59, 999999), None, True)]
    assert types == {name: sql_type(each) for name, each in FILMS.columns.items()}


@pytest.mark.parametrize(
    "values",
    [
        {"stars": 6},
        {"film_id": None},
        {"film_id": "x"},
        {"changed_at": 5},
        {"unknown": 1},
        {"is_feature": None},
        {"in_color": "no"},
    ],
    ids=str,
)
def test_rows_that_do_not_fit_are_refused(values: dict[str, object]) -> None:
    with pytest.raises(pandera.errors.SchemaErrors):
        to_arrow(FILMS, films(**values))


def test_values_are_typed_as_their_column_and_none_is_null() -> None:
    typed = typed_values(FILMS.columns["stars"], [1, None])
    assert (typed.dtype, typed[1] is pd.NA) == (pd.Int16Dtype(), True)
    with pytest.raises((TypeError, ValueError)):
        typed_values(FILMS.columns["stars"], ["many"])


def test_an_empty_frame_fits_its_table() -> None:
    rows = to_arrow(FILMS, empty_frame(FILMS))
    assert rows.num_rows == 0
    assert rows.schema.field("genres").type == pyarrow.list_(pyarrow.string())
