"""Folders of models on disk: writing, verifying, loading and removing them, and the candidate of each day.

What a model is belongs to the product, which passes in the loader and the remedies that messages name; which
version is the champion is in `promotions.py`.
"""

import shutil
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Generic, TypeVar

import pandas as pd

from foundation.artifact_folder import damage_in, remove_folder, write_folder
from foundation.durable import Damaged, read_checked_text, write_checked_text
from foundation.errors import Explained
from foundation.models.versions import trained_as_of

_EVALUATIONS_FILE = "evaluations.parquet"
_PER_USER_FILE = "per_user.parquet"
_CANDIDATES = "candidates"
_DAYS = "????-??-??"

Model = TypeVar("Model")


@dataclass(frozen=True)
class Candidate:
    """A trained model on disk, with the evaluations of it and of those it is compared with.

    Attributes:
        model_version: Its version.
        evaluations: One row per subject, segment and metric.
        per_user: user_id, subject, and one column per metric; one row per user and subject.
    """

    model_version: str
    evaluations: pd.DataFrame
    per_user: pd.DataFrame

    def of(self, subject: str, metric: str) -> pd.Series | None:
        """A metric by user_id; None where the subject was not measured."""
        rows = self.per_user[self.per_user["subject"] == subject]
        return None if rows.empty else rows.set_index("user_id")[metric]


@dataclass(frozen=True)
class Remedies:
    """Sentences of the product that messages end with; `{day}` stands for the day of the model.

    Attributes:
        untrained: Where no model was trained as of a day.
        never_trained: Where none ever was.
        missing: Where the folder of a version is gone.
        damaged: Where a file is not the one that was written.
    """

    untrained: str
    never_trained: str
    missing: str
    damaged: str


class NoCandidate(FileNotFoundError):
    """No model was trained as of a day; the message names the remedy."""


class ModelMissing(Explained, FileNotFoundError):
    """The folder of a version is gone; the message names the remedy."""


class ModelDamaged(Damaged):
    """A file of a model, or the pointer to a day's candidate, is not what was written; names the remedy."""


@dataclass(frozen=True)
class ModelStore(Generic[Model]):
    """The models of a product: a folder per version, and a pointer per day to its candidate.

    Attributes:
        root: Folder of all models.
        load_folder: Loads a model from its folder.
        remedies: For messages.
    """

    root: Path
    load_folder: Callable[[Path], Model]
    remedies: Remedies

    def folder(self, version: str) -> Path:
        """The folder of a version, whether it exists or not."""
        return self.root / version

    def has(self, version: str) -> bool:
        """Return whether the folder of a version exists."""
        return self.folder(version).exists()

    def versions(self) -> list[str]:
        """The versions on disk, ascending."""
        return sorted(folder.name for folder in self.root.glob(f"{_DAYS}-*"))

    def write(self, candidate: Candidate, save: Callable[[Path], None]) -> None:
        """Write a model with its evaluations, then make it the candidate of its day.

        Args:
            candidate: Its version and evaluations.
            save: Writes the model into an empty folder.
        """

        def write(folder: Path) -> None:
            save(folder)
            candidate.evaluations.to_parquet(folder / _EVALUATIONS_FILE)
            candidate.per_user.to_parquet(folder / _PER_USER_FILE)

        version = candidate.model_version
        write_folder(self.folder(version), write)
        write_checked_text(self._pointer(trained_as_of(version)), version)

    def load(self, version: str) -> Model:
        """Load a model, verified.

        Raises:
            ModelMissing: If its folder is gone.
            ModelDamaged: If a file is not the one that was written.
        """
        self.verify(version)
        folder = self.folder(version)
        try:
            return self.load_folder(folder)
        except (OSError, ValueError, KeyError, EOFError) as error:
            # A folder written before there were hashes: its damage shows only here.
            raise self._damaged_model(version, folder, str(error)) from error

    def verify(self, version: str) -> None:
        """Compare every file of a model with its hash.

        Raises:
            ModelMissing: If its folder is gone.
            ModelDamaged: If a file is not the one that was written.
        """
        folder = self.folder(version)
        if not folder.exists():
            remedy = self.remedies.missing.format(day=trained_as_of(version))
            raise ModelMissing(f"The model {version} is not in {self.root}. {remedy}")
        found = damage_in(folder)
        if found is not None:
            name, _, finding = found.partition(": ")
            raise self._damaged_model(version, folder / name, finding)

    def candidate(self, as_of: date) -> Candidate:
        """The candidate trained as of a day, verified.

        Raises:
            NoCandidate: If none was trained.
            ModelMissing: If its folder is gone.
            ModelDamaged: If the pointer to it, or one of its files, is not what was written.
        """
        version = self.candidate_version(as_of)
        if version is None:
            remedy = self.remedies.untrained.format(day=as_of)
            raise NoCandidate(f"No model was trained as of {as_of}: {remedy}")
        self.verify(version)
        folder = self.folder(version)
        return Candidate(
            version, pd.read_parquet(folder / _EVALUATIONS_FILE), pd.read_parquet(folder / _PER_USER_FILE)
        )

    def candidate_version(self, as_of: date) -> str | None:
        """The version of the candidate trained as of a day; None if none was.

        Raises:
            ModelDamaged: If the pointer is not what was written.
        """
        pointer = self._pointer(as_of)
        if not pointer.exists():
            return None
        try:
            version = read_checked_text(pointer).strip()
        except ValueError as error:
            raise self._damaged_pointer(as_of, str(error)) from error
        if not version:
            raise self._damaged_pointer(as_of, "it is empty")
        return version

    def candidate_days(self) -> list[date]:
        """The days as of which a model was trained, ascending."""
        return [date.fromisoformat(path.name) for path in sorted((self.root / _CANDIDATES).glob(_DAYS))]

    def newest_candidate_day(self) -> date:
        """The newest day as of which a model was trained.

        Raises:
            NoCandidate: If none ever was.
        """
        days = self.candidate_days()
        if not days:
            raise NoCandidate(f"No model was trained yet: {self.remedies.never_trained}")
        return days[-1]

    def remove(self, versions: Iterable[str]) -> None:
        """Remove the folders of some versions; a folder is loadable whole or not at all at any moment.

        Only for what a committed decision made obsolete: a transaction rolled back restores no folder.
        """
        for leftover in self.root.glob(".*.removed"):
            shutil.rmtree(leftover)
        for version in versions:
            remove_folder(self.folder(version))

    def remove_after(self, last: date) -> list[str]:
        """Remove every model and pointer trained as of a later day.

        Returns:
            The versions removed.
        """
        for day in self.candidate_days():
            if day > last:
                self._pointer(day).unlink()
        removed = [version for version in self.versions() if trained_as_of(version) > last]
        self.remove(removed)
        return removed

    def _pointer(self, as_of: date) -> Path:
        return self.root / _CANDIDATES / as_of.isoformat()

    def _damaged_model(self, version: str, file: Path, finding: str) -> ModelDamaged:
        return self._damaged(trained_as_of(version), file, finding, f"The model {version} cannot be used.")

    def _damaged_pointer(self, as_of: date, finding: str) -> ModelDamaged:
        lost = f"Lost is which model is the candidate of {as_of}."
        return self._damaged(as_of, self._pointer(as_of), finding, lost)

    def _damaged(self, day: date, file: Path, finding: str, lost: str) -> ModelDamaged:
        return ModelDamaged(f"{file} is damaged: {finding}. {lost} {self.remedies.damaged.format(day=day)}")
