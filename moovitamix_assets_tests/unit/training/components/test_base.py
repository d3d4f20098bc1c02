import numpy as np
import pytest

from moovitamix_assets.training.components.base import weighted
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
