from dataclasses import replace

import numpy as np
import pytest

from moovitamix_assets.training.components.popularity import Popularity
from moovitamix_assets.training.dataset.training_view import split
from moovitamix_assets_tests.unit.training.worlds import taste_world


@pytest.fixture(scope="module")
def view():
    return split(taste_world(), "before_holdout")


def test_popularity_is_recent_plays_then_all_plays(view):
    recent = np.zeros(len(view.track_ids))
    recent[[5, 9]] = [2.0, 7.0]
    fitted = Popularity().fit(replace(view, recent_plays=recent), 1, 1)
    order = np.argsort(-fitted.scores(np.array([0]))[0], kind="stable")
    assert order[:2].tolist() == [9, 5]
    rest = view.track_plays[order[2:]]
    assert (np.diff(rest) <= 0).all()
