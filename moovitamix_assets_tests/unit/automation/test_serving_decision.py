"""Which version serves: by days in shadow, and by lost and won days against popular tracks."""

from dataclasses import replace

import pytest

from foundation.models import promotions
from foundation.models.decisions import POPULARITY, Challenger, Fallback, Standing
from foundation.models.gate import Decision
from moovitamix_assets.automation.evidence import DayQuality
from moovitamix_assets.automation.serving_decision import ServingDecision, apply, decide_serving
from moovitamix_assets.settings import Settings
from moovitamix_assets.warehouse.connection import write_warehouse
from moovitamix_assets_tests.unit.automation.served_days import FIRST, SECOND, day, evidence

SERVES = Standing(FIRST, serving_since=day(1))
CHALLENGED = replace(SERVES, challenger=Challenger(SECOND, day(15)))
FELL_BACK = Fallback(day(15), 7, day(14))
DURING = Standing(FIRST, None, FELL_BACK, FELL_BACK, day(15))
ERROR = 0.002


def decided(
    today: int, standing: Standing = CHALLENGED, settings: Settings | None = None, **known
) -> ServingDecision:
    settings = settings or Settings()
    return decide_serving(
        evidence(today, standing=standing, **known),
        settings.promotion,
        settings.retraining,
        settings.monitoring,
    )


def shadow(
    *numbers: int, ndcg: float = 0.08, served: float = 0.08, users: int = 300, version: str = SECOND, **more
):
    """Days of a version in shadow, against what was served."""
    return tuple(
        DayQuality(
            day(number), version, users, ndcg, 0.03, ERROR, {30: 0.03, 7: 0.03, 3: 0.03}, served, ERROR
        )
        for number in numbers
    )


def served(*numbers: int, gain: float, by_days=None, users: int = 300, error: float | None = ERROR):
    """Days of the champion against popular tracks that earn 0.05."""
    return tuple(
        DayQuality(
            day(number), FIRST, users, 0.05 + gain, 0.05, error, by_days or {30: 0.05, 7: 0.05, 3: 0.05}
        )
        for number in numbers
    )


# The challenger


def test_a_clearly_better_challenger_is_promoted():
    decision = decided(17, challenger_quality=shadow(16, 17, ndcg=0.1))
    assert (decision.action, decision.model_version, decision.day) == ("promote", SECOND, day(17))
    assert decision.reason.startswith(
        f"Clearly better in shadow: ndcg_at_10 0.1000 against 0.0800 of {FIRST} on 1 "
    )
    assert decision.metrics["low"] > 0


def test_a_clearly_worse_challenger_is_rejected_at_once():
    decision = decided(17, challenger_quality=shadow(16, 17, ndcg=0.06))
    assert (decision.action, decision.model_version) == ("reject", SECOND)
    assert decision.reason.startswith("Clearly worse in shadow")


@pytest.mark.parametrize(("today", "action"), [(16, None), (21, None), (22, "reject"), (30, "reject")])
def test_one_that_is_as_good_waits_and_is_rejected_after_its_days(today, action):
    decision = decided(today, challenger_quality=shadow(*range(16, today + 1)))
    assert decision.action == action
    said = (
        "Not clearly better after 7 days in shadow"
        if action
        else f"stays in shadow until {day(22)} at the latest"
    )
    assert said in decision.reason


def test_one_that_was_never_measured_is_rejected_in_the_end():
    assert decided(21).action is None
    assert f"{SECOND} was not measured against {FIRST} yet" in decided(21).reason
    assert decided(22).action == "reject"


def test_only_days_of_recommendations_made_in_shadow_against_what_serves_now_count():
    better = shadow(14, 15, ndcg=0.1)
    assert decided(16, challenger_quality=better).action is None
    changed = replace(CHALLENGED, serving_since=day(17))
    assert decided(17, changed, challenger_quality=shadow(16, 17, ndcg=0.1)).action is None
    assert decided(18, changed, challenger_quality=shadow(16, 17, 18, ndcg=0.1)).action == "promote"


def test_days_with_few_users_and_days_to_come_do_not_count():
    assert decided(17, challenger_quality=shadow(16, 17, ndcg=0.2, users=29)).action is None
    assert decided(17, challenger_quality=shadow(18, 19, ndcg=0.2)).action is None


# The champion


def test_a_champion_that_clearly_loses_on_both_days_gives_way_to_popular_tracks():
    decision = decided(20, SERVES, quality=served(18, gain=0.02) + served(19, 20, gain=-0.02))
    assert (decision.action, decision.model_version, decision.worse_since) == ("fall_back", FIRST, day(19))
    assert decision.popularity_days == 30
    assert decision.metrics == {"gain": pytest.approx(-0.02), "standard_error": pytest.approx(ERROR / 2**0.5)}


@pytest.mark.parametrize(
    "quality",
    [
        served(20, gain=-0.02),
        served(19, gain=0.0001) + served(20, gain=-0.04),
        served(19, 20, gain=-0.003),
        served(19, 20, gain=-0.02, error=None),
        served(19, 20, gain=-0.02, error=float("nan")),
        served(19, 20, gain=-0.02, users=29),
    ],
    ids=["one day", "one won", "unclear", "errors unknown", "no errors", "few users"],
)
def test_anything_less_is_no_reason_to_fall_back(quality):
    assert decided(20, SERVES, quality=quality).action is None


def test_days_before_the_version_that_serves_did_are_not_held_against_it():
    lost = served(19, 20, 21, gain=-0.02)
    assert decided(21, replace(SERVES, serving_since=day(20)), quality=lost).action is None
    assert decided(21, replace(SERVES, serving_since=day(19)), quality=lost).action == "fall_back"


def test_the_popular_tracks_that_earned_most_over_all_users_serve():
    quality = served(19, gain=-0.02, by_days={30: 0.05, 7: 0.09, 3: 0.06}, users=100)
    quality += served(20, gain=-0.02, by_days={30: 0.05, 7: 0.05, 3: 0.08}, users=300)
    decision = decided(20, SERVES, quality=quality)
    assert decision.popularity_days == 3
    assert "Those of the last 3 days serve instead." in decision.reason


@pytest.mark.parametrize("setting", [{"automatic_retraining": False}, {"fallback_days": 0}])
def test_switched_off_nothing_falls_back_or_returns(setting):
    settings = Settings(**setting)
    assert decided(20, SERVES, settings, quality=served(19, 20, gain=-0.02)).action is None
    assert decided(17, DURING, settings, quality=shadow(16, 17, ndcg=0.1, version=FIRST)).action is None


def test_switched_off_a_challenger_stays_where_it_is():
    settings = Settings(automatic_retraining=False)
    assert decided(30, settings=settings, challenger_quality=shadow(16, 17, ndcg=0.1)).action is None


def test_more_days_may_be_asked_for():
    settings = Settings(fallback_days=3)
    assert decided(20, SERVES, settings, quality=served(19, 20, gain=-0.02)).action is None
    assert decided(20, SERVES, settings, quality=served(18, 19, 20, gain=-0.02)).action == "fall_back"


# During a fallback


def test_a_champion_that_clearly_wins_again_on_both_days_returns():
    decision = decided(17, DURING, quality=shadow(16, 17, ndcg=0.1, version=FIRST))
    assert (decision.action, decision.model_version) == ("return", FIRST)
    assert decision.reason.startswith("Clearly better than popular tracks again")


@pytest.mark.parametrize(
    "quality",
    [
        shadow(17, ndcg=0.1, version=FIRST),
        shadow(15, 16, ndcg=0.1, version=FIRST),  # the first day is one that it served
        shadow(16, ndcg=0.08, version=FIRST) + shadow(17, ndcg=0.1, version=FIRST),
        shadow(16, 17, ndcg=0.082, version=FIRST),
    ],
)
def test_anything_less_is_no_reason_to_return(quality):
    assert decided(17, DURING, quality=quality).action is None


def test_a_fallback_does_not_begin_again():
    lost = shadow(16, 17, ndcg=0.01, version=FIRST)
    assert decided(17, DURING, quality=lost).action is None


def test_a_challenger_that_beats_popular_tracks_is_promoted_before_the_champion_returns():
    both = replace(DURING, challenger=Challenger(SECOND, day(15)))
    won = {"quality": shadow(16, 17, ndcg=0.1, version=FIRST), "challenger_quality": shadow(16, 17, ndcg=0.1)}
    assert decided(17, both, **won).model_version == SECOND


def test_before_the_first_champion_only_a_challenger_is_decided_about():
    first = Standing(None, Challenger(SECOND, day(15)))
    assert decided(16, Standing()).action is None
    assert decided(17, first, challenger_quality=shadow(16, 17, ndcg=0.1)).action == "promote"


# What is recorded


@pytest.fixture
def connection(tmp_path):
    with write_warehouse(tmp_path / "warehouse.duckdb") as connection:
        promotions.record(connection, FIRST, day(1), Decision("promoted", "Better."), {})
        promotions.record(connection, SECOND, day(15), Decision("shadow", "Unclear."), {})
        yield connection


@pytest.mark.parametrize(
    ("action", "serving", "shadows"),
    [("promote", SECOND, ()), ("reject", FIRST, ()), ("fall_back", POPULARITY, (FIRST, SECOND))],
)
def test_a_decision_holds_from_its_day_on(connection, action, serving, shadows):
    about = FIRST if action == "fall_back" else SECOND
    apply(connection, ServingDecision(action, day(18), about, "Why.", 7, day(17), {"gain": 0.1}))
    now = promotions.standing(connection, day(18))
    assert (now.serving, now.shadows) == (serving, shadows)
    assert promotions.standing(connection, day(17)) == replace(CHALLENGED, serving_since=day(1))
    last = promotions.last_decision(connection, day(18))
    assert (last.reason, last.previous_version) == ("Why.", FIRST)


def test_a_return_ends_the_fallback_and_leaves_the_challenger(connection):
    apply(connection, ServingDecision("fall_back", day(16), FIRST, "Lost.", 7, day(15)))
    apply(connection, ServingDecision("return", day(18), FIRST, "Won."))
    now = promotions.standing(connection, day(18))
    assert (now.serving, now.shadows, now.last_fallback) == (FIRST, (SECOND,), Fallback(day(16), 7, day(15)))
