"""training_set, lightfm_model, champion_model: what was known on a day, the model made of it, and whether it serves.

One partition per run, in a job of their own. The warehouse is held only for the snapshot and for the decision.
See https://docs.dagster.io/guides/build/assets.
"""

from datetime import date, timedelta
from pathlib import Path
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
from foundation.artifact_folder import write_folder
from foundation.progress import Progress
from moovitamix_assets.partitions import DAILY
from moovitamix_assets.settings import Settings
from moovitamix_assets.warehouse.as_of import (
    interactions_as_of,
    listens_changed,
    tracks_as_of,
    users_as_of,
)
from moovitamix_assets.warehouse.connection import (
    WAREHOUSE_POOL,
    WarehouseLocked,
    read_warehouse,
    write_warehouse,
)
from moovitamix_assets.warehouse.duckdb_io import table_schema
from moovitamix_assets.warehouse.loads import require_loaded
from moovitamix_assets.warehouse.schemas import PROMOTIONS

# Beside the training set, not in it: what a candidate is compared with changes nothing of what it learns.
_CHAMPION_FILE = "champion"
_SHOWN_METRICS = ["ndcg_at_10", "recall_at_20", "precision_at_10", "map_at_10", "hit_rate_at_10"]


class TrainingConfig(Config):
    """How much a training may search."""

    search_trials: int = Field(
        0,
        ge=0,
        description="Settings to try in a search for a better recipe; 0 takes over those of the champion.",
    )


@asset(
    partitions_def=DAILY,
    deps=["users", "tracks", "listens"],
    group_name="training",
    kinds={"duckdb", "parquet"},
    owners=["team:recommendations"],
    pool=WAREHOUSE_POOL,
    description="Users, tracks and who played what, exactly as known on the day; no names, no emails.",
)
def training_set(
    context: AssetExecutionContext, settings: ResourceParam[Settings], progress: ResourceParam[Progress]
) -> MaterializeResult:  # type: ignore[type-arg]
    """Snapshot the warehouse as of the partition day."""
    from foundation.models.promotions import champion_before_candidate
    from moovitamix_assets.training.dataset.reference_profile import REFERENCE_DAYS, profile
    from moovitamix_assets.training.dataset.training_set import TrainingSet

    as_of = date.fromisoformat(context.partition_key)
    holdout = as_of + timedelta(days=1 - settings.training.holdout_days)
    validation = holdout - timedelta(days=settings.training.validation_days)
    cuts = {"before_holdout": holdout, "before_validation": validation}
    with progress.track("training set"), read_warehouse(settings.warehouse_path) as connection:
        require_loaded(connection, [as_of])
        users = users_as_of(connection, as_of)
        tracks = tracks_as_of(
            connection, as_of, {f"plays_last_30_days_{name}": cut for name, cut in cuts.items()}
        )
        last_week = listens_changed(connection, as_of - timedelta(days=REFERENCE_DAYS - 1), as_of)
        snapshot = TrainingSet(
            as_of=as_of,
            users=users,
            tracks=tracks,
            interactions=interactions_as_of(
                connection,
                as_of,
                {f"plays_{name}": cut for name, cut in cuts.items()},
                faded_cuts={
                    "faded_plays": as_of + timedelta(days=1),
                    **{f"faded_plays_{name}": cut for name, cut in cuts.items()},
                },
            ),
            reference=profile(last_week, users, tracks, popularity=tracks),
        )
        champion = champion_before_candidate(connection, as_of)
    folder = settings.training_sets_dir / as_of.isoformat()

    def write(unfinished: Path) -> None:
        snapshot.write(unfinished)
        (unfinished / _CHAMPION_FILE).write_text(champion or "")

    write_folder(folder, write)
    return MaterializeResult(
        metadata={
            "users": len(snapshot.users),
            "tracks": len(snapshot.tracks),
            "interactions": len(snapshot.interactions),
            "plays": int(snapshot.interactions["plays"].sum()),
            "holdout_from": holdout.isoformat(),
            "validation_from": validation.isoformat(),
            "champion": champion or "none",
            "manifest": MetadataValue.json(snapshot.manifest()),
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
        "The candidate: LightFM, and what improves it, chosen on the validation days, measured on the hold-out "
        "days beside popularity, then fitted on everything up to the day."
    ),
)
def lightfm_model(
    context: AssetExecutionContext,
    config: TrainingConfig,
    settings: ResourceParam[Settings],
    progress: ResourceParam[Progress],
) -> MaterializeResult:  # type: ignore[type-arg]
    """Choose, measure and fit the model of the partition day."""
    from moovitamix_assets.training.dataset.training_set import TrainingSet
    from moovitamix_assets.training.gate.candidate import train_candidate
    from moovitamix_assets.training.gate.models import model_store

    as_of = date.fromisoformat(context.partition_key)
    folder = settings.training_sets_dir / as_of.isoformat()
    snapshot = TrainingSet.read(folder)
    champion = (folder / _CHAMPION_FILE).read_text() or None
    with progress.track("training") as on_progress:
        candidate = train_candidate(
            snapshot, settings, champion, on_progress, search_trials=config.search_trials
        )
    everyone = candidate.evaluations[candidate.evaluations["segment"] == "all"]
    table = everyone.pivot_table(index="metric", columns="subject", values="value").round(4).reset_index()
    return MaterializeResult(
        metadata={
            "model_version": candidate.model_version,
            "folder": MetadataValue.path(
                str(model_store(settings.models_dir).folder(candidate.model_version))
            ),
            "metrics": MetadataValue.md(plots.markdown_table(table)),
            "metrics_against_popularity": MetadataValue.md(
                plots.metrics_beside(candidate.evaluations, _SHOWN_METRICS)
            ),
            **_figures(candidate.evaluations),
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
            description="The candidate passed the gate; otherwise the previous champion stays, or popular tracks.",
        )
    ],
    description="The gate: whether the day's candidate replaces the champion, with the reason, in `promotions`.",
)
def champion_model(context: AssetExecutionContext, settings: ResourceParam[Settings]) -> MaterializeResult:  # type: ignore[type-arg]
    """Decide about the candidate of the partition day, once."""
    from foundation.models.promotions import champion_version, obsolete_versions
    from moovitamix_assets.training.gate.models import model_store
    from moovitamix_assets.training.gate.promotion import judge, record_decision

    as_of, models = date.fromisoformat(context.partition_key), model_store(settings.models_dir)
    candidate = models.candidate(as_of)
    judgement = judge(candidate, settings.promotion, settings.training.seed)
    with write_warehouse(settings.warehouse_path) as connection:
        decision = record_decision(connection, candidate, as_of, judgement.decision, judgement.metrics)
        champion = champion_version(connection, as_of)
        obsolete = obsolete_versions(
            connection,
            kept=settings.training.models_kept,
            served_days=settings.recommendations.recommendations_kept_days,
        )
    removed = [version for version in obsolete if models.has(version)]
    models.remove(removed)
    return MaterializeResult(
        metadata={
            "decision": decision.decision,
            "reason": decision.reason,
            "candidate": candidate.model_version,
            "champion": champion or "none: popular tracks are recommended",
            "compared_with": MetadataValue.json(judgement.metrics),
            "old_models_removed": MetadataValue.json(removed),
            "mirror": _mirrored(context, settings),
        },
        check_results=[
            AssetCheckResult(
                check_name="candidate_promoted",
                passed=decision.decision == "promoted",
                severity=AssetCheckSeverity.WARN,
                description=decision.reason,
            )
        ],
    )


def _mirrored(context: AssetExecutionContext, settings: Settings) -> str:
    """Tell MLflow of the decision; that it cannot be told changes nothing of it."""
    from moovitamix_assets.training.mirroring.mirror import MirrorFailed, write_mirror

    if not settings.mirror.mirror_decisions:
        return "switched off"
    try:
        report = write_mirror(settings)
    except (MirrorFailed, WarehouseLocked) as error:
        context.log.warning(f"{error} The decision stands; `moovitamix mirror` makes up for it.")
        return f"failed: {error}"
    return f"{len(report.versions)} versions in {report.where}, {report.seconds:.1f} seconds"


def _figures(evaluations: Any) -> dict[str, float]:
    """One number per headline metric and subject, which the UI plots over partitions."""
    rows = evaluations[(evaluations["segment"] == "all") & evaluations["metric"].isin(_SHOWN_METRICS)]
    return {
        f"{subject}_{metric}": float(value)
        for subject, metric, value in zip(rows["subject"], rows["metric"], rows["value"], strict=True)
    }
