"""Days replayed through the real daemon: the source's clock is moved a day at a time, the rest acts automatically.

Schedules follow the machine's clock, so in a replay the catch-up sensor starts all nightly runs; retraining,
rollback and alerts are left to the sensors. The driver only moves the clock, waits until nothing is left to do, and
reads the results. Evaluated here is the whole service; the models alone are in `quality.py`.
"""

import argparse
import csv
import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import asdict, dataclass, fields
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import requests
import yaml
from dagster import DagsterInstance, RunsFilter

from benchmarks.bad_model import force_bad_model
from foundation.warehouse.errors import WarehouseLocked
from foundation.warehouse.rows import first_row
from mock_api.server import running_server
from mock_api.settings import MockApiSettings
from moovitamix_assets.automation.nightly_runs import UNDER_WAY
from moovitamix_assets.automation.retraining_runs import outdated_recommendations
from moovitamix_assets.settings import Settings
from moovitamix_assets.warehouse.connection import read_warehouse

_PROJECT = Path(__file__).parents[1]
_AFTER_MIDNIGHT = timedelta(days=1, hours=1)
_LONGEST_DAY_SECONDS = 900.0
_POLL_SECONDS = 0.5


@dataclass(frozen=True)
class Story:
    """A story to replay.

    Attributes:
        folder: Where data, Dagster's records and logs go.
        history: Days loaded before the daemon starts.
        days: Days replayed after them.
        shift_on: The replayed day, from 1, on which tastes change for good; 0 never.
        bad_model_on: The replayed day after which a model with shuffled users is promoted by force; 0 never.
        standstill_on: The replayed day from which the daemon is stopped for `standstill_days`; 0 never.
        standstill_days: For how long.
        retraining: The switch of automatic retraining and rollback.
        users, tracks, sessions_a_day, seed: Of the simulated world.
        alert_urls: Where alerts go.
    """

    folder: Path
    history: int = 21
    days: int = 30
    shift_on: int = 0
    bad_model_on: int = 0
    standstill_on: int = 0
    standstill_days: int = 5
    retraining: bool = True
    users: int = 800
    tracks: int = 1000
    sessions_a_day: int = 1200
    seed: int = 1
    alert_urls: str = ""

    @property
    def start(self) -> date:
        """The first partition: as late as the story allows, since partitions end with the machine's yesterday."""
        return datetime.now(UTC).date() - timedelta(days=self.history + self.days)

    def day(self, number: int) -> date:
        """A replayed day, from 1."""
        return self.start + timedelta(days=self.history + number - 1)

    def world(self) -> MockApiSettings:
        """The source, whose clock stands at the end of the history."""
        return MockApiSettings(
            port=0,
            now=datetime.combine(self.day(0), datetime.min.time()) + _AFTER_MIDNIGHT,
            first_day=self.start,
            people=self.users,
            tracks=self.tracks,
            sessions_a_day=self.sessions_a_day,
            seed=self.seed,
            taste_shift_on=self.day(self.shift_on) if self.shift_on else None,
        )


@dataclass(frozen=True)
class Day:
    """The results of a replayed day.

    Attributes:
        number, day: Which.
        model_version: The version whose recommendations (of the day before) were measured.
        users: Users measured.
        ndcg_at_10: Of their recommendations.
        popularity_ndcg_at_10: What popular tracks would have earned.
        drift: The feature furthest beyond its threshold, with value and threshold; empty if none is.
        runs: Runs by job and outcome, started for the day.
        decision: What the retraining sensor said.
        seconds: The machine's time it took.
    """

    number: int
    day: date
    model_version: str
    users: int
    ndcg_at_10: float
    popularity_ndcg_at_10: float
    drift: str
    runs: str
    decision: str
    seconds: float


class Replay:
    """A story while it is lived through."""

    def __init__(self, story: Story, url: str) -> None:
        """Load the history; the daemon is not started yet."""
        self._story = story
        self._url = url
        story.folder.mkdir(parents=True, exist_ok=True)
        _write_instance(story.folder)
        os.environ.update(_variables(story, url))
        self.settings = Settings()
        subprocess.run([_program("moovitamix"), "run", "--to", f"{story.day(0)}"], cwd=_PROJECT, check=True)
        self.instance = DagsterInstance.get()
        self._seen = {run.run_id for run in self.instance.get_runs()}

    def live(self, number: int) -> Day:
        """Move the clock past a day, wait until nothing is left to do, and return its results."""
        day, began = self._story.day(number), time.monotonic()
        moment = datetime.combine(day, datetime.min.time()) + _AFTER_MIDNIGHT
        answer = requests.post(f"{self._url}/_clock", json={"now": moment.isoformat()}, timeout=60)
        answer.raise_for_status()
        while not self._settled(day):
            if time.monotonic() - began > _LONGEST_DAY_SECONDS:
                raise TimeoutError(f"{day} did not end: {self._decision()}")
            time.sleep(_POLL_SECONDS)
        return self._told(number, day, time.monotonic() - began)

    def _settled(self, day: date) -> bool:
        if self.instance.get_runs(RunsFilter(statuses=UNDER_WAY), limit=1):
            return False
        if not str(self._decision().get("basis", "")).startswith(day.isoformat()):
            return False
        try:
            with read_warehouse(self.settings.warehouse_path) as connection:
                return not outdated_recommendations(connection, day)
        except WarehouseLocked:
            return False

    def _decision(self) -> dict[str, str]:
        for state in self.instance.all_instigator_state():
            if state.instigator_name == "retraining" and state.instigator_data:
                cursor: dict[str, str] = json.loads(getattr(state.instigator_data, "cursor", None) or "{}")
                return cursor
        return {}

    def _told(self, number: int, day: date, seconds: float) -> Day:
        with read_warehouse(self.settings.warehouse_path) as connection:
            quality = first_row(
                connection,
                """SELECT model_version, users, ndcg_at_10, popularity_ndcg_at_10 FROM recommendation_quality
                   WHERE day = ? AND segment = 'all' ORDER BY model_version = 'popularity' LIMIT 1""",
                [day],
            )
            drift = first_row(
                connection,
                """SELECT format('{} {:.3f} > {:.3f}', feature, value, threshold) FROM drift
                   WHERE day = ? AND drifted ORDER BY value / threshold DESC LIMIT 1""",
                [day],
            )
        new = [run for run in self.instance.get_runs() if run.run_id not in self._seen]
        self._seen |= {run.run_id for run in new}
        outcomes = Counter(f"{run.job_name} {run.status.value.lower()}" for run in new)
        version, users, ndcg, popularity = quality or ("none", 0, float("nan"), float("nan"))
        return Day(
            number=number,
            day=day,
            model_version=version,
            users=users,
            ndcg_at_10=ndcg,
            popularity_ndcg_at_10=popularity,
            drift=drift[0] if drift else "",
            runs=", ".join(f"{count} x {what}" for what, count in sorted(outcomes.items())),
            decision=self._decision()["decision"],
            seconds=round(seconds, 1),
        )


def replay(story: Story) -> list[Day]:
    """Live through a story, a day at a time; a line of each is printed as it ends."""
    days: list[Day] = []
    with ExitStack() as stack:
        lived = Replay(story, stack.enter_context(running_server(story.world())))
        daemon = stack.enter_context(ExitStack())
        daemon.enter_context(_daemon(story.folder))
        number = 1
        while number <= story.days:
            if number == story.standstill_on:
                daemon.close()
                number = min(number + story.standstill_days - 1, story.days)
                daemon.enter_context(_daemon(story.folder))
            days.append(lived.live(number))
            print(_line(days[-1]), flush=True)
            if number == story.bad_model_on:
                version = force_bad_model(lived.settings, story.day(number))
                print(f"    {version} is promoted by force: the champion with its users shuffled", flush=True)
            number += 1
    return days


@contextmanager
def _daemon(folder: Path) -> Iterator[None]:
    """`dagster-daemon run` in a group of its own, ended with everything that it started."""
    with (folder / "daemon.log").open("ab") as log:
        process = subprocess.Popen(
            [_program("dagster-daemon"), "run", "-m", "moovitamix_assets.definitions"],
            cwd=_PROJECT,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
        try:
            yield
        finally:
            process.send_signal(signal.SIGINT)
            try:
                process.wait(timeout=60)
            finally:
                with suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)


def _write_instance(folder: Path) -> None:
    """The project's dagster.yaml, its storage in the story's folder, its queue polled every second."""
    config = yaml.safe_load((_PROJECT / "dagster.yaml").read_text())
    for storage in ("storage", "local_artifact_storage", "compute_logs"):
        config.pop(storage)
    (folder / "dagster.yaml").write_text(yaml.safe_dump(config))


def _variables(story: Story, url: str) -> dict[str, str]:
    return {
        "DAGSTER_HOME": str(story.folder.absolute()),
        "MOOVITAMIX_DATA_DIR": str(story.folder.absolute() / "data"),
        "MOOVITAMIX_API_URL": url,
        "MOOVITAMIX_CLOCK_URL": url,
        "MOOVITAMIX_START_DATE": story.start.isoformat(),
        "MOOVITAMIX_AUTOMATIC_RETRAINING": str(story.retraining).lower(),
        "MOOVITAMIX_ALERT_URLS": story.alert_urls,
        "MOOVITAMIX_SENSOR_SECONDS": "1",
        "MOOVITAMIX_LOOKBACK_DAYS": "1",  # the simulated source has no late records
        "MOOVITAMIX_MIRROR_DECISIONS": "false",
        "PYTHONWARNINGS": "ignore",
    }


def _program(name: str) -> str:
    return str(Path(sys.executable).with_name(name))


def _line(day: Day) -> str:
    return (
        f"{day.number:3} {day.day} {day.model_version:19} {day.ndcg_at_10:.4f} / {day.popularity_ndcg_at_10:.4f} "
        f"({day.users} users) {day.drift or 'no drift'} | {day.runs} | {day.decision} [{day.seconds} s]"
    )


def main() -> None:
    """Replay the story given by the arguments, and write its table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.replay", description=__doc__)
    parser.add_argument("--folder", type=Path, required=True, help="An empty folder for everything it makes.")
    parser.add_argument("--table", type=Path, help="CSV to write. [default: days.csv in the folder]")
    parser.add_argument("--without-retraining", action="store_true", help="Pause automatic retraining.")
    numbers = [field for field in fields(Story) if field.type in (int, "int")]
    for field in numbers:
        parser.add_argument(f"--{field.name.replace('_', '-')}", type=int, default=field.default)
    parser.add_argument("--alert-urls", default="")
    given = parser.parse_args()
    story = Story(
        folder=given.folder,
        retraining=not given.without_retraining,
        alert_urls=given.alert_urls,
        **{field.name: getattr(given, field.name) for field in numbers},
    )
    # Ended from outside, it must not leave its daemon behind.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    days = replay(story)
    table = given.table or story.folder / "days.csv"
    with table.open("w", newline="") as file:
        writer = csv.DictWriter(file, [field.name for field in fields(Day)])
        writer.writeheader()
        writer.writerows(asdict(day) for day in days)


if __name__ == "__main__":
    main()
