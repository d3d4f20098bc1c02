"""The checks of a stored model, which block the gate's decision about it.

The artifact is read back from where it would be served and ranks tracks again. See
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
                "Read back from disk, the model gives the recommendations it gave when it was trained, covers the "
                "catalogue, serves every user with plays, and its scores are numbers that differ."
            ),
        )
    ]
)
def lightfm_model_checks(
    context: AssetCheckExecutionContext, settings: ResourceParam[Settings]
) -> Iterator[AssetCheckResult]:
    """Verify the candidate of the run's partition, or the newest one."""
    from moovitamix_assets.training.artifacts.artifact_verification import verify_artifact
    from moovitamix_assets.training.gate.models import model_store

    models = model_store(settings.models_dir)
    days = partitions_of_run(context.run.tags) or [models.newest_candidate_day()]
    version = models.candidate(days[-1]).model_version
    found = verify_artifact(models.folder(version), settings.training)
    yield AssetCheckResult(
        check_name="artifact_serves",
        asset_key="lightfm_model",
        passed=not found.faults,
        description="; ".join(found.faults) or f"{version} serves as it was trained.",
        metadata={
            "users_verified": found.users,
            "coverage": found.coverage,
            "served_share": found.served_share,
            "faults": MetadataValue.json(list(found.faults)),
        },
    )
