"""The store of this product's models: its loader, its remedies, and what a candidate's folder holds.

How folders are written, verified and removed is in `foundation/models/model_store.py`; what a model is, in
`training/artifacts/`.
"""

from collections.abc import Mapping
from pathlib import Path

import pandas as pd

from foundation.models.model_store import Candidate, ModelStore, Remedies
from moovitamix_assets.training.artifacts.artifact_verification import write_expected_recommendations
from moovitamix_assets.training.artifacts.recommender import Recommender
from moovitamix_assets.training.evaluation.offline import Evaluation

_MATERIALIZE = (
    "`dagster asset materialize --select {assets} --partition {{day}} -m moovitamix_assets.definitions`"
)


def model_store(models_dir: Path, previous_champion: str | None = None) -> ModelStore[Recommender]:
    """The models in a folder.

    Args:
        models_dir: Folder of all models.
        previous_champion: The version that a rollback returns to; messages name that remedy only where there is one.
    """
    return ModelStore(models_dir, Recommender.load, _remedies(previous_champion))


def _remedies(previous_champion: str | None) -> Remedies:
    roll_back = (
        f", or return to the previous champion {previous_champion} with `moovitamix rollback`"
        if previous_champion
        else ""
    )
    return Remedies(
        untrained="materialize lightfm_model for {day} first.",
        never_trained="materialize training_set and lightfm_model first.",
        missing=(
            "Restore its folder, or train it again with "
            f"{_MATERIALIZE.format(assets='lightfm_model')}{roll_back}."
        ),
        damaged=(
            "Restore it from a copy, or train it again with "
            f"{_MATERIALIZE.format(assets='training_set,lightfm_model')}{roll_back}."
        ),
    )


def store_candidate(models_dir: Path, model: Recommender, evaluations: Mapping[str, Evaluation]) -> Candidate:
    """Write a model with its evaluations, and make it the candidate of its day.

    Args:
        models_dir: Folder of all models.
        model: The model to be served.
        evaluations: By subject, all on the same users.
    """
    candidate = Candidate(
        model_version=model.model_version,
        evaluations=pd.concat([evaluation.table for evaluation in evaluations.values()], ignore_index=True),
        per_user=pd.concat(
            [
                evaluation.per_user.reset_index().assign(subject=subject)
                for subject, evaluation in evaluations.items()
            ],
            ignore_index=True,
        ),
    )

    def save(folder: Path) -> None:
        model.save(folder)
        write_expected_recommendations(model, folder)

    model_store(models_dir).write(candidate, save)
    return candidate
