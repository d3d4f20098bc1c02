"""Blends on disk: every component with a stored form is read back as it was, from names that never change."""

import numpy as np
import pytest

from moovitamix_assets.training.artifacts.artifact import read_blend, write_blend
from moovitamix_assets.training.components.als import ALS
from moovitamix_assets.training.components.blend import blend
from moovitamix_assets.training.components.registry import COMPONENTS
from moovitamix_assets.training.dataset.training_view import split
from moovitamix_assets_tests.unit.training.worlds import taste_world

BLOCKS = [component for component in COMPONENTS.values() if component.stored_type]


@pytest.fixture(scope="module")
def view():
    return split(taste_world(users=30, tracks=60, listens=1000), "before_holdout")


@pytest.fixture(scope="module")
def fitted(view):
    return [ALS(embedding_size=4).fit(view, 1, 1), *(component().fit(view, 1, 1) for component in BLOCKS)]


def test_a_blend_of_every_block_gives_the_same_scores_after_reading(tmp_path, view, fitted):
    stored = blend(fitted, [1.0, *(0.5 for _ in BLOCKS)])
    entries = write_blend(tmp_path, stored)
    assert [entry["name"] for entry in entries] == [f"{kind.name}_{at}" for at, kind in enumerate(BLOCKS)]
    users = np.arange(len(view.user_ids))
    assert np.array_equal(read_blend(tmp_path, entries).scores(users), stored.scores(users))


def test_the_names_of_a_stored_ease_stay(tmp_path, fitted):
    stored = blend([fitted[1]], [0.25])
    assert write_blend(tmp_path, stored) == [{"name": "ease_0", "weight": 0.25, "side": "users"}]
    assert sorted(file.name for file in tmp_path.glob("ease_0_*")) == [
        "ease_0_covered_tracks.npy",
        "ease_0_covered_users.npy",
        "ease_0_matrix.npy",
        "ease_0_plays_data.npy",
        "ease_0_plays_indices.npy",
        "ease_0_plays_indptr.npy",
        "ease_0_plays_shape.npy",
        "ease_0_track_scale.npy",
    ]


def test_a_fitted_form_of_no_component_is_refused(tmp_path, fitted):
    class Unregistered(type(fitted[1])):
        """Of no component."""

    foreign = Unregistered(**vars(fitted[1]))
    with pytest.raises(TypeError, match="Unregistered has no stored form"):
        write_blend(tmp_path, blend([foreign], [1.0]))


def test_an_entry_of_an_unknown_component_is_refused(tmp_path, fitted):
    (entry,) = write_blend(tmp_path, blend([fitted[1]], [1.0]))
    with pytest.raises(KeyError, match="no component 'svd'"):
        read_blend(tmp_path, [{**entry, "name": "svd_0"}])
