"""A model that is plainly bad, promoted past the gate: to see that the service rolls it back automatically.

Only for replays; nothing in the project imports it.
"""

import shutil
from datetime import date
from pathlib import Path

import numpy as np
import pandas as pd

from foundation.artifact_folder import write_hashes
from foundation.models.gate import Decision
from foundation.models.model_store import Candidate
from foundation.models.promotions import champion_version
from foundation.models.versions import model_version
from foundation.tables import empty_frame
from moovitamix_assets.settings import Settings
from moovitamix_assets.training.artifacts import artifact
from moovitamix_assets.training.gate.models import model_store
from moovitamix_assets.training.gate.promotion import record_decision
from moovitamix_assets.warehouse.connection import write_warehouse
from moovitamix_assets.warehouse.schemas import MODEL_EVALUATIONS


def force_bad_model(settings: Settings, as_of: date) -> str:
    """Promote the champion with its users shuffled: each gets the recommendations of another user.

    Returns:
        The version of the bad model, the champion as of the day.

    Raises:
        ValueError: If there is no champion.
    """
    with write_warehouse(settings.warehouse_path) as connection:
        champion = champion_version(connection, as_of)
        if champion is None:
            raise ValueError(f"there is no champion as of {as_of}: nothing can be made worse")
        models, version = model_store(settings.models_dir), model_version(as_of, "badbad00")
        folder = models.folder(version)
        shutil.copytree(models.folder(champion), folder)
        _shuffle_users(folder, version)
        nothing: pd.DataFrame = empty_frame(MODEL_EVALUATIONS)
        record_decision(
            connection,
            Candidate(version, nothing, nothing),
            as_of,
            Decision("promoted", "Forced in by hand, past the gate."),
            {},
        )
    return version


def _shuffle_users(folder: Path, version: str) -> None:
    content = artifact.read_json(folder) | {"model_version": version}
    artifact.write_json(folder, content)
    user_vectors = artifact.read_array(folder, "user_vectors")
    order = np.random.default_rng(0).permutation(len(user_vectors))
    artifact.write_array(folder, "user_vectors", user_vectors[order])
    for plays in folder.glob("ease_*_plays_indptr.npy"):
        name = plays.name.removesuffix("_indptr.npy")
        artifact.write_matrix(folder, name, artifact.read_matrix(folder, name)[order])
    write_hashes(folder)
