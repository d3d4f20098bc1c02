import numpy as np
import pytest

from moovitamix_assets.training.components.base import weighted, weighted_plays
from moovitamix_assets.training.dataset.training_view import split
from moovitamix_assets_tests.unit.training.worlds import taste_world


@pytest.fixture(scope="module")
def view():
    return split(taste_world(), "before_holdout")


def test_weighting_replaces_counts_and_leaves_the_plays_alone(view):
    before = view.plays.data.copy()
    assert set(weighted(view.plays, "ones").data.tolist()) == {1.0}
    np.testing.assert_allclose(weighted(view.plays, "log").data, np.log1p(before))
    assert np.array_equal(weighted(view.plays, "plays").data, before)
    assert np.array_equal(view.plays.data, before)


@pytest.mark.parametrize("weighting", ["ones", "log", "plays"])
def test_weights_are_decayed_by_age_whatever_the_weighting(weighting):
    timeless = split(taste_world(), "before_holdout")
    assert np.array_equal(
        weighted_plays(timeless, weighting, 2.0).data, weighted(timeless.plays, weighting).data
    )
    aged = split(taste_world(moved_on=20), "before_holdout")
    assert np.array_equal(weighted_plays(aged, weighting, 0.0).data, weighted(aged.plays, weighting).data)
    found = weighted_plays(aged, weighting, 2.0)
    assert np.array_equal(found.indices, aged.plays.indices)
    counts = np.ones_like(aged.plays.data) if weighting == "ones" else aged.plays.data
    left = counts * aged.freshness.data**2
    left *= counts.sum() / left.sum()
    expected = np.log1p(left) if weighting == "log" else left
    np.testing.assert_allclose(found.data, expected, rtol=1e-4)
