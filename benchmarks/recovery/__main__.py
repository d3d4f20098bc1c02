"""Fast replays of many worlds whose tastes shift: night by night, in one process each, without a daemon.

Measured are recovery, alerts and wrong promotions. A replay through the real daemon, with its schedule and sensors, is
in `replay.py`; it takes ten times as long.

    python -m benchmarks.recovery --shift-on 8 --seed 1                      one world, one shift
    python -m benchmarks.recovery --scenarios shift quiet --worlds 4         the scenarios, two worlds at a time
"""

import argparse
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, fields, replace
from pathlib import Path
from typing import get_args

from benchmarks.recovery.days import Day
from benchmarks.recovery.replays import GATES, replay_all, write_tables
from benchmarks.recovery.story import Scenario, Story, stories_of
from benchmarks.recovery.summary import Summary, mean


def _line(day: Day) -> str:
    return (
        f"{day.number:3} {day.day} {day.model_version:19} {day.role:10} {day.users:4} users "
        f"{day.ndcg_at_10:.4f} / {day.popularity_ndcg_at_10:.4f} | {day.trigger:11} {day.decisions} | "
        f"{day.alert[:60]} [{day.seconds} s]"
    )


def _figures(summary: Summary) -> str:
    return ", ".join(
        f"{name} {value:.4g}" if isinstance(value, float) else f"{name} {value}"
        for name, value in asdict(summary).items()
    )


def _print_means(summaries: Sequence[Summary]) -> None:
    """A line per scenario and gate: the mean over worlds of every number."""
    for scenario, gate in dict.fromkeys((each.scenario, each.gate) for each in summaries):
        group = [each for each in summaries if (each.scenario, each.gate) == (scenario, gate)]
        numbers = [field.name for field in fields(Summary)][4:]
        means = {name: mean(getattr(each, name) for each in group) for name in numbers if name != "trainings"}
        triggers = sorted({trigger for each in group for trigger in each.trainings})
        means |= {
            f"trainings[{name}]": mean(each.trainings.get(name, 0) for each in group) for name in triggers
        }
        print(f"\n{scenario}, gate {gate}, mean of {len(group)} worlds:")
        print(
            "  ".join(f"{name} {'-' if value is None else f'{value:.4g}'}" for name, value in means.items())
        )


def _stories(given: argparse.Namespace) -> list[Story]:
    worlds = [
        Story(
            seed=given.seed + number,
            users=given.users,
            tracks=given.tracks,
            sessions_a_day=given.sessions_a_day,
            history=given.history,
        )
        for number in range(given.worlds)
    ]
    if given.scenarios:
        return [
            story
            for scenario in given.scenarios
            for world in worlds
            for story in stories_of(scenario, world, given.shift_days_list)
        ]
    return [
        replace(
            world,
            days=given.days,
            shift_on=given.shift_on,
            shift_days=given.shift_days,
            shift_back_on=given.shift_back_on,
        )
        for world in worlds
    ]


def main() -> None:
    """Replay the stories given by the arguments, print their days and figures, and write both as CSV."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.recovery",
        description=__doc__,
        formatter_class=argparse.RawTextHelpFormatter,
    )
    folder = Path(tempfile.gettempdir()) / "moovitamix_recovery"
    parser.add_argument(
        "--folder", type=Path, default=folder, help=f"Worlds and results. [default: {folder}]"
    )
    parser.add_argument("--worlds", type=int, default=1, help="Worlds, with seeds from --seed.")
    parser.add_argument("--gate", nargs="+", choices=GATES, default=list(GATES), help="[default: both]")
    for name in ("seed", "users", "tracks", "sessions_a_day", "history", "days"):
        parser.add_argument(f"--{name.replace('_', '-')}", type=int, default=getattr(Story, name))
    for name in ("shift_on", "shift_days", "shift_back_on"):
        parser.add_argument(
            f"--{name.replace('_', '-')}", type=int, default=getattr(Story, name), help="Of one story."
        )
    parser.add_argument("--scenarios", nargs="+", choices=get_args(Scenario), help="Instead of one story.")
    parser.add_argument(
        "--shift-days-list",
        nargs="+",
        type=int,
        default=[8, 12],
        help="When scenarios shift. [default: 8 12]",
    )
    given = parser.parse_args()
    ended = []
    for each in replay_all(given.folder, _stories(given), given.gate):
        print(f"\n{each.story.scenario}, gate {each.gate}: {each.story}")
        print("\n".join(_line(day) for day in each.days))
        print(_figures(each.summary), flush=True)
        ended.append(each)
        write_tables(given.folder, ended)
    _print_means([each.summary for each in ended])


if __name__ == "__main__":
    main()
