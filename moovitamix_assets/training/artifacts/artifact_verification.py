"""The trial of a model as it lies on disk: are its lists those it was trained with, and fit to be shown?

Some lists are put down beside the model when it is stored, and made again from the files. What the files look
like is in `artifact.py`; whether the model is any good is measured in `offline.py`.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from moovitamix_assets.settings import Settings
from moovitamix_assets.training.artifacts import artifact
from moovitamix_assets.training.artifacts.recommender import Recommender
from moovitamix_assets.training.evaluation.offline import LIST_LENGTH, rank

_EXPECTED = "expected_lists"
_MOST_PEOPLE = 500


@dataclass(frozen=True)
class ArtifactTrial:
    """What was found.

    Attributes:
        people: People whose lists were made again.
        coverage: Share of the model's tracks in at least one of their lists.
        served_share: Share of them with a full list.
        faults: What must not be, in plain words; empty if the model may be decided about.
    """

    people: int
    coverage: float
    served_share: float
    faults: tuple[str, ...]


def put_down_expected_lists(model: Recommender, folder: Path) -> None:
    """Write the lists that the model in memory gives, beside its files."""
    artifact.write_array(folder, _EXPECTED, _lists(model))


def examine_artifact(folder: Path, settings: Settings) -> ArtifactTrial:
    """Load a model from its folder and look at the lists it gives.

    Args:
        folder: Of one version.
        settings: What is asked for.
    """
    model = Recommender.load(folder)
    people = _people(model)
    lists = _lists(model)
    length = min(LIST_LENGTH, len(model.track_ids))
    left = len(model.track_ids) - np.diff(model.plays.indptr)[people]
    full = (lists >= 0).sum(axis=1) >= np.minimum(length, left)
    coverage = len(np.unique(lists[lists >= 0])) / max(len(model.track_ids), 1)
    served_share = float(full.mean()) if len(people) else 1.0
    faults = []
    if not np.array_equal(lists, artifact.read_array(folder, _EXPECTED)):
        faults.append("the model read back from disk gives other lists than the one that was trained")
    if coverage < settings.training.artifact_minimum_coverage and (lists >= 0).any():
        faults.append(
            f"its recommendations hold {coverage:.2%} of the catalogue, "
            f"less than {settings.training.artifact_minimum_coverage:.2%}"
        )
    if served_share < settings.training.artifact_minimum_served_share:
        faults.append(
            f"{served_share:.2%} of users get a full list, "
            f"less than {settings.training.artifact_minimum_served_share:.2%}"
        )
    faults += _faults_of_scores(model, people)
    return ArtifactTrial(len(people), float(coverage), served_share, tuple(faults))


def _people(model: Recommender) -> npt.NDArray[np.int64]:
    """Rows of people with plays, evenly spread, at most 500."""
    rows = np.flatnonzero(np.diff(model.plays.indptr) > 0)
    return rows[:: max(1, -(-len(rows) // _MOST_PEOPLE))]


def _lists(model: Recommender) -> npt.NDArray[np.int32]:
    return rank(model.blend, _people(model), heard=model.plays)


def _faults_of_scores(model: Recommender, people: npt.NDArray[np.int64]) -> list[str]:
    if not len(people):
        return []
    scores = model.blend.scores(people[:50])
    if not np.isfinite(scores).all():
        return ["some of its scores are not numbers"]
    if len(model.track_ids) > 1 and not (scores.max(axis=1) > scores.min(axis=1)).all():
        return ["it scores all tracks alike for some people"]
    return []
