"""Generations: folders of files that readers map while new ones are published, and the pointer to the current one.

Publishing, verifying, returning to an earlier generation and removing old ones belong here; what a generation holds
belongs to the product. Readers need no lock: a folder appears whole, the pointer changes by one rename, and files that
are mapped outlive their removal.
"""

import re
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from foundation.artifact_folder import damage_in, is_hashed, remove_folder, write_folder
from foundation.durable import Damaged, read_checked_text, write_checked_text
from foundation.file_lock import exclusive_lock

_POINTER = "current"
_FOLDERS = "generations"
_LOCK = ".lock"
_NAME = re.compile(r"(\d{6,})-[\w.-]+")

Stamp = tuple[int, int]
"""The file number and time of change of a pointer: another one means that another generation is current."""


class GenerationDamaged(Damaged):
    """A generation, or the pointer to the current one, is not what was written."""


@dataclass(frozen=True)
class Generations:
    """The generations in a folder.

    Attributes:
        root: The folder, created by the first publication: `current` names one of the folders in `generations/`.
        remedy: A sentence that messages about damage end with.
    """

    root: Path
    remedy: str

    def publish(self, label: str, write: Callable[[Path], object], *, kept: int) -> str:
        """Write a generation and make it current; killed at any moment, the one before stays current and whole.

        What killed publications left is removed first, old generations last.

        Args:
            label: Ends the name of the generation: letters, digits, hyphens, dots.
            write: Called with an empty folder to fill with files.
            kept: How many generations are kept, the new one included.

        Returns:
            The name: a number that grows with each generation, and the label.
        """
        with exclusive_lock(self.root / _LOCK):
            self._remove_leftovers()
            name = f"{self._last_number() + 1:06d}-{label}"
            write_folder(self.folder(name), write)
            write_checked_text(self.root / _POINTER, name)
            for old in self.names()[:-kept]:
                remove_folder(self.folder(old))
        return name

    def make_current(self, name: str) -> None:
        """Return to a generation that is kept.

        Raises:
            GenerationDamaged: If it is not kept, or a file of it is not the one that was written.
        """
        with exclusive_lock(self.root / _LOCK):
            self.verify(name)
            write_checked_text(self.root / _POINTER, name)

    def current(self) -> str | None:
        """The name of the current generation; None before the first one.

        Raises:
            GenerationDamaged: If the pointer is not what was written.
        """
        pointer = self.root / _POINTER
        try:
            name = read_checked_text(pointer)
        except FileNotFoundError:
            return None
        except ValueError as error:
            raise self._damaged(pointer, str(error)) from error
        if not _NAME.fullmatch(name):
            raise self._damaged(pointer, "it names no generation")
        return name

    def stamp(self) -> Stamp | None:
        """Another value as soon as another generation is current, at the cost of one `stat`; None before the first."""
        try:
            found = (self.root / _POINTER).stat()
        except FileNotFoundError:
            return None
        return found.st_ino, found.st_mtime_ns

    def names(self) -> list[str]:
        """The generations that are kept, oldest first."""
        folders = self.root / _FOLDERS
        found = [path.name for path in folders.iterdir()] if folders.exists() else []
        return sorted((name for name in found if _NAME.fullmatch(name)), key=_number)

    def folder(self, name: str) -> Path:
        """The folder of a generation, whether it exists or not."""
        return self.root / _FOLDERS / name

    def verify(self, name: str) -> None:
        """Compare every file of a generation with its hash.

        Raises:
            GenerationDamaged: If it is gone, or a file of it is not the one that was written.
        """
        folder = self.folder(name)
        try:
            damage = damage_in(folder) if is_hashed(folder) else "its hashes are gone"
        except OSError as error:
            damage = str(error)
        if damage is not None:
            raise self._damaged(folder, damage)

    def _last_number(self) -> int:
        """The greatest number given so far; a folder that was lost does not free its number for another content."""
        try:
            current = self.current()
        except GenerationDamaged:
            current = None
        return max((_number(name) for name in [*self.names(), *([current] if current else [])]), default=0)

    def _remove_leftovers(self) -> None:
        for unfinished in (self.root / _FOLDERS).glob(".*"):
            shutil.rmtree(unfinished)
        for unfinished in self.root.glob(f".{_POINTER}.*"):
            unfinished.unlink()

    def _damaged(self, path: Path, finding: str) -> GenerationDamaged:
        return GenerationDamaged(f"{path} is damaged: {finding}. {self.remedy}")


def _number(name: str) -> int:
    return int(name.partition("-")[0])
