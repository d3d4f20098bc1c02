from datetime import date

from moovitamix_assets.settings import Settings
from moovitamix_assets.training.dataset.snapshot import HeldOutDays, held_out_days


def test_holdout_days_end_with_the_day_of_the_set_and_validation_days_before_them():
    settings = Settings(holdout_days=7, validation_days=5).training
    assert held_out_days(date(2026, 10, 14), settings) == HeldOutDays(
        holdout_from=date(2026, 10, 8), validation_from=date(2026, 10, 3)
    )
