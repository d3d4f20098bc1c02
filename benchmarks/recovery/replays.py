"""Stories replayed with a gate each, in processes of their own.

The days of one story are replayed in `days.py`; printing belongs to `__main__.py`.
"""

import csv
import json
import multiprocessing
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.recovery.days import Day, replay_days
from benchmarks.recovery.hindsight import in_hindsight
from benchmarks.recovery.loaded_world import copied_world, load_world
from benchmarks.recovery.story import Story
from benchmarks.recovery.summary import Summary, summarise

GATES: dict[str, dict[str, Any]] = {"shadow": {}, "holdout": {"shadow_days": 0, "fallback_days": 0}}
"""Settings by gate: the default, and decisions on the hold-out days alone."""

_PROCESSES = 2


@dataclass(frozen=True)
class Replayed:
    """A story replayed with one gate."""

    story: Story
    gate: str
    days: list[Day]
    summary: Summary


def replay(folder: Path, story: Story, gate: str) -> Replayed:
    """Replay a story with a gate in a copy of its world."""
    variant = folder / "variants" / f"{story.scenario}-{story.name}-{gate}"
    settings = copied_world(story, folder / "worlds", variant).changed(**GATES[gate])
    days = list(replay_days(story, settings))
    summary = summarise(
        story, gate, days, in_hindsight(story, settings), settings.monitoring.quality_minimum_users
    )
    return Replayed(story, gate, days, summary)


def replay_all(folder: Path, stories: Sequence[Story], gates: Sequence[str]) -> Iterator[Replayed]:
    """Replay every story with every gate, two at a time; yield the results in order."""
    # Read by the processes at their start: as many threads as processes.
    os.environ |= {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
    with ProcessPoolExecutor(_PROCESSES, multiprocessing.get_context("spawn")) as processes:
        list(processes.map(partial(load_world, cache=folder / "worlds"), stories))
        tasks = [(story, gate) for story in stories for gate in gates]
        yield from processes.map(partial(replay, folder), *zip(*tasks, strict=True))


def write_tables(folder: Path, replays: Sequence[Replayed]) -> None:
    """Write the days of all replays as `days.csv`, and their figures as `summary.csv`."""
    _write(
        folder / "days.csv",
        [
            {
                "scenario": each.story.scenario,
                "seed": each.story.seed,
                "shift_on": each.story.shift_on,
                "gate": each.gate,
                **asdict(day),
            }
            for each in replays
            for day in each.days
        ],
    )
    summaries = [asdict(each.summary) for each in replays]
    _write(
        folder / "summary.csv", [each | {"trainings": json.dumps(each["trainings"])} for each in summaries]
    )


def _write(path: Path, rows: Sequence[dict[str, Any]]) -> None:
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
