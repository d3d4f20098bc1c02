from datetime import UTC, date, datetime, timedelta

import pytest
import requests

from mock_api.server import running_server
from moovitamix_assets.clock import ClockUnreadable, due_day, last_ended_day, now
from moovitamix_assets.setting_groups import ScheduleSettings
from moovitamix_assets.settings import Settings
from moovitamix_assets_tests.conftest import small_world


def test_the_machine_tells_the_time_where_no_clock_is_set() -> None:
    before = datetime.now(UTC).replace(tzinfo=None)
    assert before <= now(Settings()) <= datetime.now(UTC).replace(tzinfo=None)


def test_a_clock_that_is_set_is_followed_as_it_moves() -> None:
    with running_server(small_world(now=datetime(2026, 9, 6, 12))) as url:
        settings = Settings(clock_url=url)
        assert now(settings) == datetime(2026, 9, 6, 12)
        requests.post(f"{url}/_clock", json={"now": "2026-09-07T00:31:00"}, timeout=10).raise_for_status()
        assert now(settings) == datetime(2026, 9, 7, 0, 31)


def test_a_clock_that_does_not_answer_is_an_error_and_never_the_machines_time() -> None:
    with pytest.raises(ClockUnreadable, match="MOOVITAMIX_CLOCK_URL = "):
        now(Settings(clock_url="http://127.0.0.1:9"))
    with (
        running_server(small_world()) as url,
        pytest.raises(ClockUnreadable, match="give its address alone"),
    ):
        now(Settings(clock_url=f"{url}/_clock"))


@pytest.mark.parametrize("moment", [datetime(2026, 9, 7), datetime(2026, 9, 7, 23, 59, 59)])
def test_the_last_ended_day_is_the_day_before(moment: datetime) -> None:
    assert last_ended_day(moment) == date(2026, 9, 6)
    assert last_ended_day(moment + timedelta(days=1)) == date(2026, 9, 7)


@pytest.mark.parametrize(
    ("moment", "after", "day"),
    [
        (datetime(2026, 9, 7, 0, 29, 59), timedelta(0), date(2026, 9, 5)),
        (datetime(2026, 9, 7, 0, 30), timedelta(0), date(2026, 9, 6)),
        (datetime(2026, 9, 7, 3, 29), timedelta(hours=3), date(2026, 9, 5)),
        (datetime(2026, 9, 7, 3, 30), timedelta(hours=3), date(2026, 9, 6)),
    ],
)
def test_a_day_is_due_when_its_night_has_come(moment: datetime, after: timedelta, day: date) -> None:
    assert due_day(moment, ScheduleSettings(nightly_at="00:30"), after) == day


@pytest.mark.parametrize(
    ("nightly_at", "moment", "day"),
    [
        ("00:00", datetime(2026, 9, 7), date(2026, 9, 6)),
        ("00:00", datetime(2026, 9, 6, 23, 59, 59), date(2026, 9, 5)),
        ("23:59", datetime(2026, 9, 7, 23, 59), date(2026, 9, 6)),
        ("23:59", datetime(2026, 9, 7, 23, 58, 59), date(2026, 9, 5)),
        ("14:05", datetime(2026, 9, 7, 14, 5), date(2026, 9, 6)),
        ("14:05", datetime(2026, 9, 7, 14, 4, 59), date(2026, 9, 5)),
    ],
)
def test_hours_and_minutes_of_the_setting_both_count(nightly_at: str, moment: datetime, day: date) -> None:
    assert due_day(moment, ScheduleSettings(nightly_at=nightly_at)) == day


def test_a_clock_is_read_with_its_credentials_and_complained_of_without():
    with running_server(small_world(now=datetime(2026, 9, 6, 12))) as url:
        behind = url.replace("http://", "http://user:sesame@")
        assert now(Settings(clock_url=behind)) == datetime(2026, 9, 6, 12)
        with pytest.raises(ClockUnreadable) as caught:
            now(Settings(clock_url=f"{behind}/nothing"))
    assert "sesame" not in str(caught.value)
    assert isinstance(caught.value.__cause__, requests.HTTPError)
    assert "sesame" not in str(caught.value.__cause__)
