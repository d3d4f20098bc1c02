"""The descriptions of tables and columns, which the UI and the data dictionary show."""

from moovitamix_assets.warehouse.schemas import RECOMMENDATIONS, TABLES


def test_every_column_says_what_it_holds() -> None:
    descriptions = {
        f"{table}.{name}": str(column.description or "")
        for table, schema in TABLES.items()
        for name, column in schema.columns.items()
    }
    assert {name: text for name, text in descriptions.items() if len(text.split()) < 4} == {}
    assert {name: text for name, text in descriptions.items() if not text.endswith(".")} == {}
    assert all(schema.description for schema in TABLES.values())


def test_generated_at_is_described_as_the_end_of_the_day_not_as_a_clock_time() -> None:
    text = RECOMMENDATIONS.columns["generated_at"].description
    assert text.startswith("The end of the as-of day")
    assert "not the time at which the row was computed" in text
