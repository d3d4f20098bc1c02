"""The scripted source, shared by the tests of the client."""

from collections.abc import Iterator

import pytest

from moovitamix_assets_tests.unit.ingestion.client.scripted_source import ScriptedSource, serving


@pytest.fixture(scope="package")
def served_source() -> Iterator[ScriptedSource]:
    with serving() as source:
        yield source


@pytest.fixture
def source(served_source: ScriptedSource) -> ScriptedSource:
    served_source.reset()
    return served_source
