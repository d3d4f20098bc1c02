"""What every test runs with: less of the work that a program running once does not notice, and that tests repeat.

Nothing here changes what a test sees. What tests share of a product is in the `conftest.py` of its tests.
"""

import gc
import sys
from collections.abc import Iterator

import pytest

# Half a million objects are imported, and stay: to look through them for garbage again and again takes seconds.
gc.disable()


def pytest_collection_finish() -> None:
    """Collect garbage from here on, and leave alone what was imported."""
    gc.freeze()
    gc.enable()


@pytest.fixture(scope="session", autouse=True)
def _unstamped_records_in_memory() -> Iterator[None]:
    """Dagster's records in memory without the revision of their tables, which only a migration would read.

    To find it, Alembic imports every migration that Dagster ever had, for each instance made.
    """
    if "dagster" not in sys.modules:
        yield
        return
    from dagster._core.storage.event_log import in_memory as events
    from dagster._core.storage.runs import in_memory as runs

    with pytest.MonkeyPatch.context() as patch:
        for module in (events, runs):
            patch.setattr(module, "stamp_alembic_rev", lambda *_: None)
        yield
