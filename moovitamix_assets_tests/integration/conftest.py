"""What several files of integration tests share."""

from collections.abc import Iterator

import pytest

from mock_api.server import running_server
from moovitamix_assets_tests.conftest import small_world


@pytest.fixture(scope="module")
def clock_url() -> Iterator[str]:
    """A source of one file's tests alone, whose clock they move."""
    with running_server(small_world()) as url:
        yield url
