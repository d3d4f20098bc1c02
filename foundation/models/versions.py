"""The version of a model: the day its training data ends and a digest of what it was trained with.

The only place that builds or takes apart a version string.
"""

from datetime import date

_DATE_LENGTH = len("2026-09-01")


def model_version(as_of: date, digest: str) -> str:
    """The version `<as_of>-<digest>` of a model trained as of a day."""
    return f"{as_of.isoformat()}-{digest}"


def trained_as_of(version: str) -> date:
    """The day as of which a version was trained.

    Raises:
        ValueError: If the version does not begin with a date.
    """
    return date.fromisoformat(version[:_DATE_LENGTH])
