"""The content of the table `promotions`, as records: the champion as of a day, and a decision taken.

Types only; they are read and written by `promotions.py`.
"""

from dataclasses import dataclass
from datetime import date
from typing import Literal

Verdict = Literal["promoted", "rejected", "rolled_back"]


@dataclass(frozen=True)
class Champion:
    """The current champion as of a day.

    Attributes:
        model_version: Its version.
        as_of: The day its training set ends.
        active_since: The day from which it is the champion; its first recommendations are that day's.
        activated_by: Promoted, or returned to by a rollback.
        previous_version: The version it replaced when it was promoted; None if it was the first.
    """

    model_version: str
    as_of: date
    active_since: date
    activated_by: Literal["promoted", "rolled_back"]
    previous_version: str | None


@dataclass(frozen=True)
class RecordedDecision:
    """A decision as recorded.

    Attributes:
        model_version: The version decided about; for a rollback the one returned to.
        as_of: The day from which it holds.
        decision: The verdict.
        reason: One sentence.
        previous_version: The champion before; None if there was none.
    """

    model_version: str
    as_of: date
    decision: Verdict
    reason: str
    previous_version: str | None
