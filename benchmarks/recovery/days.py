"""The days of a story replayed one after the other, and the result of each.

What a night does is in `night.py`; figures over all days are in `summary.py` and `hindsight.py`.
"""

import time
from collections.abc import Hashable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any

import pandas as pd
from dagster import DagsterInstance

from benchmarks.recovery.hindsight import pooled
from benchmarks.recovery.night import run_night
from benchmarks.recovery.story import Story
from foundation.models.decisions import POPULARITY
from foundation.models.promotions import all_decisions, champion_version
from foundation.progress import NoProgress
from moovitamix_assets.automation.champion_decision import ChampionDecision
from moovitamix_assets.automation.evidence import read_evidence
from moovitamix_assets.automation.retraining import degradation
from moovitamix_assets.settings import Settings
from moovitamix_assets.warehouse.connection import read_warehouse


@dataclass(frozen=True)
class Day:
    """The result of a replayed day.

    Attributes:
        number, day: Which.
        model_version: The version whose recommendations (of the day before) reached most users; `popularity` if no
            model's did.
        role: Its role in `recommendation_quality`.
        users: Users measured, over all versions served.
        ndcg_at_10: Of the recommendations that they got.
        popularity_ndcg_at_10: Of popular tracks, for the same users.
        trigger: Of the training as of the day; empty without one.
        decisions: In `promotions` as of the day, as "verdict version"; a fallback ends with "returned".
        alert: The incidents of quality and drift that are open; empty without any.
        seconds: Processor time of the night.
    """

    number: int
    day: date
    model_version: str
    role: str
    users: int
    ndcg_at_10: float
    popularity_ndcg_at_10: float
    trigger: str
    decisions: str
    alert: str
    seconds: float


def replay_days(story: Story, settings: Settings) -> Iterator[Day]:
    """Replay the nights of a story, after that of the last day of the history, which trains the first champion.

    Args:
        story: The story.
        settings: Of a data folder with all days loaded, and nothing computed from them yet.

    Raises:
        ValueError: If there is no champion after the history.
    """
    with DagsterInstance.ephemeral() as instance:
        run_night(settings, instance, NoProgress(), story.day(0))
        with read_warehouse(settings.warehouse_path) as connection:
            if champion_version(connection, story.day(0)) is None:
                raise ValueError(f"the first candidate of {story} was not promoted: give it a longer history")
        for number in range(1, story.days + 1):
            began = time.process_time()
            decision = run_night(settings, instance, NoProgress(), story.day(number))
            yield _result(story, number, settings, decision, time.process_time() - began)


def _result(story: Story, number: int, settings: Settings, decision: ChampionDecision, seconds: float) -> Day:
    day = story.day(number)
    with read_warehouse(settings.warehouse_path) as connection:
        rows = connection.execute(
            "SELECT * FROM recommendation_quality WHERE day = ? AND segment = 'all'", [day]
        ).df()
        evidence = read_evidence(connection, until=day)
        decided = all_decisions(connection)
    quality = served(rows)
    version, role = _served_version(quality)
    figures = pooled(quality)
    retraining = decision.retraining
    incidents = evidence and degradation(evidence, settings.retraining, settings.monitoring)
    today = decided[decided["as_of"] == pd.Timestamp(day)]
    return Day(
        number=number,
        day=day,
        model_version=version,
        role=role,
        users=figures.users,
        ndcg_at_10=figures.ndcg_at_10,
        popularity_ndcg_at_10=figures.popularity_ndcg_at_10,
        trigger=retraining.trigger or "" if retraining.retrain and not decision.rollback.roll_back else "",
        decisions=", ".join(_verdict(row) for row in today.to_dict("records")),
        alert="; ".join(incidents.findings) if incidents else "",
        seconds=round(seconds, 2),
    )


def served(quality: pd.DataFrame) -> pd.DataFrame:
    """The quality of the recommendations that users got, by version.

    Not of those in shadow: a challenger's, and a champion's while popular tracks serve instead.

    Args:
        quality: Rows of `recommendation_quality` for one day.
    """
    in_fallback = quality["role"] == "fallback"
    return quality[in_fallback] if in_fallback.any() else quality[quality["role"] != "challenger"]


def _verdict(decision: Mapping[Hashable, Any]) -> str:
    """The verdict and the version; a promotion of the champion itself ends a fallback."""
    version = decision["model_version"]
    ends_fallback = decision["decision"] == "promoted" and decision["previous_version"] == version
    return f"{'returned' if ends_fallback else decision['decision']} {version}"


def _served_version(quality: pd.DataFrame) -> tuple[str, str]:
    """The version of most users, a model's before popular tracks, and its role."""
    models = quality[quality["model_version"] != POPULARITY]
    served = (models if len(models) else quality).nlargest(1, "users")
    for row in served.to_dict("records"):
        return str(row["model_version"]), str(row["role"])
    return "none", "none"
