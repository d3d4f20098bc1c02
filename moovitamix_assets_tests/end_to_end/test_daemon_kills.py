"""`dagster dev` killed with all its processes in the middle of a nightly run, and started again: it heals."""

import os
import random
import shutil
import time
from collections import Counter
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from mock_api.server import running_server
from moovitamix_assets_tests.conftest import LAST, small_world
from moovitamix_assets_tests.end_to_end.daemon import Service
from moovitamix_assets_tests.integration import fingerprints
from moovitamix_assets_tests.integration.automated import copy_of
from moovitamix_assets_tests.integration.deployment import Deployment

KILLS = int(os.environ.get("DAEMON_KILLS", "2"))
SEED = int(os.environ.get("DAEMON_KILLS_SEED", "1"))
# From the moment a nightly run is asked for to its end, when nothing disturbs it.
RUN_SECONDS = float(os.environ.get("DAEMON_RUN_SECONDS", "25"))
GIVEN_UP_SECONDS = 300.0


@pytest.fixture
def service(undisturbed: Deployment, home: Path, tmp_path: Path) -> Iterator[Service]:
    shutil.copytree(undisturbed.data_dir, tmp_path / "data")
    with running_server(small_world()) as url:
        service = Service(home, tmp_path / "data", url)
        yield service
        service.stop()


@pytest.mark.long
def test_a_nightly_run_killed_at_any_moment_is_repeated_when_the_daemon_is_started_again(
    service: Service, undisturbed: Deployment, tmp_path: Path
) -> None:
    draw, outcomes = random.Random(SEED), Counter[str]()
    service.start()
    assert service.wait_for(service.is_up, GIVEN_UP_SECONDS)
    for number in range(1, KILLS + 1):
        day = LAST + timedelta(days=number)
        service.at(f"{day + timedelta(days=1)}T01:00")
        service.wait_for(lambda day=day: service.nights(day) != [], GIVEN_UP_SECONDS)
        time.sleep(draw.uniform(0, RUN_SECONDS))
        found = service.nights(day)
        was = found[0].status.value if found else "not begun"
        killed = service.kill()
        service.start()
        up = service.wait_for(service.is_up, GIVEN_UP_SECONDS)
        healed = service.wait_for(lambda day=day: service.is_made(day), GIVEN_UP_SECONDS)
        runs = [run.status.value for run in service.nights(day)]
        print(f"{number} {day} {was}, {killed} killed; up in {up} s, {runs} {healed} s later", flush=True)
        outcomes[f"killed with the run {was}"] += 1
        outcomes["healed"] += healed is not None
        outcomes["healed within 120 s of its return"] += healed is not None and healed <= 120
    service.stop()
    print(dict(outcomes))
    with running_server(small_world()) as url:
        calm = copy_of(undisturbed, tmp_path / "calm", url)
        for number in range(1, KILLS + 1):
            # Night by night: a backfill knows only the versions that the source still holds.
            calm.at(f"{LAST + timedelta(days=number + 1)}T01:00")
            assert all(run.success for run in calm.start("catch_up", calm.look("catch_up").run_requests))
    assert fingerprints.everything(tmp_path / "data") == fingerprints.everything(calm.data_dir)
    assert outcomes["healed"] == KILLS
