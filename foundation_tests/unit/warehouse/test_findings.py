"""Findings on loads that nothing is wrong with: chance is no finding."""

from datetime import date, timedelta
from types import SimpleNamespace

import duckdb
import numpy as np
import pytest

from foundation.warehouse.findings import usual_volume

FIRST = date(2026, 9, 1)
DAYS = [FIRST + timedelta(days=number) for number in range(1, 81)]


@pytest.mark.parametrize("usual", [1, 6, 40])
def test_days_that_differ_by_chance_are_usual(usual: int) -> None:
    """Eighty days of a few records each, as first loads of a small source have them."""
    chance = np.random.default_rng(usual)
    unusual = 0
    with duckdb.connect() as connection:
        for _ in range(30):
            connection.execute(
                "CREATE OR REPLACE TABLE partition_loads (table_name TEXT, changed_on DATE, accepted INT)"
            )
            rows = [
                ("users", day, int(records))
                for day, records in zip(DAYS, chance.poisson(usual, 80), strict=True)
            ]
            connection.executemany("INSERT INTO partition_loads VALUES (?, ?, ?)", rows)
            finding = usual_volume(connection, SimpleNamespace(name="users"), DAYS, FIRST)
            assert finding.figures["days_compared"] >= 60
            unusual += not finding.passed
    assert unusual <= 1
