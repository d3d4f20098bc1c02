"""The evidence for decisions about retraining and rollback: the days served so far, read from the warehouse.

The decisions are in `retraining.py` and `rollback.py`; runs are read from Dagster's storage in `training_records.py`.
All time here is partition time, so that a replay of the same days decides as the live service did.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from typing import Literal

import duckdb

from foundation.models.decisions import Champion, Standing
from foundation.models.promotions import candidate_outcomes, current_champion, standing
from moovitamix_assets.warehouse.recommended_days import newest_recommended_day

_DAYS_READ = 60

TrainingOutcome = Literal["promoted", "rejected", "shadow", "rolled_back", "failed", "under_way"]


@dataclass(frozen=True)
class DayQuality:
    """The quality of one version's recommendations on a day, over all measured users.

    Attributes:
        day: The day.
        model_version: The version.
        users: Users measured.
        ndcg_at_10: Their mean.
        popularity_ndcg_at_10: The same of popular tracks, for the same users.
        gain_standard_error: Standard error of `gain`; None where an older version did not store it.
        popularity_by_days: The same of popular tracks, by the days whose plays make them popular.
        served_ndcg_at_10: The same of the recommendations that these users were served.
        served_gain_standard_error: Standard error of the difference from that.
    """

    day: date
    model_version: str
    users: int
    ndcg_at_10: float
    popularity_ndcg_at_10: float
    gain_standard_error: float | None = None
    popularity_by_days: Mapping[int, float] = field(default_factory=dict)
    served_ndcg_at_10: float | None = None
    served_gain_standard_error: float | None = None

    @property
    def gain(self) -> float:
        """The gain over popular tracks, for the same users on the same day."""
        return self.ndcg_at_10 - self.popularity_ndcg_at_10


@dataclass(frozen=True)
class DayDrift:
    """The feature that moved furthest on a day, measured in multiples of its threshold."""

    day: date
    feature: str
    value: float
    threshold: float
    drifted: bool


@dataclass(frozen=True)
class Training:
    """A training as of a day, and its outcome."""

    day: date
    outcome: TrainingOutcome


@dataclass(frozen=True)
class Evidence:
    """Everything that a decision may use; what lies after `day` is ignored.

    Attributes:
        day: The newest day for which recommendations exist.
        champion: The champion on that day.
        quality: Of champions, ascending; of the last 60 days, and all of the champion's, since its first are its
            reference.
        drift: Ascending; the days of the last 60 on which drift was computed.
        trainings: Ascending, one per day.
        requested_on: The newest day for which a user requested a retraining; one after `day` is only reported.
        recommending_versions: Versions that ever made recommendations.
        nothing_to_learn: Why no candidate of `day` can be trained, a clause; None if one can.
        standing: The version that serves, and those in shadow.
        challenger_quality: Of the challenger in shadow, ascending.
    """

    day: date
    champion: Champion | None
    quality: tuple[DayQuality, ...]
    drift: tuple[DayDrift, ...]
    trainings: tuple[Training, ...]
    requested_on: date | None = None
    recommending_versions: frozenset[str] = frozenset()
    nothing_to_learn: str | None = None
    standing: Standing = field(default_factory=Standing)
    challenger_quality: tuple[DayQuality, ...] = ()

    def judged(self, minimum_users: int) -> "Evidence":
        """A copy without what lies after `day`, and without days on which too few users were measured."""

        def kept(days: Iterable[DayQuality]) -> tuple[DayQuality, ...]:
            return tuple(past for past in days if past.day <= self.day and past.users >= minimum_users)

        return replace(
            self,
            quality=kept(self.quality),
            challenger_quality=kept(self.challenger_quality),
            drift=tuple(past for past in self.drift if past.day <= self.day),
            trainings=tuple(past for past in self.trainings if past.day <= self.day),
        )

    def quality_of(self, model_version: str) -> tuple[DayQuality, ...]:
        """The days of one version, ascending."""
        return tuple(past for past in self.quality if past.model_version == model_version)


def read_evidence(
    connection: duckdb.DuckDBPyConnection,
    runs: Sequence[Training] = (),
    requested_on: date | None = None,
    until: date = date.max,
) -> Evidence | None:
    """Read what is known on the newest day for which recommendations exist; None while there are none.

    Args:
        connection: The warehouse; read-only is enough.
        runs: Trainings that Dagster's run storage knows of, the newest run first, as it returns them.
        requested_on: The newest day for which a user requested a retraining.
        until: The newest day that has ended; later ones, from a clock that was ahead, are ignored.
    """
    day = newest_recommended_day(connection, until)
    if day is None:
        return None
    champion = current_champion(connection, day)
    versions = standing(connection, day)
    decided = [Training(as_of, outcome) for as_of, outcome in candidate_outcomes(connection, day)]
    challenger = versions.challenger.model_version if versions.challenger else None
    return Evidence(
        day=day,
        champion=champion,
        standing=versions,
        quality=_quality(connection, day, "champion", champion.model_version if champion else ""),
        challenger_quality=tuple(
            past for past in _quality(connection, day, "challenger", "") if past.model_version == challenger
        ),
        drift=_drift(connection, day),
        trainings=_trainings(decided, [run for run in runs if run.day <= day]),
        requested_on=requested_on,
        recommending_versions=_recommending_versions(connection, day),
    )


def _quality(
    connection: duckdb.DuckDBPyConnection, day: date, role: str, always: str
) -> tuple[DayQuality, ...]:
    # Of an older version, which measured champions alone, rows may have no role.
    rows = connection.execute(
        """SELECT day, model_version, users, ndcg_at_10, popularity_ndcg_at_10, popularity_gain_standard_error,
               popularity_3_days_ndcg_at_10, popularity_7_days_ndcg_at_10, served_ndcg_at_10,
               served_gain_standard_error
           FROM recommendation_quality
           WHERE segment = 'all' AND model_version <> 'popularity' AND coalesce(role, 'champion') = ?
             AND day <= ? AND (day > ? OR model_version = ?)
           ORDER BY day, model_version""",
        [role, day, day - timedelta(days=_DAYS_READ), always],
    ).fetchall()
    return tuple(_day_quality(*row) for row in rows)


def _day_quality(
    day: date,
    model_version: str,
    users: int,
    ndcg: float,
    popularity: float,
    gain_error: float | None,
    three_days: float | None,
    seven_days: float | None,
    served: float | None,
    served_error: float | None,
) -> DayQuality:
    by_days = {30: popularity, 7: seven_days, 3: three_days}
    return DayQuality(
        day=day,
        model_version=model_version,
        users=users,
        ndcg_at_10=ndcg,
        popularity_ndcg_at_10=popularity,
        gain_standard_error=gain_error,
        popularity_by_days={days: earned for days, earned in by_days.items() if earned is not None},
        served_ndcg_at_10=served,
        served_gain_standard_error=served_error,
    )


def _drift(connection: duckdb.DuckDBPyConnection, day: date) -> tuple[DayDrift, ...]:
    rows = connection.execute(
        """SELECT day, feature, value, threshold, drifted FROM drift WHERE day <= ? AND day > ?
           QUALIFY row_number() OVER (
               PARTITION BY day ORDER BY drifted DESC, value / greatest(threshold, 1e-12) DESC, feature
           ) = 1 ORDER BY day""",
        [day, day - timedelta(days=_DAYS_READ)],
    ).fetchall()
    return tuple(DayDrift(*row) for row in rows)


def _trainings(decided: Iterable[Training], runs: Iterable[Training]) -> tuple[Training, ...]:
    """One per day: a decision wins over runs, a run under way over those that ended, else the newest."""
    by_day = {training.day: training for training in decided}
    for run in sorted(runs, key=lambda run: run.outcome != "under_way"):
        by_day.setdefault(run.day, run)
    return tuple(by_day[day] for day in sorted(by_day))


def _recommending_versions(connection: duckdb.DuckDBPyConnection, day: date) -> frozenset[str]:
    rows = connection.execute(
        """SELECT model_version FROM recommendations WHERE generated_for <= ? UNION
           SELECT model_version FROM recommendation_quality WHERE day <= ?""",
        [day, day],
    ).fetchall()
    return frozenset(row[0] for row in rows) - {"popularity"}
