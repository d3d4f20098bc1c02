"""One night of the product as of a day, by plain function calls: nightly run, decision, and the runs that follow.

The order is the product's; nothing is decided here.
"""

from collections.abc import Callable
from dataclasses import replace
from datetime import date, timedelta
from functools import partial

import duckdb
import pandas as pd
import pandera.pandas as pa
from dagster import DagsterInstance

from foundation.models.promotions import champion_before_candidate
from foundation.progress import Progress
from foundation.warehouse.loads import record_made
from foundation.warehouse.rows import insert
from moovitamix_assets.automation.champion_decision import ChampionDecision, decide_about_champion
from moovitamix_assets.automation.evidence import read_evidence
from moovitamix_assets.automation.retraining_runs import outdated_recommendations
from moovitamix_assets.automation.serving_decision import apply
from moovitamix_assets.monitoring.drift import drift_of_day
from moovitamix_assets.monitoring.quality import quality_of_day
from moovitamix_assets.recommendations.batch import recommend_day, recommend_shadows
from moovitamix_assets.settings import Settings
from moovitamix_assets.training.dataset.snapshot import nothing_to_learn, take_snapshot, tastes_changed_on
from moovitamix_assets.training.dataset.training_set_store import store_training_set
from moovitamix_assets.training.gate.candidate import train_candidate
from moovitamix_assets.training.gate.models import model_store
from moovitamix_assets.training.gate.promotion import decide_about_candidate, roll_back
from moovitamix_assets.warehouse.connection import read_warehouse, write_warehouse
from moovitamix_assets.warehouse.schemas import (
    DRIFT,
    RECOMMENDATION_QUALITY,
    RECOMMENDATIONS,
    SHADOW_RECOMMENDATIONS,
)


def run_night(
    settings: Settings, instance: DagsterInstance, progress: Progress, day: date
) -> ChampionDecision:
    """Recommend as of a day, measure it, decide about the champion, and do what was decided.

    Returns:
        The last decision: what follows once it is settled which version serves.
    """
    compute_night(settings, day)
    decision = _decide(settings, day)
    while decision.serving.action:
        with write_warehouse(settings.warehouse_path) as connection:
            apply(connection, decision.serving)
        decision = _decide(settings, day)
    if decision.rollback.roll_back:
        with write_warehouse(settings.warehouse_path) as connection:
            roll_back(connection, decision.rollback.reason, decision.rollback.model_version)
    elif decision.retraining.retrain:
        _train(settings, progress, day)
    with read_warehouse(settings.warehouse_path) as connection:
        outdated = outdated_recommendations(connection, day)
    if outdated:
        recommend(settings, day)
    return decision


def compute_night(settings: Settings, day: date) -> None:
    """Compute and write what a nightly run makes of a loaded day: recommendations, those in shadow, quality, drift."""
    recommend(settings, day)
    _store(settings, "recommendation_quality", RECOMMENDATION_QUALITY, "day", day, quality_of_day)
    _store(
        settings,
        "drift",
        DRIFT,
        "day",
        day,
        lambda connection, of: drift_of_day(connection, of, settings.training_sets_dir, settings.monitoring)[
            0
        ],
    )


def _decide(settings: Settings, day: date) -> ChampionDecision:
    with read_warehouse(settings.warehouse_path) as connection:
        evidence = read_evidence(connection, until=day)
        if evidence is None or evidence.day != day:
            raise ValueError(
                f"the newest recommendations are not those as of {day}, which were just computed"
            )
        learns = nothing_to_learn(connection, day, settings.training)
    return decide_about_champion(replace(evidence, nothing_to_learn=learns), settings)


def recommend(settings: Settings, day: date) -> None:
    """Recommend as of a day, by the version that serves and those in shadow, and delete what is no longer kept."""
    oldest_kept = day - timedelta(days=settings.recommendations.recommendations_kept_days - 1)
    for schema, computed_by in (
        (RECOMMENDATIONS, recommend_day),
        (SHADOW_RECOMMENDATIONS, recommend_shadows),
    ):
        table = str(schema.name)
        rows = partial(computed_by, models_dir=settings.models_dir, settings=settings.recommendations)
        _store(settings, table, schema, "generated_for", day, rows)
        with write_warehouse(settings.warehouse_path) as connection:
            connection.execute(f"DELETE FROM {table} WHERE generated_for < ?", [oldest_kept])


def _train(settings: Settings, progress: Progress, day: date) -> None:
    with read_warehouse(settings.warehouse_path) as connection:
        changed_on = tastes_changed_on(connection, day)
        snapshot = take_snapshot(connection, day, settings.training, changed_on)
        champion = champion_before_candidate(connection, day)
    store_training_set(settings.training_sets_dir, snapshot, champion)
    with progress.track("training") as on_progress:
        train_candidate(snapshot, settings, champion, on_progress)
    decide_about_candidate(
        settings.warehouse_path,
        model_store(settings.models_dir),
        day,
        settings.promotion,
        seed=settings.training.seed,
        models_kept=settings.training.models_kept,
        served_days=settings.recommendations.recommendations_kept_days,
    )


def _store(
    settings: Settings,
    table: str,
    schema: pa.DataFrameSchema,
    partition_column: str,
    day: date,
    compute: Callable[[duckdb.DuckDBPyConnection, date], pd.DataFrame],
) -> None:
    """Compute the partition of a table and write it, as the IO manager does."""
    with read_warehouse(settings.warehouse_path) as connection:
        rows = compute(connection, day)
    with write_warehouse(settings.warehouse_path) as connection:
        connection.execute(f"DELETE FROM {table} WHERE {partition_column} = ?", [day])
        record_made(connection, table, {day: insert(connection, schema, rows)})
