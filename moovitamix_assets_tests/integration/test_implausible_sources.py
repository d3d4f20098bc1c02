"""A source that is wrong as a whole: run after run is refused and changes nothing; one plain run mends all."""

from collections.abc import Callable, Iterator
from datetime import date, datetime

import pytest
from _pytest.mark import ParameterSet

from foundation.operations.run_failures import failure_causes
from moovitamix_assets.ingestion.plausibility import ImplausibleSource
from moovitamix_assets_tests.integration import fingerprints
from moovitamix_assets_tests.integration.deployment import Deployment
from moovitamix_assets_tests.integration.original_source import Records, original_records, serving

FIRST, BEFORE, LAST = date(2026, 9, 1), date(2026, 9, 3), date(2026, 9, 4)
CLOCK = datetime(2026, 9, 5)
NUMBER = 120


def well() -> Records:
    return original_records(CLOCK, NUMBER)


def nothing() -> Records:
    return {endpoint: [] for endpoint in well()}


def epoch(every: int) -> Records:
    """Both times of every second record, or of every one, as seconds since 1970."""
    return {
        endpoint: [
            record if number % every else record | {"created_at": 1767225600, "updated_at": 1767225600}
            for number, record in enumerate(listed)
        ]
        for endpoint, listed in well().items()
    }


def made_anew() -> Records:
    return original_records(CLOCK, NUMBER, seed=2)


SPOILED: dict[str, tuple[Callable[[], Records], str]] = {
    "nothing": (nothing, "the source holds no record at all"),
    "half of the dates": (lambda: epoch(2), "MOOVITAMIX_UNDATED_ERROR_SHARE"),
    "all dates": (lambda: epoch(1), "MOOVITAMIX_UNDATED_ERROR_SHARE"),
    "new ids": (made_anew, "moovitamix reset"),
}

# Each with a source of one kind; crossed with the other kind in the long form.
FILTERING = {"nothing": False, "half of the dates": True, "all dates": False, "new ids": True}

Served = tuple[Records, str]


def kinds(*spoiled: str) -> list[ParameterSet]:
    """How a source is spoiled, and whether it filters."""
    return [
        pytest.param(
            how,
            filtering,
            id=f"{how}-{'filters' if filtering else 'no filters'}",
            marks=() if FILTERING[how] is filtering else pytest.mark.long,
        )
        for how in spoiled
        for filtering in (False, True)
    ]


@pytest.fixture(scope="module")
def served(request: pytest.FixtureRequest) -> Iterator[Served]:
    """The records, and where they are served."""
    records = well()
    with serving(records, filtering=request.param) as url:
        yield records, url


@pytest.fixture(scope="module")
def clean(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The tables of a load that nothing disturbed."""
    with serving(well()) as url:
        deployment = Deployment(tmp_path_factory.mktemp("clean") / "data", url)
        assert deployment.ingest(FIRST, LAST).success
    return fingerprints.tables(deployment.settings.warehouse_path)


def refused_twice(deployment: Deployment, first: date, words: str) -> None:
    for _ in range(2):
        result = deployment.ingest(first, LAST)
        assert not result.success
        assert words in "\n".join(failure_causes(result.all_events))


@pytest.mark.parametrize(
    ("how", "served"), kinds("nothing", "half of the dates", "all dates"), indirect=["served"]
)
def test_a_first_load_is_refused_and_made_once_the_source_is_well(
    how: str, served: Served, clean: dict[str, str], new_deployment: Callable[..., Deployment]
) -> None:
    records, url = served
    spoiled, words = SPOILED[how]
    deployment = new_deployment(url=url)
    records.update(spoiled())
    refused_twice(deployment, FIRST, words)
    assert not deployment.data_dir.exists()

    records.update(well())
    assert deployment.ingest(FIRST, LAST).success
    assert fingerprints.tables(deployment.settings.warehouse_path) == clean


@pytest.mark.parametrize(("how", "served"), kinds(*SPOILED), indirect=["served"])
@pytest.mark.parametrize(
    "again_from",
    [pytest.param(LAST, id="the next day"), pytest.param(FIRST, id="all days", marks=pytest.mark.long)],
)
def test_a_later_day_is_refused_and_made_once_the_source_is_well(
    again_from: date,
    how: str,
    served: Served,
    clean: dict[str, str],
    new_deployment: Callable[..., Deployment],
) -> None:
    records, url = served
    spoiled, words = SPOILED[how]
    deployment = new_deployment(url=url)
    records.update(well())
    assert deployment.ingest(FIRST, BEFORE).success
    before = fingerprints.everything(deployment.data_dir)
    records.update(spoiled())
    refused_twice(deployment, again_from, words)
    assert fingerprints.everything(deployment.data_dir) == before

    records.update(well())
    assert deployment.ingest(LAST, LAST).success
    assert fingerprints.tables(deployment.settings.warehouse_path) == clean


@pytest.mark.parametrize("served", [False], indirect=True, ids=["no filters"])
def test_the_source_is_looked_at_though_nothing_is_missing(
    served: Served, new_deployment: Callable[..., Deployment]
) -> None:
    records, url = served
    deployment = new_deployment(url=url)
    records.update(well())
    deployment.run(FIRST, FIRST)
    assert not deployment.run(FIRST, FIRST).source_not_inspected
    before = fingerprints.everything(deployment.data_dir)
    for spoiled, words in SPOILED.values():
        records.update(spoiled())
        with pytest.raises(ImplausibleSource, match=words):
            deployment.run(FIRST, FIRST)
    assert fingerprints.everything(deployment.data_dir) == before


def test_a_source_that_is_not_there_is_no_failure_where_nothing_is_missing(
    undisturbed: Deployment,
) -> None:
    gone = Deployment(undisturbed.data_dir, "http://127.0.0.1:9")
    outcome = gone.run(FIRST, date(2026, 9, 5))
    assert not outcome.missing
    assert "http://127.0.0.1:9" in outcome.source_not_inspected
