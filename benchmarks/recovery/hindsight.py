"""The quality of models on days that are over, whether they served or not: questions that only a replay can answer.

Models recommend and are measured as in the product; the quality of what was served is read in `days.py`.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from statistics import fmean

import duckdb
import pandas as pd

from benchmarks.recovery.story import Story
from foundation.models.promotions import all_decisions
from moovitamix_assets.monitoring.quality import ServedDay, quality_rows
from moovitamix_assets.recommendations.batch import POPULARITY_VERSION, Known, recommend_users
from moovitamix_assets.settings import Settings
from moovitamix_assets.training.artifacts.recommender import Recommender
from moovitamix_assets.training.dataset.snapshot import take_snapshot
from moovitamix_assets.training.evaluation.offline import RANKING_LENGTH
from moovitamix_assets.training.gate.candidate import train_candidate
from moovitamix_assets.training.gate.models import model_store
from moovitamix_assets.warehouse.as_of import first_played_on, interactions_as_of, tracks_as_of, users_as_of
from moovitamix_assets.warehouse.connection import read_warehouse

_ORACLE_LEARNS_DAYS = 14
_ORACLE_MEASURED_DAYS = 10
_PROMOTION_JUDGED_DAYS = 7


@dataclass(frozen=True)
class Hindsight:
    """Figures that need the days after the event.

    Attributes:
        oracle: Mean NDCG@10, on the ten days after its training, of a model that is trained once tastes have been
            settled for fourteen days; None where tastes never shift or no day follows.
        gains: In a world without shift, for each promotion: the mean difference in NDCG@10 between the new champion
            and the former one over the seven days after, on the same listens.
    """

    oracle: float | None
    gains: tuple[float, ...]


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
    oracle = _oracle(settings, story.day(trained_on), days) if story.settled_on and days else None
    return Hindsight(oracle, () if story.shift_on else tuple(_gains(story, settings)))


def _oracle(settings: Settings, as_of: date, days: Sequence[date]) -> float:
    apart = settings.changed(data_dir=settings.data_dir / "oracle")
    with read_warehouse(settings.warehouse_path) as connection:
        snapshot = take_snapshot(connection, as_of, settings.training)
        candidate = train_candidate(snapshot, apart, None, lambda done, total: None)
        model = model_store(apart.models_dir).load(candidate.model_version)
        return fmean(_quality(connection, [model], day, settings)[0].ndcg_at_10 for day in days)


def _gains(story: Story, settings: Settings) -> Iterator[float]:
    with read_warehouse(settings.warehouse_path) as connection:
        decisions = all_decisions(connection)
        for row in decisions[decisions["decision"] == "promoted"].to_dict("records"):
            former, number = row["previous_version"], (row["as_of"].date() - story.day(0)).days
            days = _days_after(story, number, _PROMOTION_JUDGED_DAYS)
            if pd.notna(former) and former != POPULARITY_VERSION and days:
                models = [
                    model_store(settings.models_dir).load(each) for each in (row["model_version"], former)
                ]
                pairs = [_quality(connection, models, day, settings) for day in days]
                yield fmean(new.ndcg_at_10 - old.ndcg_at_10 for new, old in pairs)


def _days_after(story: Story, number: int, count: int) -> list[date]:
    return [story.day(each) for each in range(number + 1, min(number + count, story.days) + 1)]


def _quality(
    connection: duckdb.DuckDBPyConnection, models: Sequence[Recommender], day: date, settings: Settings
) -> list[DayQuality]:
    """Measure, for each model, recommendations as of the day before on the listens of a day."""
    before = day - timedelta(days=1)
    known = Known(
        as_of=before,
        users=users_as_of(connection, before),
        tracks=tracks_as_of(connection, before),
        interactions=interactions_as_of(connection, before, {}),
    )
    new = first_played_on(connection, day)
    new = new[new["user_id"].isin(known.users["user_id"])]
    seen = interactions_as_of(connection, before, {}, users=new["user_id"].unique().tolist())
    qualities = []
    for model in models:
        ranked = recommend_users(
            known,
            model,
            length=settings.recommendations.recommendations_per_user,
            filter_seen=not settings.recommendations.recommend_heard_tracks,
            expire_hours=settings.recommendations.recommendations_expire_hours,
        )
        wanted = ranked[(ranked["rank"] <= RANKING_LENGTH) & ranked["user_id"].isin(new["user_id"])]
        # Which tracks had been played before matters only to the segment `new_tracks`, which is not read.
        rows = quality_rows(ServedDay(day, wanted, new, seen, known.tracks, played=()))
        qualities.append(pooled(rows[rows["segment"] == "all"]))
    return qualities
