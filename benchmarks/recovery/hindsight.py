"""The quality of models on days that are over, whether they served or not: questions that only a replay can answer.

Models recommend and are measured as in the product; the quality of what was served is read in `days.py`.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from statistics import fmean

import duckdb
import numpy as np
import pandas as pd

from benchmarks.recovery.story import Story
from foundation.models.decisions import POPULARITY
from foundation.models.promotions import all_decisions
from moovitamix_assets.recommendations.batch import read_known, recommend_users
from moovitamix_assets.settings import Settings
from moovitamix_assets.training.artifacts.recommender import Recommender
from moovitamix_assets.training.dataset.snapshot import take_snapshot
from moovitamix_assets.training.gate.candidate import train_candidate
from moovitamix_assets.training.gate.models import model_store
from moovitamix_assets.warehouse.as_of import first_played_on
from moovitamix_assets.warehouse.connection import read_warehouse

_DISCOUNTS = 1 / np.log2(np.arange(2, 12))
_ORACLE_LEARNS_DAYS = 14
_ORACLE_HELD_OUT = 4
"""Hold-out and validation days, fewer than usual: choices are made knowing six of the fourteen days, and so with the
time decay that the new tastes need."""
_ORACLE_MEASURED_DAYS = 10
_PROMOTION_JUDGED_DAYS = 7


@dataclass(frozen=True)
class Gain:
    """The true gain of a promotion.

    Attributes:
        model_version: The new champion.
        after_shadow: Whether it was in shadow before.
        ndcg_at_10: Its mean difference from the former champion over the seven days after, paired by user.
    """

    model_version: str
    after_shadow: bool
    ndcg_at_10: float


@dataclass(frozen=True)
class Hindsight:
    """Figures that need the days after the event.

    Attributes:
        oracle: Mean NDCG@10, on the ten days after its training, of a model that is trained once tastes have been
            settled for fourteen days; None where tastes never shift or no day follows.
        gains: Of each promotion in a world without shift.
    """

    oracle: float | None
    gains: tuple[Gain, ...]


@dataclass(frozen=True)
class DayQuality:
    """The quality of one day's recommendations over all users, however many versions made them."""

    users: int
    ndcg_at_10: float
    popularity_ndcg_at_10: float


def pooled(quality: pd.DataFrame) -> DayQuality:
    """Average over versions, weighted by users; NaN without users.

    Args:
        quality: Rows of `recommendation_quality` for one day and the segment `all`.
    """
    users = int(quality["users"].sum())
    if not users:
        return DayQuality(0, float("nan"), float("nan"))
    weights = quality["users"] / users
    return DayQuality(
        users,
        float((quality["ndcg_at_10"] * weights).sum()),
        float((quality["popularity_ndcg_at_10"] * weights).sum()),
    )


def in_hindsight(story: Story, settings: Settings) -> Hindsight:
    """Compute the figures of a story that was replayed to its end.

    Args:
        story: The story.
        settings: Of its data folder; the oracle's model is stored in a folder of its own there.
    """
    trained_on = story.settled_on + _ORACLE_LEARNS_DAYS - 1
    days = _days_after(story, trained_on, _ORACLE_MEASURED_DAYS)
    with read_warehouse(settings.warehouse_path) as connection:
        return Hindsight(
            _oracle(connection, settings, story.day(trained_on), days) if story.settled_on and days else None,
            () if story.shift_on else tuple(_gains(connection, story, settings)),
        )


def ndcg_at_10(recommended: pd.DataFrame, new: pd.DataFrame) -> "pd.Series[float]":
    """NDCG@10 of each user with recommendations who played something new, by user.

    Args:
        recommended: user_id, rank, track_id.
        new: user_id, track_id: what users played for the first time.
    """
    new = new[new["user_id"].isin(recommended["user_id"])]
    hits = recommended[recommended["rank"] <= len(_DISCOUNTS)].merge(new, on=["user_id", "track_id"])
    gains = pd.Series(_DISCOUNTS[hits["rank"] - 1]).groupby(hits["user_id"].to_numpy()).sum()
    relevant = new.groupby("user_id").size().clip(upper=len(_DISCOUNTS))
    return gains.reindex(relevant.index, fill_value=0.0) / np.cumsum(_DISCOUNTS)[relevant - 1]


def _oracle(
    connection: duckdb.DuckDBPyConnection, settings: Settings, as_of: date, days: Sequence[date]
) -> float:
    apart = settings.changed(
        data_dir=settings.data_dir / "oracle", holdout_days=_ORACLE_HELD_OUT, validation_days=_ORACLE_HELD_OUT
    )
    snapshot = take_snapshot(connection, as_of, apart.training)
    candidate = train_candidate(snapshot, apart, None, lambda done, total: None)
    model = model_store(apart.models_dir).load(candidate.model_version)
    return fmean(_quality(connection, [model], day, settings)[0].mean() for day in days)


def _gains(connection: duckdb.DuckDBPyConnection, story: Story, settings: Settings) -> Iterator[Gain]:
    decisions = all_decisions(connection)
    tried = set(decisions["model_version"][decisions["decision"] == "shadow"])
    for row in decisions[decisions["decision"] == "promoted"].to_dict("records"):
        version, former = row["model_version"], row["previous_version"]
        number = (row["as_of"].date() - story.day(0)).days
        days = _days_after(story, number, _PROMOTION_JUDGED_DAYS)
        if pd.notna(former) and former not in (version, POPULARITY) and len(days) == _PROMOTION_JUDGED_DAYS:
            models = [model_store(settings.models_dir).load(each) for each in (version, former)]
            pairs = [_quality(connection, models, day, settings) for day in days]
            yield Gain(version, version in tried, fmean((new - old).mean() for new, old in pairs))


def _days_after(story: Story, number: int, count: int) -> list[date]:
    return [story.day(each) for each in range(number + 1, min(number + count, story.days) + 1)]


def _quality(
    connection: duckdb.DuckDBPyConnection, models: Sequence[Recommender], day: date, settings: Settings
) -> list["pd.Series[float]"]:
    """NDCG@10 by user, for each model, of recommendations as of the day before on the listens of a day."""
    before = day - timedelta(days=1)
    known = read_known(connection, before)
    new = first_played_on(connection, day)
    rows = [
        recommend_users(
            known,
            model,
            length=settings.recommendations.recommendations_per_user,
            filter_seen=not settings.recommendations.recommend_heard_tracks,
            expire_hours=settings.recommendations.recommendations_expire_hours,
        )
        for model in models
    ]
    return [ndcg_at_10(recommended, new) for recommended in rows]
