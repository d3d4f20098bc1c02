"""The landing area: where records are landed, and what the product says of them.

Everything that reads or writes landing files takes one; the functions are in the modules next to this one.
"""

from collections.abc import Callable, Hashable
from dataclasses import dataclass
from pathlib import Path

from foundation.program import Program

Identify = Callable[[str, object], Hashable | None]
"""The key of a decoded record of an endpoint: records with one key are versions of one; None if it has none."""


@dataclass(frozen=True)
class Landing:
    """A folder of landing files, `<folder>/<endpoint>/<day>/*.parquet`.

    An endpoint is the source's name for one series of records, be it an endpoint of an API or a kind of file.

    Attributes:
        folder: The landing folder, in the data folder.
        program: For the remedies in messages.
        identify: The rule that says which records are versions of one.
    """

    folder: Path
    program: Program
    identify: Identify

    @property
    def data_dir(self) -> Path:
        """The data folder, which contains the landing folder."""
        return self.folder.parent
