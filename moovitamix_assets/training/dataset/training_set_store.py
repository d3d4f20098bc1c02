"""The folders of training sets: one per day, with the champion that the day's candidate is compared with.

Where a set is stored belongs here; its files are written and read by `training_set.py`. The champion is next to the
set, not in it: what a candidate is compared with changes nothing of what it learns.
"""

from datetime import date
from pathlib import Path

from foundation.artifact_folder import write_folder
from moovitamix_assets.training.dataset.training_set import TrainingSet

_CHAMPION_FILE = "champion"


def training_set_folder(training_sets_dir: Path, as_of: date) -> Path:
    """Return the folder of the training set of a day."""
    return training_sets_dir / as_of.isoformat()


def store_training_set(training_sets_dir: Path, training_set: TrainingSet, champion: str | None) -> Path:
    """Write a training set, replacing the one of its day.

    Args:
        training_sets_dir: Folder of all training sets.
        training_set: The set.
        champion: The version that a candidate has to compare with; None where there is none.

    Returns:
        The folder of the set.
    """

    def write(unfinished: Path) -> None:
        training_set.write(unfinished)
        (unfinished / _CHAMPION_FILE).write_text(champion or "")

    folder = training_set_folder(training_sets_dir, training_set.as_of)
    write_folder(folder, write)
    return folder


def load_training_set(training_sets_dir: Path, as_of: date) -> tuple[TrainingSet, str | None]:
    """Read the training set of a day, and the champion stored with it.

    Raises:
        TrainingSetDamaged: If a file is not the one that was written.
    """
    folder = training_set_folder(training_sets_dir, as_of)
    return TrainingSet.read(folder), (folder / _CHAMPION_FILE).read_text() or None
