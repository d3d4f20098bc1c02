"""A run killed at any moment, then run again with no daemon: what comes out is what an undisturbed run leaves."""

import random
import shutil
from pathlib import Path

import pytest

from moovitamix_assets_tests.conftest import FIRST, LAST
from moovitamix_assets_tests.end_to_end.killing import Moment, Scene, kill_at
from moovitamix_assets_tests.integration import fingerprints
from moovitamix_assets_tests.integration.deployment import Deployment, environment, finish, moovitamix

RANGE = ("run", "--from", FIRST.isoformat(), "--to", LAST.isoformat())
LANDING = [Moment("landing a file", Scene.landing, entry=entry) for entry in (1, 2, 4, 6, 8, 10)]
TRANSACTIONS = [
    Moment("inside a warehouse transaction", Scene.transaction, entry=entry, wait=wait)
    for entry, wait in ((1, 0.0), (1, 0.15), (2, 0.05), (2, 0.15), (3, 0.1), (4, 0.05), (5, 0.05))
]
TRAINING = [
    *(Moment("in training", Scene.training, wait=wait) for wait in (0.0, 0.4, 1.0, 2.0, 4.0)),
    Moment("storing a model", Scene.storing_model),
]
COMMITS = [Moment("committing", Scene.committing, entry=entry) for entry in (1, 2)]
ANYWHERE = [
    Moment("anywhere", Scene.running, wait=10.0),
    Moment("after training", Scene.after_training, wait=0.5),
]
ALL = LANDING + TRANSACTIONS + COMMITS + TRAINING + ANYWHERE


@pytest.mark.long
@pytest.mark.parametrize("number", range(len(ALL)))
def test_a_run_killed_once_and_run_again(
    number: int, undisturbed: Deployment, source_url: str, home: Path, tmp_path: Path
) -> None:
    moment = ALL[number]
    data_dir = tmp_path / "data"
    _kill(moment, source_url, home, data_dir, random.Random(number))
    _run_again(source_url, home, data_dir, undisturbed)


def test_a_run_killed_at_every_stage_and_run_again(
    undisturbed: Deployment, source_url: str, home: Path, tmp_path: Path
) -> None:
    draw = random.Random(1)
    for moment in (LANDING[2], TRANSACTIONS[2], TRAINING[2]):
        _kill(moment, source_url, home, tmp_path / "data", draw)
    _run_again(source_url, home, tmp_path / "data", undisturbed)


def _kill(moment: Moment, source_url: str, home: Path, data_dir: Path, draw: random.Random) -> None:
    # A moment of a millisecond can be missed; then the run came through, and one from scratch is begun.
    for _attempt in range(8):
        process = moovitamix(home, environment(data_dir, source_url), *RANGE)
        where = kill_at(moment, process, data_dir, LAST, draw)
        if where is not None:
            print(f"\nkilled {where}")
            return
        assert process.returncode == 0
        shutil.rmtree(data_dir)
    raise AssertionError(f"no run was seen {moment.name}")


def _run_again(source_url: str, home: Path, data_dir: Path, undisturbed: Deployment) -> None:
    code, output = finish(moovitamix(home, environment(data_dir, source_url), *RANGE))
    assert code == 0, output
    assert fingerprints.everything(data_dir) == fingerprints.everything(undisturbed.data_dir)
