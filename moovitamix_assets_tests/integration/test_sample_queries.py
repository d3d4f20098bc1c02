"""Every query of docs/queries.md runs, and those of what a run made bring rows."""

import re
from pathlib import Path

import pytest

from moovitamix_assets_tests.integration.deployment import Deployment

PAGE = Path(__file__).parents[2] / "docs" / "queries.md"
QUERIES = re.findall(r"```sql\n(.*?)```", PAGE.read_text(), flags=re.DOTALL)
MAY_BE_EMPTY = ("rejected_listens", "recommendation_quality")


@pytest.mark.parametrize("number", range(len(QUERIES)))
def test_a_sample_query_runs(undisturbed: Deployment, number: int) -> None:
    rows = undisturbed.query(QUERIES[number])
    assert rows or any(f"FROM {table}" in QUERIES[number] for table in MAY_BE_EMPTY)
