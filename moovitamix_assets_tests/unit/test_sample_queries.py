"""The sample queries about roles, on days of a challenger and a fallback; each query runs on a whole deployment too."""

import re
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import duckdb
import pandas as pd
import pytest

from foundation.warehouse.rows import insert
from moovitamix_assets.warehouse.connection import write_warehouse
from moovitamix_assets.warehouse.schemas import RECOMMENDATION_QUALITY

PAGE = Path(__file__).parents[2] / "docs" / "queries.md"
FIRST = date(2026, 9, 1)


def query(heading: str) -> str:
    """The query below a sentence of the page."""
    (found,) = re.findall(
        rf"^{heading}[^\n]*:\n\n```sql\n(.*?)```", PAGE.read_text(), re.DOTALL | re.MULTILINE
    )
    return found


def row(days: int, role: str, version: str, users: int, ndcg: float, served: float = 0.3) -> dict[str, Any]:
    figures = {
        "users": users,
        "ndcg_at_10": ndcg,
        "served_ndcg_at_10": served,
        "popularity_3_days_ndcg_at_10": 0.2,
    }
    return (
        dict.fromkeys(RECOMMENDATION_QUALITY.columns, 0.1)
        | {"day": pd.Timestamp(FIRST + timedelta(days=days)), "segment": "all"}
        | {"role": role, "model_version": version, **figures}
    )


@pytest.fixture
def connection(tmp_path: Path):
    rows = [
        row(0, "champion", "a", 90, 0.3),
        row(0, "champion", "popularity", 10, 0.1),
        row(0, "challenger", "b", 80, 0.4),
        row(1, "fallback", "popularity", 100, 0.2),
        row(1, "champion", "a", 90, 0.05),
        row(1, "challenger", "b", 80, 0.5),
    ]
    with write_warehouse(tmp_path / "warehouse.duckdb") as connection:
        insert(connection, RECOMMENDATION_QUALITY, pd.DataFrame(rows))
        yield connection


def test_the_challenger_is_compared_with_what_was_served(connection: duckdb.DuckDBPyConnection) -> None:
    found = connection.execute(query("The challenger in shadow")).df()
    assert found["challenger"].tolist() == ["b", "b"]
    assert found["gain"].tolist() == pytest.approx([0.2, 0.1])


def test_who_served_are_popular_tracks_in_a_fallback(connection: duckdb.DuckDBPyConnection) -> None:
    found = connection.execute(query("Who served on each day")).df()
    assert list(zip(found["serving"], found["users"], strict=True)) == [("popularity", 100), ("a", 100)]
    assert found["ndcg_at_10"].tolist() == pytest.approx([0.2, 0.28])
    assert found["best_popularity"].tolist() == pytest.approx([0.2, 0.2])
