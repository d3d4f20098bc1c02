"""The checks of a trained model, as it lies on disk: what must hold before a decision is taken about it.

The artifact is read back from where it would be served and ranked anew. See
https://docs.dagster.io/guides/test/asset-checks.
"""

from collections.abc import Iterator

from dagster import (
    AssetCheckExecutionContext,
    AssetCheckResult,
    AssetCheckSpec,
    MetadataValue,
    ResourceParam,
    multi_asset_check,
)

from moovitamix_assets.partitions import partitions_of_run
from moovitamix_assets.settings import Settings


@multi_asset_check(
    specs=[
        AssetCheckSpec(
            "artifact_serves",
            asset="lightfm_model",
            blocking=True,
            description=(
                "Read back from disk, the model gives the lists it gave when it was trained, covers the catalogue, "
                "serves everyone with plays, and its scores are numbers that differ."
            ),
        )
    ]
)
def lightfm_model_checks(
    context: AssetCheckExecutionContext, settings: ResourceParam[Settings]
) -> Iterator[AssetCheckResult]:
    """Examine the candidate of the run's day, or the newest one."""
    from moovitamix_assets.training.artifacts.artifact_verification import examine_artifact
    from moovitamix_assets.training.gate.models import model_store

    models = model_store(settings.models_dir)
    days = partitions_of_run(context.run.tags) or [models.newest_candidate_day()]
    version = models.candidate(days[-1]).model_version
    trial = examine_artifact(models.folder(version), settings)
    yield AssetCheckResult(
        check_name="artifact_serves",
        asset_key="lightfm_model",
        passed=not trial.faults,
        description="; ".join(trial.faults) or f"{version} serves as it was trained.",
        metadata={
            "people_looked_at": trial.people,
            "coverage": trial.coverage,
            "served_share": trial.served_share,
            "faults": MetadataValue.json(list(trial.faults)),
        },
    )
