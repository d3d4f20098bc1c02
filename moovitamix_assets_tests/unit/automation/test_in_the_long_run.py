"""What must hold however the days go: long random stories, in which the service does what was decided."""

import random
from dataclasses import replace
from datetime import timedelta
from itertools import pairwise

from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from moovitamix_assets.automation.evidence import DayDrift, DayQuality, Training
from moovitamix_assets.automation.retraining import decide_retraining
from moovitamix_assets.automation.rollback import decide_rollback
from moovitamix_assets.settings import Settings
from moovitamix_assets_tests.unit.automation.served_world import Decided, Phase, ServedWorld

phases = st.builds(
    Phase,
    days=st.integers(1, 25),
    ndcg=st.sampled_from([0.02, 0.05, 0.08]),
    drift=st.sampled_from([0.05, 0.145, 0.15, 0.3]),
    users=st.sampled_from([300, 300, 300, 10]),
    ask_share=st.sampled_from([0.0, 0.0, 0.1, 1.0]),
    switched_on=st.sampled_from([True, True, True, False]),
    outcome=st.sampled_from(["promoted", "promoted", "rejected", "failed"]),
    days_under_way=st.sampled_from([0, 0, 1, 4]),
    worth=st.sampled_from([1.0, 1.0, 0.9, 0.4]),
)
thresholds = st.builds(
    lambda **values: Settings(**values),
    retraining_cooldown_days=st.sampled_from([1, 2, 3, 5]),
    retraining_longest_wait_days=st.sampled_from([3, 14, 28]),
    retraining_budget=st.sampled_from([1, 3, 8]),
    retraining_age_days=st.sampled_from([7, 7, 100]),
    retraining_days_in_a_row=st.sampled_from([1, 3]),
)
stories = given(st.lists(phases, min_size=1, max_size=8), thresholds, st.integers(0, 9999))
long_run = hypothesis_settings(max_examples=25, deadline=None)


def lived(story: list[Phase], settings: Settings, seed: int) -> list[Decided]:
    return list(ServedWorld(settings, random.Random(seed)).live(story))


@long_run
@stories
def test_trainings_are_bounded(story, settings, seed):
    begun = [past for past in lived(story, settings, seed) if past.begun]
    days = [past.evidence.day for past in begun]
    assert all(
        (later - day).days >= settings.retraining.retraining_cooldown_days for day, later in pairwise(days)
    )
    for day in days:
        within = [other for other in days if timedelta(0) <= other - day < timedelta(days=30)]
        assert len(within) <= settings.retraining.retraining_budget
    for past in begun:
        assert all(training.outcome != "under_way" for training in past.evidence.trainings)


@long_run
@stories
def test_the_wait_doubles_with_each_training_in_vain(story, settings, seed):
    for past in lived(story, settings, seed):
        known = past.evidence.trainings
        if not past.retraining.retrain or not known:
            continue
        in_vain = 0
        while in_vain < len(known) and known[-1 - in_vain].outcome != "promoted":
            in_vain += 1
        wait = min(
            settings.retraining.retraining_cooldown_days * 2**in_vain,
            settings.retraining.retraining_longest_wait_days,
        )
        assert (past.evidence.day - known[-1].day).days >= wait


@long_run
@stories
def test_a_rollback_returns_once_and_to_what_served(story, settings, seed):
    in_force, taken_back = set(), set()
    for past in lived(story, settings, seed):
        champion = past.evidence.champion
        in_force |= {champion.model_version} if champion else set()
        if past.rollback.roll_back:
            assert past.rollback.model_version == champion.model_version
            assert past.rollback.to in past.evidence.recommending_versions & in_force - {
                champion.model_version
            }
            assert champion.activated_by == "promoted"
            assert champion.model_version not in taken_back
            taken_back.add(champion.model_version)
        else:
            assert past.rollback.to is None


@long_run
@stories
def test_with_the_switch_off_only_a_user_can_ask(story, settings, seed):
    for past in lived(story, settings, seed):
        if not past.settings.retraining.automatic_retraining:
            assert past.retraining.trigger in (None, "requested")
            assert not past.rollback.roll_back


@long_run
@stories
def test_drift_asks_again_after_a_clear_day_only(story, settings, seed):
    for past in lived(story, settings, seed):
        known = past.evidence
        answers = [training.day for training in known.trainings if training.outcome == "promoted"]
        if past.retraining.trigger != "drift" or not answers:
            continue
        before = [day for day in known.drift if day.day <= answers[-1]]
        since = [day for day in known.drift if day.day > answers[-1]]

        def is_clear(day: DayDrift) -> bool:
            return day.value < settings.retraining.retraining_rearm_share * day.threshold

        going_on = False
        for day in before:
            going_on = not is_clear(day) and (going_on or day.drifted)
        assert not going_on or any(map(is_clear, since))


@long_run
@stories
def test_a_decision_follows_from_what_is_known_on_its_day(story, settings, seed):
    later = timedelta(days=1)
    for past in lived(story, settings, seed)[::5]:
        known, version = past.evidence, "2026-09-01-00000000"
        told_more = replace(
            known,
            quality=(*known.quality, DayQuality(known.day + later, version, 300, 0.0, 1.0)),
            drift=(*known.drift, DayDrift(known.day + later, "other", 9.0, 1.0, True)),
            trainings=(*known.trainings, Training(known.day + later, "under_way")),
        )
        decided = [
            (
                decide_retraining(evidence, past.settings.retraining, past.settings.monitoring),
                decide_rollback(evidence, past.settings.retraining, past.settings.monitoring),
            )
            for evidence in (known, known, told_more)
        ]
        assert decided[0] == decided[1] == decided[2]
        for decision in decided[0]:
            assert decision.reason.endswith(".")
            assert "nan" not in decision.reason
        assert decided[0][0].day == decided[0][1].day == known.day
        assert (decided[0][0].trigger is not None) is decided[0][0].retrain


def test_the_stories_tell_of_everything():
    """What is never reached is not tested: each trigger, a rollback, and a return from it."""
    reached = set()
    for seed in range(12):
        chance = random.Random(seed)
        story = [
            Phase(
                chance.randint(1, 25),
                chance.choice([0.02, 0.05, 0.08]),
                chance.choice([0.05, 0.145, 0.15, 0.3]),
                300,
                chance.choice([0.0, 0.1]),
                True,
                chance.choice(["promoted", "promoted", "rejected", "failed"]),
                chance.choice([0, 1, 4]),
                chance.choice([1.0, 0.9, 0.4]),
            )
            for _ in range(8)
        ]
        for past in lived(story, Settings(retraining_age_days=chance.choice([7, 100])), seed):
            reached.add(past.retraining.trigger)
            reached.add("rollback" if past.rollback.roll_back else None)
            reached |= {training.outcome for training in past.evidence.trainings}
    assert reached >= {
        "requested",
        "degraded",
        "drift",
        "age",
        "no champion",
        "rollback",
        "rolled_back",
        "under_way",
    }
