"""The limits on trainings: the cool-down, the budget, the challenger in shadow, a training under way.

Pure functions from evidence to an obstacle, in words. Why a training is due is decided in `retraining.py`.
"""

from collections.abc import Sequence
from datetime import date, timedelta
from itertools import takewhile

from foundation.counting import counted
from moovitamix_assets.automation.evidence import Evidence, Training
from moovitamix_assets.setting_groups import RetrainingSettings

_BUDGET_DAYS = 30


def obstacle_to_training(known: Evidence, retraining: RetrainingSettings, *, recovers: bool) -> str | None:
    """Why no training may be started automatically on a day, and until when; None if one may.

    Recovering from a change of tastes, candidates that know more replace the one in shadow, without growing waits.
    """
    day, trainings = known.day, known.trainings
    if under_way := _under_way(trainings):
        return under_way
    if not trainings:
        return None
    challenger = known.standing.challenger
    if challenger is not None and retraining.automatic_retraining and not recovers:
        return (
            f"it waits for the decision about {challenger.model_version}, in shadow since {challenger.since}"
        )
    unpromoted = len(list(takewhile(lambda past: past.outcome != "promoted", reversed(trainings))))
    unpromoted = 0 if recovers else unpromoted
    cooldown = retraining.retraining_cooldown_days
    # A longest wait below the cool-down never shortens it.
    wait = max(cooldown, min(cooldown * 2**unpromoted, retraining.retraining_longest_wait_days))
    rested = trainings[-1].day + timedelta(days=wait)
    if day < rested:
        suffix = f", {unpromoted} in a row not promoted" if unpromoted else ""
        return f"it waits until {rested}, {counted(wait, 'day')} after the training of {trainings[-1].day}{suffix}"
    return _budget_used_up(day, trainings, retraining)


def obstacle_to_training_now(evidence: Evidence, retraining: RetrainingSettings) -> str | None:
    """Why a user cannot have a candidate of the evidence's day trained at once, a clause; None if one can.

    The cool-down bounds what is started automatically and does not matter here; the budget does.
    """
    known = evidence.judged(0)
    if known.nothing_to_learn:
        return known.nothing_to_learn
    last = known.trainings[-1] if known.trainings else None
    if last and last.day == known.day and last.outcome not in ("failed", "under_way"):
        return (
            f"the candidate of {known.day} was trained and decided about already; the next one can be trained once "
            f"the nightly run of {known.day + timedelta(days=1)} is done"
        )
    return _under_way(known.trainings) or _budget_used_up(known.day, known.trainings, retraining)


def _under_way(trainings: Sequence[Training]) -> str | None:
    under_way = [past.day for past in trainings if past.outcome == "under_way"]
    return f"the training of {under_way[-1]} is under way" if under_way else None


def _budget_used_up(day: date, trainings: Sequence[Training], retraining: RetrainingSettings) -> str | None:
    recent = [past.day for past in trainings if past.day > day - timedelta(days=_BUDGET_DAYS)]
    if len(recent) >= retraining.retraining_budget:
        free = recent[-retraining.retraining_budget] + timedelta(days=_BUDGET_DAYS)
        return (
            f"it waits until {free}, as the {retraining.retraining_budget} trainings "
            f"allowed in {_BUDGET_DAYS} days are used up"
        )
    return None
