from datetime import date, timedelta

import pytest

from foundation.models import promotions
from moovitamix_assets.settings import Settings
from moovitamix_assets.training.dataset.snapshot import HeldOutDays, held_out_days, tastes_changed_on
from moovitamix_assets.warehouse.connection import write_warehouse


def test_holdout_days_end_with_the_day_of_the_set_and_validation_days_before_them():
    settings = Settings(holdout_days=7, validation_days=5).training
    assert held_out_days(date(2026, 10, 14), settings) == HeldOutDays(
        holdout_from=date(2026, 10, 8), validation_from=date(2026, 10, 3)
    )


@pytest.mark.parametrize(
    ("days_known", "holdout_days", "validation_days", "on_holdout"),
    [
        (1, 1, 1, True), (2, 1, 1, True), (3, 1, 1, False), (8, 2, 2, False),
        (14, 4, 4, False), (18, 6, 5, False), (30, 7, 5, False), (300, 7, 5, False),
    ],
)  # fmt: skip
def test_soon_after_a_change_a_third_of_its_days_is_held_out(
    days_known, holdout_days, validation_days, on_holdout
):
    as_of = date(2026, 10, 14)
    settings = Settings(holdout_days=7, validation_days=5).training
    held_out = held_out_days(as_of, settings, as_of - timedelta(days=days_known - 1))
    assert (as_of - held_out.holdout_from).days + 1 == holdout_days
    assert (held_out.holdout_from - held_out.validation_from).days == validation_days
    assert held_out.choices_on_holdout is on_holdout
    # At least as many days since the change are left to learn from, once there are three.
    learned = (held_out.validation_from - (as_of - timedelta(days=days_known - 1))).days
    assert learned >= holdout_days or days_known < 3


@pytest.mark.parametrize(("days", "known"), [(0, True), (59, True), (60, False)])
def test_tastes_changed_on_the_first_lost_day_of_the_last_fallback(tmp_path, days, known):
    first = date(2026, 9, 1)
    with write_warehouse(tmp_path / "warehouse.duckdb") as connection:
        assert tastes_changed_on(connection, first) is None
        for lost in (first - timedelta(days=9), first):
            promotions.fall_back(connection, lost, "Lost.", popularity_days=7, worse_since=lost, metrics={})
        found = tastes_changed_on(connection, first + timedelta(days=days))
    assert found == (first if known else None)
