"""training_set, lightfm_model, champion_model: the data known on a day, the model trained on it, and its promotion.

One partition per run, in a job of their own. The warehouse is held only for the snapshot and for the decision.
See https://docs.dagster.io/guides/build/assets.
"""

from datetime import date
from typing import Any

from dagster import (
    AssetCheckResult,
    AssetCheckSeverity,
    AssetCheckSpec,
    AssetExecutionContext,
    Config,
    MaterializeResult,
    MetadataValue,
    ResourceParam,
    asset,
)
from pydantic import Field

from foundation import plots
from foundation.progress import Progress
from foundation.warehouse.errors import WarehouseLocked
from foundation.warehouse.io_manager import table_schema
from moovitamix_assets.partitions import DAILY
from moovitamix_assets.settings import Settings
from moovitamix_assets.warehouse.connection import WAREHOUSE_POOL, read_warehouse
from moovitamix_assets.warehouse.loads import require_loaded
from moovitamix_assets.warehouse.schemas import PROMOTIONS

_SHOWN_METRICS = ["ndcg_at_10", "recall_at_20", "precision_at_10", "map_at_10", "hit_rate_at_10"]


class TrainingConfig(Config):
    """The extent of a training's search for hyperparameters."""

    search_trials: int = Field(
        0,
        ge=0,
        description="Trials in a search for better hyperparameters; 0 takes over those of the champion.",
    )


@asset(
    partitions_def=DAILY,
    deps=["users", "tracks", "listens"],
    group_name="training",
    kinds={"duckdb", "parquet"},
    owners=["team:recommendations"],
    pool=WAREHOUSE_POOL,
    description="Users, tracks and interactions, exactly as known on the day; no names, no emails.",
)
def training_set(
    context: AssetExecutionContext, settings: ResourceParam[Settings], progress: ResourceParam[Progress]
) -> MaterializeResult:  # type: ignore[type-arg]
    """Snapshot the warehouse as of the partition day."""
    from foundation.models.promotions import champion_before_candidate
    from moovitamix_assets.training.dataset.snapshot import (
        held_out_days,
        require_plays,
        take_snapshot,
        tastes_changed_on,
    )
    from moovitamix_assets.training.dataset.training_set_store import store_training_set

    as_of = date.fromisoformat(context.partition_key)
    with progress.track("training set"), read_warehouse(settings.warehouse_path) as connection:
        require_loaded(connection, [as_of])
        require_plays(connection, as_of, settings.training)
        changed_on = tastes_changed_on(connection, as_of)
        snapshot = take_snapshot(connection, as_of, settings.training, changed_on)
        champion = champion_before_candidate(connection, as_of)
    folder = store_training_set(settings.training_sets_dir, snapshot, champion)
    held_out = held_out_days(as_of, settings.training, changed_on)
    return MaterializeResult(
        metadata={
            "users": len(snapshot.users),
            "tracks": len(snapshot.tracks),
            "interactions": len(snapshot.interactions),
            "plays": int(snapshot.interactions["plays"].sum()),
            "holdout_from": held_out.holdout_from.isoformat(),
            "validation_from": held_out.validation_from.isoformat(),
            "champion": champion or "none",
            "tastes_changed_on": str(changed_on or "not lately"),
            "manifest": MetadataValue.json(snapshot.manifest),
            "folder": MetadataValue.path(str(folder)),
        }
    )


@asset(
    partitions_def=DAILY,
    deps=[training_set],
    group_name="training",
    kinds={"python", "numpy"},
    owners=["team:recommendations"],
    description=(
        "The candidate: LightFM and the components that improve it, chosen on the validation days, measured on the "
        "hold-out days against popularity, then fitted on everything up to the day."
    ),
)
def lightfm_model(
    context: AssetExecutionContext,
    config: TrainingConfig,
    settings: ResourceParam[Settings],
    progress: ResourceParam[Progress],
) -> MaterializeResult:  # type: ignore[type-arg]
    """Choose, measure and fit the model of the partition day."""
    from moovitamix_assets.training.dataset.training_set_store import load_training_set
    from moovitamix_assets.training.gate.candidate import train_candidate
    from moovitamix_assets.training.gate.models import model_store

    as_of = date.fromisoformat(context.partition_key)
    snapshot, champion = load_training_set(settings.training_sets_dir, as_of)
    with progress.track("training") as on_progress:
        candidate = train_candidate(
            snapshot, settings, champion, on_progress, search_trials=config.search_trials
        )
    return MaterializeResult(
        metadata={
            "model_version": candidate.model_version,
            "folder": MetadataValue.path(
                str(model_store(settings.models_dir).folder(candidate.model_version))
            ),
            **_metrics(candidate.evaluations),
        }
    )


@asset(
    partitions_def=DAILY,
    deps=[lightfm_model],
    group_name="training",
    kinds={"duckdb"},
    owners=["team:recommendations"],
    pool=WAREHOUSE_POOL,
    metadata={"dagster/table_name": "promotions", "dagster/column_schema": table_schema(PROMOTIONS)},
    check_specs=[
        AssetCheckSpec(
            "candidate_promoted",
            asset="champion_model",
            description=(
                "The candidate passed the gate, or goes into shadow; otherwise the previous champion stays, or popular "
                "tracks."
            ),
        )
    ],
    description="The gate: whether the day's candidate replaces the champion, with the reason, in `promotions`.",
)
def champion_model(context: AssetExecutionContext, settings: ResourceParam[Settings]) -> MaterializeResult:  # type: ignore[type-arg]
    """Decide about the candidate of the partition day, once."""
    from moovitamix_assets.training.gate.models import model_store
    from moovitamix_assets.training.gate.promotion import decide_about_candidate

    outcome = decide_about_candidate(
        settings.warehouse_path,
        model_store(settings.models_dir),
        date.fromisoformat(context.partition_key),
        settings.promotion,
        seed=settings.training.seed,
        models_kept=settings.training.models_kept,
        served_days=settings.recommendations.recommendations_kept_days,
    )
    decision = outcome.decision
    return MaterializeResult(
        metadata={
            "decision": decision.decision,
            "reason": decision.reason,
            "candidate": outcome.candidate,
            "champion": outcome.champion or "none: popular tracks are recommended",
            "serving": outcome.serving,
            "compared_with": MetadataValue.json(outcome.metrics),
            "old_models_removed": MetadataValue.json(outcome.removed),
            "mirror": _mirrored(context, settings),
        },
        check_results=[
            AssetCheckResult(
                check_name="candidate_promoted",
                passed=decision.decision in ("promoted", "shadow"),
                severity=AssetCheckSeverity.WARN,
                description=decision.reason,
            )
        ],
    )


def _mirrored(context: AssetExecutionContext, settings: Settings) -> str:
    """Mirror the decision to MLflow; a failure of the mirror does not affect the decision."""
    from moovitamix_assets.training.mirroring.mirror import MirrorFailed, write_mirror

    if not settings.mirror.mirror_decisions:
        return "switched off"
    try:
        report = write_mirror(settings)
    except (MirrorFailed, WarehouseLocked) as error:
        context.log.warning(f"{error} The decision stands; `moovitamix mirror` writes the mirror again.")
        return f"failed: {error}"
    return f"{len(report.versions)} versions in {report.where}, {report.seconds:.1f} seconds"


def _metrics(evaluations: Any) -> dict[str, Any]:
    """Return the metrics over all users: a table, a chart, and one number each, which the UI plots over partitions."""
    overall = evaluations[evaluations["segment"] == "all"]
    table = overall.pivot_table(index="metric", columns="subject", values="value").round(4).reset_index()
    shown = overall[overall["metric"].isin(_SHOWN_METRICS)]
    return {
        "metrics": MetadataValue.md(plots.markdown_table(table)),
        "metrics_against_popularity": MetadataValue.md(plots.metrics_by_subject(evaluations, _SHOWN_METRICS)),
        **{
            f"{subject}_{metric}": float(value)
            for subject, metric, value in zip(shown["subject"], shown["metric"], shown["value"], strict=True)
        },
    }
