"""What the tests of the API share: a folder of generations, and clients of an application on it."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from foundation.publishing.generations import Generations
from moovitamix_assets.settings import Settings
from moovitamix_serving.access.keys import ApiKeys
from moovitamix_serving.app import create_app

Client = Callable[..., TestClient]


@pytest.fixture
def generations(tmp_path: Path) -> Generations:
    return Generations(tmp_path / "serving", "Publish again.")


@pytest.fixture
def client(generations: Generations) -> Iterator[Client]:
    """Starts an application on what is published by then."""
    with ExitStack() as stack:

        def start(keys: ApiKeys | None = None, **settings: Any) -> TestClient:
            changed = {"serving_watch_seconds": 0.01} | settings
            app = create_app(generations, Settings(**changed).serving, keys or ApiKeys([]))
            return stack.enter_context(TestClient(app, raise_server_exceptions=False))

        yield start
