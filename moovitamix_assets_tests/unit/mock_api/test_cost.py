"""What the source costs: CPU for a page, and memory for a million listens."""

import asyncio
import statistics
import subprocess
import sys
import time

import pytest
from starlette.types import Message

from mock_api.app import create_app
from mock_api.settings import ENDPOINTS
from moovitamix_assets_tests.unit.mock_api.conftest import small_settings

# The original takes 16 to 20 ms.
PAGE_CPU_LIMIT_SECONDS = 0.003
MILLION_LISTENS = """
import resource
from datetime import date, datetime
from mock_api.settings import MockApiSettings
from mock_api.simulation.world import World

world = World(MockApiSettings(sessions_a_day=24_000))
world.advance(date(2026, 8, 10))
assert len(world.records("listen_history", datetime(2026, 8, 10), 2000, 100)[0]) == 100
print(len(world.sessions.items), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


def test_a_page_of_a_hundred_costs_at_most_three_milliseconds() -> None:
    app = create_app(small_settings())

    async def receive() -> Message:
        return {"type": "http.request"}

    async def cost(endpoint: str) -> float:
        sizes = []

        async def send(message: Message) -> None:
            sizes.append(len(message.get("body", b"")))

        scope = {
            "type": "http",
            "method": "GET",
            "path": f"/{endpoint}",
            "query_string": b"page=2",
            "headers": [],
        }
        start = time.thread_time()
        await app(scope, receive, send)
        spent = time.thread_time() - start
        assert sum(sizes) > 10_000
        return spent

    async def median(endpoint: str) -> float:
        return statistics.median([await cost(endpoint) for _ in range(30)])

    costs = {endpoint: asyncio.run(median(endpoint)) for endpoint in ENDPOINTS}
    assert max(costs.values()) < PAGE_CPU_LIMIT_SECONDS


@pytest.mark.long
def test_a_million_listens_take_less_than_a_gigabyte() -> None:
    done = subprocess.run(
        [sys.executable, "-c", MILLION_LISTENS], capture_output=True, text=True, check=True, timeout=300
    )
    listens, peak_kilobytes = map(int, done.stdout.split())
    assert listens >= 1_000_000
    assert peak_kilobytes < 1_000_000
