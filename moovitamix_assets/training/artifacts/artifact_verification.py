"""The verification of a stored model: its files give the recommendations it gave when it was trained, fit to serve.

Expected recommendations of some users are stored next to the model, and computed again from its files. The files
themselves are described in `artifact.py`; the model's quality is measured in `offline.py`.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from moovitamix_assets.setting_groups import TrainingSettings
from moovitamix_assets.training.artifacts import artifact
from moovitamix_assets.training.artifacts.recommender import Recommender
from moovitamix_assets.training.evaluation.offline import RANKING_LENGTH, rank

# The name of a file of stored models.
_EXPECTED = "expected_lists"
_MOST_USERS = 500
_SCORED_USERS = 50


@dataclass(frozen=True)
class ArtifactVerification:
    """The result of a verification.

    Attributes:
        users: Users whose recommendations were computed again.
        coverage: Share of the model's tracks that are recommended to at least one of them.
        served_share: Share of them who get as many recommendations as there are tracks left for them.
        faults: One sentence for each requirement that is not met; empty if the candidate may be decided about.
    """

    users: int
    coverage: float
    served_share: float
    faults: tuple[str, ...]


def write_expected_recommendations(model: Recommender, folder: Path) -> None:
    """Write the recommendations that the model in memory gives, next to its files."""
    artifact.write_array(folder, _EXPECTED, _recommendations(model))


def verify_artifact(folder: Path, settings: TrainingSettings) -> ArtifactVerification:
    """Load a model from its folder and check its recommendations.

    Args:
        folder: Of one version.
        settings: The thresholds of coverage and served users.
    """
    model = Recommender.load(folder)
    users = _verified_users(model)
    ranked = _recommendations(model)
    length = min(RANKING_LENGTH, len(model.track_ids))
    left = len(model.track_ids) - np.diff(model.plays.indptr)[users]
    full = (ranked >= 0).sum(axis=1) >= np.minimum(length, left)
    coverage = len(np.unique(ranked[ranked >= 0])) / max(len(model.track_ids), 1)
    served_share = float(full.mean()) if len(users) else 1.0
    faults = []
    if not np.array_equal(ranked, artifact.read_array(folder, _EXPECTED)):
        faults.append(
            "the model read back from disk gives other recommendations than the one that was trained"
        )
    if coverage < settings.artifact_minimum_coverage and (ranked >= 0).any():
        faults.append(
            f"its recommendations hold {coverage:.2%} of the catalogue, "
            f"less than {settings.artifact_minimum_coverage:.2%}"
        )
    if served_share < settings.artifact_minimum_served_share:
        faults.append(
            f"{served_share:.2%} of users get all the recommendations they should, "
            f"less than {settings.artifact_minimum_served_share:.2%}"
        )
    faults += _faults_of_scores(model, users)
    return ArtifactVerification(len(users), float(coverage), served_share, tuple(faults))


def _verified_users(model: Recommender) -> npt.NDArray[np.int64]:
    """Return rows of users with plays, evenly spread, at most 500."""
    rows = np.flatnonzero(np.diff(model.plays.indptr) > 0)
    return rows[:: max(1, -(-len(rows) // _MOST_USERS))]


def _recommendations(model: Recommender) -> npt.NDArray[np.int32]:
    return rank(model.blend, _verified_users(model), seen=model.plays)


def _faults_of_scores(model: Recommender, users: npt.NDArray[np.int64]) -> list[str]:
    if not len(users):
        return []
    scores = model.blend.scores(users[:_SCORED_USERS])
    if not np.isfinite(scores).all():
        return ["some of its scores are not numbers"]
    if len(model.track_ids) > 1 and not (scores.max(axis=1) > scores.min(axis=1)).all():
        return ["it gives all tracks the same score for some users"]
    return []
