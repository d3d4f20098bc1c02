"""Values as JSON knows them, for the commands that print it."""

from datetime import date
from typing import Any


def plain(value: Any) -> Any:
    """The same with days as ISO 8601 texts, at any depth."""
    if isinstance(value, date):
        return value.isoformat()[:10]
    if isinstance(value, dict):
        return {name: plain(each) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [plain(each) for each in value]
    return value
