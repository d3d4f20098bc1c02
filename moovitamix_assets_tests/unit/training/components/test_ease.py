"""EASE against the closed form of its paper, on both sides of the matrix."""

import numpy as np
import pytest

from moovitamix_assets.training.components.base import weighted, with_features_as_users
from moovitamix_assets.training.components.ease import EASE, _track_side, _user_side
from moovitamix_assets.training.dataset.training_view import split
from moovitamix_assets_tests.unit.training.worlds import taste_world


def closed_form_scores(view, l2, weighting):
    """Steck 2019, equation 8: one matrix of all tracks, inverted in double precision, its diagonal left out."""
    plays = weighted(view.plays, weighting).toarray().astype(np.float64)
    inverse = np.linalg.inv(plays.T @ plays + l2 * np.eye(plays.shape[1]))
    weights = -inverse / np.diag(inverse)
    np.fill_diagonal(weights, 0)
    return plays @ weights


@pytest.mark.parametrize(("users", "side"), [(60, "users"), (300, "tracks")])
@pytest.mark.parametrize("weighting", ["ones", "log"])
def test_scores_are_those_of_the_closed_form(users, side, weighting):
    view = split(taste_world(users=users), "before_holdout")
    fitted = EASE(regularization=50.0, weighting=weighting).fit(view, seed=1, threads=1)
    assert fitted.side == side
    known = fitted.covered_tracks
    expected = closed_form_scores(view, 50.0, weighting)
    np.testing.assert_allclose(fitted.scores(np.arange(users))[:, known], expected[:, known], atol=2e-5)


def test_both_sides_give_one_diagonal():
    plays = weighted(split(taste_world(users=60), "as_of").plays, "log")
    np.testing.assert_allclose(_user_side(plays, 30.0)[1], _track_side(plays, 30.0)[1], rtol=1e-5)


def test_both_sides_agree_with_features_too():
    view = split(taste_world(users=60), "before_holdout")
    few = EASE(regularization=50.0, feature_weight=1.0)
    fitted = few.fit(view, seed=1, threads=1)
    rows = with_features_as_users(weighted(view.plays, "ones"), view.track_features, 1.0)
    weights, _ = _track_side(rows, 50.0)
    users = np.arange(60)
    np.testing.assert_allclose(fitted.scores(users), rows[users] @ weights, atol=2e-5)
    assert fitted.matrix.shape[0] == (60 if fitted.side == "users" else len(view.track_ids))
    assert few.side(view) == min(rows.shape)


def test_tracks_without_plays_get_the_average_score():
    view = split(taste_world(), "before_holdout")
    fitted = EASE(regularization=50.0).fit(view, seed=1, threads=1)
    scores = fitted.scores(np.arange(10))
    known = fitted.covered_tracks
    assert 0 < (~known).sum() < 10
    np.testing.assert_allclose(
        scores[:, ~known].T, np.tile(scores[:, known].mean(axis=1), ((~known).sum(), 1))
    )
