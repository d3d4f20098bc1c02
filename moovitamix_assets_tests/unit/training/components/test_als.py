import numpy as np
import pytest

from moovitamix_assets.training.components.als import ALS
from moovitamix_assets.training.components.base import Factors
from moovitamix_assets.training.dataset.training_view import split
from moovitamix_assets_tests.unit.training.worlds import taste_world


@pytest.fixture(scope="module")
def view():
    return split(taste_world(), "before_holdout")


def test_als_gives_new_tracks_the_mean_vector(view):
    fitted = ALS(embedding_size=16).fit(view, seed=1, threads=1)
    assert isinstance(fitted, Factors)
    known = fitted.covered_tracks
    np.testing.assert_allclose(
        fitted.track_vectors[~known][0], fitted.track_vectors[known].mean(axis=0), rtol=1e-4, atol=1e-6
    )
