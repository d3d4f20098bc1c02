"""The result of one examination of `moovitamix doctor`: a finding, and what to do about it."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Symptom:
    """One thing that was examined.

    Attributes:
        subject: What was examined.
        is_well: Whether nothing needs to be done.
        finding: What was found.
        remedy: What to do; empty if nothing.
    """

    subject: str
    is_well: bool
    finding: str
    remedy: str = ""
