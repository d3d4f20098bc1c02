"""Which days a night makes: every missed one, bounded in how far back and how often."""

from dataclasses import replace
from datetime import date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moovitamix_assets.automation.missed_partitions import (
    Attempt,
    NightlyRun,
    NothingToRun,
    StoredDays,
    plan_nightly_run,
)
from moovitamix_assets.partitions import days_between
from moovitamix_assets.setting_groups import ScheduleSettings

FIRST, LAST = date(2026, 9, 1), date(2026, 9, 30)
NOON = datetime(2026, 10, 1, 12)
SETTINGS = ScheduleSettings(catch_up_days=14, catch_up_attempts=3, catch_up_wait_minutes=10, lookback_days=3)


def made(*missing: date, complete: bool = True) -> StoredDays:
    loaded = frozenset(days_between(FIRST, LAST)) - set(missing)
    return StoredDays(loaded, frozenset({LAST}) if complete and LAST not in missing else frozenset())


def failed(minutes_ago: float, first: date = LAST, succeeded: bool = False) -> Attempt:
    return Attempt(first, LAST, succeeded, NOON - timedelta(minutes=minutes_ago))


def test_nothing_is_started_where_nothing_was_ever_loaded() -> None:
    plan = plan_nightly_run(StoredDays(frozenset(), frozenset()), LAST, [], NOON, SETTINGS)
    assert isinstance(plan, NothingToRun)
    assert "moovitamix run" in plan.reason


def test_nothing_is_started_where_all_is_made() -> None:
    assert isinstance(plan_nightly_run(made(), LAST, [], NOON, SETTINGS), NothingToRun)


def test_the_day_that_ended_is_made_and_the_days_before_are_read_again() -> None:
    assert plan_nightly_run(made(LAST), LAST, [], NOON, SETTINGS) == NightlyRun(
        date(2026, 9, 28), LAST, LAST, 1
    )


def test_a_look_back_of_one_day_reads_nothing_again() -> None:
    plan = plan_nightly_run(made(LAST), LAST, [], NOON, SETTINGS.model_copy(update=dict(lookback_days=1)))
    assert plan == NightlyRun(LAST, LAST, LAST, 1)


def test_nothing_before_the_first_load_is_read_again() -> None:
    loaded, second = StoredDays(frozenset({FIRST}), frozenset()), FIRST + timedelta(days=1)
    assert plan_nightly_run(loaded, second, [], NOON, SETTINGS) == NightlyRun(FIRST, second, second, 1)


def test_missed_days_are_made_in_one_run_with_the_last() -> None:
    missing = days_between(date(2026, 9, 26), LAST)
    assert plan_nightly_run(made(*missing), LAST, [], NOON, SETTINGS) == NightlyRun(
        date(2026, 9, 24), date(2026, 9, 26), LAST, 1
    )


def test_a_day_of_which_not_everything_was_made_is_made_again() -> None:
    plan = plan_nightly_run(made(complete=False), LAST, [], NOON, SETTINGS)
    assert isinstance(plan, NightlyRun)
    assert (plan.first, plan.last) == (LAST, LAST)


def test_days_further_back_than_the_bound_are_left_to_a_person() -> None:
    plan = plan_nightly_run(made(*days_between(date(2026, 9, 5), LAST)), LAST, [], NOON, SETTINGS)
    assert isinstance(plan, NightlyRun)
    assert plan.first == LAST - timedelta(days=13)


@pytest.mark.parametrize(("failures", "minutes"), [(1, 10), (2, 20)])
def test_a_failed_nightly_run_is_tried_again_after_twice_the_wait(failures: int, minutes: int) -> None:
    earlier = [failed(600)] * (failures - 1)
    too_early = plan_nightly_run(made(LAST), LAST, [*earlier, failed(minutes - 1)], NOON, SETTINGS)
    assert isinstance(too_early, NothingToRun)
    again = plan_nightly_run(made(LAST), LAST, [failed(minutes), *earlier], NOON, SETTINGS)
    assert isinstance(again, NightlyRun)
    assert again.attempt == failures + 1


def test_a_nightly_run_whose_process_died_is_tried_again_at_once_and_no_more_often_than_others() -> None:
    dead = replace(failed(0), died=True)
    again = plan_nightly_run(made(LAST), LAST, [dead], NOON, SETTINGS)
    assert isinstance(again, NightlyRun)
    assert again.attempt == 2
    rests = plan_nightly_run(made(LAST), LAST, [dead, failed(9)], NOON, SETTINGS)
    assert isinstance(rests, NothingToRun)
    assert "repeated at" in rests.reason
    assert isinstance(plan_nightly_run(made(LAST), LAST, [dead, failed(10)], NOON, SETTINGS), NightlyRun)
    assert isinstance(plan_nightly_run(made(LAST), LAST, [dead] * 3, NOON, SETTINGS), NothingToRun)


def test_attempts_at_one_last_day_are_bounded_and_the_next_day_starts_anew() -> None:
    attempts = [failed(600), failed(300), failed(100)]
    given_up = plan_nightly_run(made(LAST), LAST, attempts, NOON, SETTINGS)
    assert isinstance(given_up, NothingToRun)
    assert "3 runs" in given_up.reason
    tomorrow = LAST + timedelta(days=1)
    plan = plan_nightly_run(made(LAST), tomorrow, attempts, NOON, SETTINGS)
    assert plan == NightlyRun(date(2026, 9, 28), LAST, tomorrow, 1)


def test_a_nightly_run_that_failed_after_loading_is_repeated_whole() -> None:
    first = LAST - timedelta(days=3)
    again = plan_nightly_run(made(), LAST, [failed(60, first)], NOON, SETTINGS)
    assert again == NightlyRun(first - timedelta(days=2), first, LAST, 2)
    done = plan_nightly_run(
        made(), LAST, [failed(60, first), failed(30, first, succeeded=True)], NOON, SETTINGS
    )
    assert isinstance(done, NothingToRun)


def test_the_last_try_takes_its_day_alone_so_that_an_older_one_cannot_stop_it() -> None:
    bad = LAST - timedelta(days=2)
    tries = [failed(600, bad), failed(300, bad)]
    assert plan_nightly_run(made(bad, LAST), LAST, tries, NOON, SETTINGS) == NightlyRun(LAST, LAST, LAST, 3)

    rest = plan_nightly_run(made(bad), LAST, [*tries, failed(30, succeeded=True)], NOON, SETTINGS)
    assert isinstance(rest, NothingToRun)
    assert f"{bad} could not be loaded" in rest.reason
    tomorrow = LAST + timedelta(days=1)
    plan = plan_nightly_run(made(bad), tomorrow, [*tries, failed(30, succeeded=True)], NOON, SETTINGS)
    assert plan == NightlyRun(bad - timedelta(days=2), bad, tomorrow, 1)


def test_a_single_try_takes_the_missed_days_too() -> None:
    bad = LAST - timedelta(days=2)
    once = SETTINGS.model_copy(update=dict(catch_up_attempts=1))
    assert plan_nightly_run(made(bad, LAST), LAST, [], NOON, once) == NightlyRun(
        bad - timedelta(days=2), bad, LAST, 1
    )


def test_a_day_that_is_withdrawn_after_a_good_run_is_made_under_a_key_of_its_own() -> None:
    bad = LAST - timedelta(days=2)
    plan = plan_nightly_run(made(bad), LAST, [failed(60, succeeded=True)], NOON, SETTINGS)
    assert plan == NightlyRun(bad - timedelta(days=2), bad, LAST, 2)


def test_the_nightly_run_after_one_that_was_given_up_leaves_alone_what_was_loaded() -> None:
    attempts = [failed(600), failed(300), failed(100)]
    tomorrow = LAST + timedelta(days=1)
    plan = plan_nightly_run(made(complete=False), tomorrow, attempts, NOON, SETTINGS)
    assert isinstance(plan, NightlyRun)
    assert (plan.first, plan.last) == (tomorrow, tomorrow)


def test_a_nightly_run_that_succeeded_is_not_made_over_and_over() -> None:
    plan = plan_nightly_run(made(complete=False), LAST, [failed(30, succeeded=True)], NOON, SETTINGS)
    assert isinstance(plan, NothingToRun)


@given(st.sets(st.dates(FIRST, LAST)), st.lists(st.tuples(st.booleans(), st.floats(0, 1e4)), max_size=6))
def test_a_plan_covers_every_missed_day_within_its_bounds_and_none_twice(
    missing: set[date], tries: list[tuple[bool, float]]
) -> None:
    missing -= {FIRST}
    attempts = [failed(ago, succeeded=ok) for ok, ago in tries]
    plan = plan_nightly_run(made(*missing), LAST, attempts, NOON, SETTINGS)
    bound = LAST - timedelta(days=SETTINGS.catch_up_days - 1)
    within = sorted(day for day in missing if day >= bound)
    failures = sum(not ok for ok, _ in tries)
    if isinstance(plan, NothingToRun):
        assert not within or failures
        return
    assert within or failures
    assert plan.last == LAST
    assert plan.first == (LAST if failures == SETTINGS.catch_up_attempts - 1 else min([*within, LAST]))
    assert plan.attempt == len(tries) + 1
    assert failures < SETTINGS.catch_up_attempts
    assert FIRST <= plan.read_from <= plan.first
