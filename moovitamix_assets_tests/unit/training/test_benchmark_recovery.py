"""The figures of replayed worlds, computed from made-up days."""

from collections.abc import Iterable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import sparse

from benchmarks.recovery.days import Day, served
from benchmarks.recovery.hindsight import Gain, Hindsight, ndcg_at_10, pooled
from benchmarks.recovery.loaded_world import load_world, settings_of
from benchmarks.recovery.story import START, Story, stories_of
from benchmarks.recovery.summary import Summary, summarise
from moovitamix_assets.training.evaluation.offline import ndcg_per_user
from moovitamix_assets.warehouse.connection import read_warehouse

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
    gains = (Gain("a", False, -0.002), Gain("b", True, 0.01), Gain("c", True, 0.0), Gain("d", True, -0.001))
    result = summary(quiet, days(quiet, [0.1] * 60), Hindsight(None, gains))
    assert (result.judged, result.wrong, result.judged_shadow, result.wrong_shadow) == (4, 2, 3, 1)
    assert result.mean_gain == pytest.approx(0.007 / 4)
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


@pytest.mark.parametrize(
    ("roles", "got"),
    [
        (["champion", "champion", "challenger"], ["a", "popularity"]),
        (["champion", "fallback", "challenger"], ["popularity"]),
    ],
)
def test_users_get_what_is_not_in_shadow(roles: list[str], got: list[str]) -> None:
    quality = pd.DataFrame({"model_version": ["a", "popularity", "b"], "role": roles})
    assert list(served(quality)["model_version"]) == got


def test_ndcg_in_hindsight_is_that_of_the_product() -> None:
    rng = np.random.default_rng(5)
    ranked = np.array([rng.permutation(40)[:20] for _ in range(30)], np.int32)
    relevant = sparse.csr_matrix(rng.random((30, 40)) < 0.2)
    new = pd.DataFrame(np.argwhere(relevant.toarray()), columns=["user_id", "track_id"])
    recommended = pd.DataFrame(
        {
            "user_id": np.repeat(np.arange(30), 20),
            "rank": np.tile(np.arange(1, 21), 30),
            "track_id": ranked.ravel(),
        }
    )
    expected = pd.Series(ndcg_per_user(ranked, relevant)).dropna()
    # Who got no recommendations, or played nothing new, is not measured.
    others = pd.concat([new, pd.DataFrame({"user_id": [99], "track_id": [1]})])
    pd.testing.assert_series_equal(ndcg_at_10(recommended, others), expected, check_names=False)


def test_later_days_change_nothing_of_earlier_ones(tmp_path: Path) -> None:
    short = Story(users=60, tracks=80, sessions_a_day=40, history=5, days=3)
    tables = []
    for story in (short, replace(short, days=10)):
        with read_warehouse(settings_of(load_world(story, tmp_path)).warehouse_path) as connection:
            tables.append(
                [
                    connection.execute(
                        f"SELECT * EXCLUDE loaded_at FROM {table} WHERE changed_on <= ? ORDER BY ALL",
                        [short.day(short.days)],
                    ).fetchall()
                    for table in ("users", "tracks", "listens")
                ]
            )
    assert tables[0] == tables[1]
    assert len(tables[0][0]) >= 60


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
