"""The figures of replayed worlds, computed from made-up days."""

from collections.abc import Iterable
from dataclasses import replace
from datetime import timedelta

import pandas as pd
import pytest

from benchmarks.recovery.days import Day
from benchmarks.recovery.hindsight import Hindsight, pooled
from benchmarks.recovery.story import START, Story, stories_of
from benchmarks.recovery.summary import Summary, summarise

SHIFT = Story(days=35, shift_on=8)


def days(story: Story, ndcg: Iterable[float]) -> list[Day]:
    return [
        Day(number, story.day(number), "v", "champion", 400, figure, 0.05, "", "", "", 1.0)
        for number, figure in enumerate(ndcg, start=1)
    ]


def summary(story: Story, lived: list[Day], hindsight: Hindsight = Hindsight(None, ())) -> Summary:  # noqa: B008
    return summarise(story, "holdout", lived, hindsight, minimum_users=30)


def test_recovery_is_measured_on_days_5_to_14_after_the_shift() -> None:
    lived = days(SHIFT, [0.10] * 7 + [0.02] * 4 + [0.08] * 10 + [0.02] * 14)
    assert (lived[11].number, lived[20].number) == (12, 21)
    result = summary(SHIFT, lived, Hindsight(0.09, ()))
    assert result.before == pytest.approx(0.10)
    assert result.recovered == pytest.approx(0.8)
    assert result.oracle == pytest.approx(0.9)


@pytest.mark.parametrize(
    ("changes", "settled"),
    [({}, 8), ({"shift_days": 15}, 22), ({"shift_back_on": 13}, 13), ({"shift_on": 0}, 0)],
)
def test_tastes_settle_when_they_have_moved_or_are_back(changes: dict[str, int], settled: int) -> None:
    assert replace(SHIFT, **changes).settled_on == settled


def test_bad_days_are_judged_days_from_the_shift_on_below_popular_tracks() -> None:
    lived = days(SHIFT, [0.01] + [0.10] * 6 + [0.044, 0.044, 0.046] + [0.10] * 25)
    assert summary(SHIFT, lived).bad_days == 2
    lived[8] = replace(lived[8], users=29)
    assert summary(SHIFT, lived).bad_days == 1


def test_decisions_trainings_and_alerts_are_counted() -> None:
    lived = days(SHIFT, [0.1] * 35)
    lived[9] = replace(lived[9], trigger="drift", decisions="promoted a", alert="drift", seconds=90.0)
    lived[10] = replace(lived[10], alert="drift, and worse")
    lived[12] = replace(lived[12], alert="worse", decisions="rolled_back b, fallback popularity")
    lived[15] = replace(lived[15], trigger="drift", decisions="rejected c", seconds=90.0)
    result = summary(SHIFT, lived)
    assert (result.promoted, result.rolled_back, result.fallbacks) == (1, 1, 1)
    assert result.trainings == {"drift": 2}
    assert result.alerts == 2
    assert result.seconds == 1.0


def test_a_promotion_is_wrong_if_the_former_champion_would_have_scored_more() -> None:
    quiet = Story(days=60)
    result = summary(quiet, days(quiet, [0.1] * 60), Hindsight(None, (0.01, -0.002, 0.0)))
    assert (result.judged_promotions, result.wrong_promotions) == (3, 1)
    assert result.mean_gain == pytest.approx(0.008 / 3)
    assert result.before == pytest.approx(0.1)
    assert (result.bad_days, result.recovered, result.oracle) == (0, None, None)


def test_versions_are_pooled_by_their_users() -> None:
    both = pd.DataFrame(
        {"users": [300, 100], "ndcg_at_10": [0.10, 0.02], "popularity_ndcg_at_10": [0.03, 0.07]}
    )
    result = pooled(both)
    assert result.users == 400
    assert result.ndcg_at_10 == pytest.approx(0.08)
    assert result.popularity_ndcg_at_10 == pytest.approx(0.04)
    assert pooled(both[:0]).users == 0


def test_the_first_day_follows_the_history() -> None:
    assert SHIFT.day(1) == START + timedelta(days=SHIFT.history)


def test_a_scenario_shifts_each_world_on_every_day_given() -> None:
    world = Story(seed=3)
    assert [story.shift_on for story in stories_of("shift", world, [8, 12])] == [8, 12]
    slow, back = stories_of("slow", world, [8])[0], stories_of("back", world, [8])[0]
    assert (slow.shift_days, slow.world().taste_shift_days, back.shift_back_on) == (15, 15, 13)
    (quiet,) = stories_of("quiet", world, [8, 12])
    assert (quiet.days, quiet.world().taste_shift_on) == (60, None)
    assert len({story.name for story in (slow, back, quiet)}) == 3
