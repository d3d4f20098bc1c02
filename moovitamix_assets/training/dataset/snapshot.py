"""The training set of a day, read from the warehouse: what was known as of the day, counted up to each cutoff.

Which days are held out, and which columns count the plays before them, belongs here. The SQL is in
`warehouse/as_of.py`; the files are in `training_set.py` and `training_set_store.py`.
"""

from dataclasses import dataclass
from datetime import date, timedelta

import duckdb

from foundation.counting import counted
from foundation.errors import Explained
from foundation.models.promotions import standing
from moovitamix_assets.setting_groups import TrainingSettings
from moovitamix_assets.training.dataset import columns
from moovitamix_assets.training.dataset.reference_profile import REFERENCE_DAYS, profile
from moovitamix_assets.training.dataset.training_set import TrainingSet
from moovitamix_assets.warehouse.as_of import (
    anything_played_before,
    interactions_as_of,
    listens_changed,
    tracks_as_of,
    users_as_of,
)

_CHANGE_MATTERS_DAYS = 60
"""After so many days there are as many plays since a change as time decay would leave of those before."""


class NothingToLearn(Explained):
    """No candidate of a day can be trained; the message says why, and the remedy."""


@dataclass(frozen=True)
class HeldOutDays:
    """The days of a training set that models are tested on.

    Attributes:
        holdout_from: The first hold-out day; the last one is the day of the set.
        validation_from: The first validation day; the last one is the day before the hold-out days.
        choices_on_holdout: Whether choices are made on the hold-out days, as there are too few days for both.
    """

    holdout_from: date
    validation_from: date
    choices_on_holdout: bool = False


def held_out_days(as_of: date, settings: TrainingSettings, changed_on: date | None = None) -> HeldOutDays:
    """Return the days that a training set of `as_of` holds out; the settings say how many.

    Soon after tastes changed, the usual days would hold out everything known about the new ones. A third of the days
    since the change is then enough for each, so that as many are left to learn from.

    Args:
        as_of: The day of the set.
        settings: The usual numbers of days.
        changed_on: The first day after which older plays say little about newer ones; None if there is none.
    """
    holdout_days, validation_days, few = settings.holdout_days, settings.validation_days, False
    if changed_on is not None:
        since = (as_of - changed_on).days + 1
        third = max(1, since // 3)
        holdout_days, validation_days = min(holdout_days, third), min(validation_days, third)
        few = since < 3
    holdout_from = as_of + timedelta(days=1 - holdout_days)
    return HeldOutDays(holdout_from, holdout_from - timedelta(days=validation_days), few)


def tastes_changed_on(connection: duckdb.DuckDBPyConnection, as_of: date) -> date | None:
    """The day on which tastes changed lately, as of a day; None if they did not.

    Recommendations that suddenly earn less than popular tracks are the evidence: the first such day of the last
    fallback.
    """
    last = standing(connection, as_of).last_fallback
    if last is None or (as_of - last.worse_since).days >= _CHANGE_MATTERS_DAYS:
        return None
    return last.worse_since


def nothing_to_learn(
    connection: duckdb.DuckDBPyConnection, as_of: date, settings: TrainingSettings
) -> str | None:
    """The reason why no candidate of a day can be trained and measured, a clause; None if one can.

    Args:
        connection: The warehouse; read-only is enough.
        as_of: The day.
        settings: The number of hold-out days.
    """
    holdout_from = held_out_days(as_of, settings).holdout_from
    if anything_played_before(connection, as_of, holdout_from):
        return None
    return (
        f"nothing was played before {holdout_from}, the first of the "
        f"{counted(settings.holdout_days, 'day')} on which a candidate of {as_of} would be measured (holdout_days)"
    )


def require_plays(connection: duckdb.DuckDBPyConnection, as_of: date, settings: TrainingSettings) -> None:
    """Refuse a training set that no model can learn from; arguments as for `nothing_to_learn`.

    Raises:
        NothingToLearn: If it is one.
    """
    if reason := nothing_to_learn(connection, as_of, settings):
        raise NothingToLearn(
            f"No candidate of {as_of} can be trained: {reason}. Train as of a later day, load earlier days, or set "
            "MOOVITAMIX_HOLDOUT_DAYS to fewer days."
        )


def take_snapshot(
    connection: duckdb.DuckDBPyConnection,
    as_of: date,
    settings: TrainingSettings,
    changed_on: date | None = None,
) -> TrainingSet:
    """Read the training set of a day.

    Args:
        connection: The warehouse.
        as_of: The last day that is included.
        settings: The numbers of hold-out and validation days.
        changed_on: The day on which tastes changed, if they did lately.
    """
    held_out = held_out_days(as_of, settings, changed_on)
    users = users_as_of(connection, as_of)
    tracks = tracks_as_of(
        connection,
        as_of,
        {
            columns.PLAYS_LAST_30_DAYS_BEFORE_HOLDOUT: held_out.holdout_from,
            columns.PLAYS_LAST_30_DAYS_BEFORE_VALIDATION: held_out.validation_from,
        },
    )
    interactions = interactions_as_of(
        connection,
        as_of,
        {
            columns.PLAYS_BEFORE_HOLDOUT: held_out.holdout_from,
            columns.PLAYS_BEFORE_VALIDATION: held_out.validation_from,
            **({columns.PLAYS_BEFORE_CHANGE: changed_on} if changed_on else {}),
        },
        decayed_cuts={
            columns.DECAYED_PLAYS: as_of + timedelta(days=1),
            columns.DECAYED_PLAYS_BEFORE_HOLDOUT: held_out.holdout_from,
            columns.DECAYED_PLAYS_BEFORE_VALIDATION: held_out.validation_from,
        },
    )
    last_week = listens_changed(connection, as_of - timedelta(days=REFERENCE_DAYS - 1), as_of)
    return TrainingSet(
        as_of=as_of,
        users=users,
        tracks=tracks,
        interactions=interactions,
        reference=profile(last_week, users, tracks, popularity=tracks),
        changed_on=changed_on,
    )
