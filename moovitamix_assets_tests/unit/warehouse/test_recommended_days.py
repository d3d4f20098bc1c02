from datetime import date

from moovitamix_assets.warehouse.connection import write_warehouse
from moovitamix_assets.warehouse.recommended_days import newest_recommended_day
from moovitamix_assets_tests.unit.warehouse.rows import add_list


def test_the_newest_day_is_found_up_to_the_day_asked_for(tmp_path):
    with write_warehouse(tmp_path / "warehouse.duckdb") as connection:
        assert newest_recommended_day(connection) is None
        add_list(connection, date(2026, 9, 3), 1, [20], "a")
        add_list(connection, date(2026, 9, 5), 1, [20], "a")
        assert newest_recommended_day(connection) == date(2026, 9, 5)
        assert newest_recommended_day(connection, date(2026, 9, 4)) == date(2026, 9, 3)
        assert newest_recommended_day(connection, date(2026, 9, 3)) == date(2026, 9, 3)
        assert newest_recommended_day(connection, date(2026, 9, 2)) is None
