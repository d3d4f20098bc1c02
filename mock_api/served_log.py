"""The log of what was served: one JSON line per data answer, for tests to compare with what a reader stored.

It records answers and judges nothing; faults are made in `faults.py`.
"""

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path

import orjson


def record_sha256(record: Mapping[str, object]) -> str:
    """SHA-256 of a record as JSON with sorted keys, no spaces and no escapes beyond JSON's own, in UTF-8."""
    return hashlib.sha256(orjson.dumps(record, option=orjson.OPT_SORT_KEYS)).hexdigest()


class ServedLog:
    """Appends to one file; each line is complete once written."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("ab", buffering=0)

    def write(self, answer: Mapping[str, object], records: Sequence[Mapping[str, object]]) -> None:
        """Append a line with the answer's facts, the number of its records and their SHA-256."""
        line = dict(answer) | {
            "records": len(records),
            "sha256": [record_sha256(record) for record in records],
        }
        self._file.write(orjson.dumps(line, option=orjson.OPT_APPEND_NEWLINE))
