import pytest

from foundation.counting import counted


@pytest.mark.parametrize(
    ("number", "noun", "text"),
    [
        (0, "day", "0 days"),
        (1, "day", "1 day"),
        (1200, "row", "1,200 rows"),
        (1, "database of Dagster", "1 database of Dagster"),
        (3, "database of Dagster", "3 databases of Dagster"),
    ],
)
def test_a_noun_agrees_with_its_number(number: int, noun: str, text: str) -> None:
    assert counted(number, noun) == text
