from dataclasses import replace

import numpy as np
import pytest
from scipy import sparse

from moovitamix_assets.training.components.lightfm import (
    FEWEST_EPOCHS,
    MOST_EPOCHS,
    MOST_UPDATES,
    LightFM,
    mixed_with_history,
    most_epochs,
)
from moovitamix_assets.training.dataset.training_view import split
from moovitamix_assets_tests.unit.training.worlds import taste_world

LIGHTFM = LightFM(embedding_size=16, epochs=10)


@pytest.fixture(scope="module")
def view():
    return split(taste_world(), "before_holdout")


def test_lightfm_guesses_the_genre_of_users_and_tracks_it_never_saw(view):
    fitted = LightFM(embedding_size=16, epochs=20, feature_weight=2.0).fit(view, seed=1, threads=1)
    embeddings = fitted.track_vectors[:, :-1]
    silent = len(view.user_ids) - 1
    liking = fitted.user_vectors[silent, :-1] @ embeddings.T
    by_genre = [liking[:-4][np.arange(len(liking) - 4) % 4 == genre].mean() for genre in range(4)]
    assert int(np.argmax(by_genre)) == silent % 4
    new = len(view.track_ids) - 2
    fans = np.flatnonzero(np.arange(silent) % 4 == new % 4)
    others = np.flatnonzero(np.arange(silent) % 4 != new % 4)
    interest = fitted.user_vectors[:, :-1] @ embeddings[new]
    assert interest[fans].mean() > interest[others].mean() + interest.std()


def test_lightfm_without_features_has_nothing_to_say_of_new_tracks(view):
    fitted = replace(LIGHTFM, feature_weight=0.0).fit(view, seed=1, threads=1)
    assert not fitted.covered_tracks[-4:].any()
    assert not fitted.track_vectors[-4:].any()


def test_stopping_after_some_epochs_is_training_for_so_many(view):
    steps = list(LIGHTFM.epoch_by_epoch(view, seed=1, threads=1, every=5))
    short = replace(LIGHTFM, epochs=5).fit(view, seed=1, threads=1)
    assert len(steps) == 2
    assert np.array_equal(steps[0].user_vectors, short.user_vectors)
    assert not np.array_equal(steps[1].user_vectors, short.user_vectors)


def test_history_moves_users_who_played_towards_the_mean_of_their_tracks(view):
    alone = LIGHTFM.fit(view, seed=1, threads=1)
    whole = replace(LIGHTFM, history_weight=1.0).fit(view, seed=1, threads=1)
    half = replace(LIGHTFM, history_weight=0.5).fit(view, seed=1, threads=1)
    played = view.plays[3].indices
    np.testing.assert_allclose(
        whole.user_vectors[3, :-1], alone.track_vectors[played, :-1].mean(axis=0), rtol=1e-4, atol=1e-6
    )
    np.testing.assert_allclose(half.user_vectors, (alone.user_vectors + whole.user_vectors) / 2, atol=1e-5)
    silent = len(view.user_ids) - 1
    assert np.array_equal(whole.user_vectors[silent], alone.user_vectors[silent])
    assert np.array_equal(whole.user_vectors[:, -1], alone.user_vectors[:, -1])


def test_lightfm_refuses_a_past_without_plays(view):
    empty = replace(view, plays=sparse.csr_matrix(view.plays.shape, dtype=np.float32))
    with pytest.raises(ValueError, match="nothing to learn from"):
        LIGHTFM.fit(empty, seed=1, threads=1)


def test_lightfm_ranks_by_what_everybody_plays_too(view):
    fitted = LIGHTFM.fit(view, seed=1, threads=1)
    played = view.track_plays > 0
    biases = fitted.track_vectors[:, -1]
    assert np.corrcoef(biases[played], np.log(view.track_plays[played]))[0, 1] > 0.5
    users = np.arange(5)
    liking = fitted.user_vectors[users, :-1] @ fitted.track_vectors[:, :-1].T
    np.testing.assert_allclose(fitted.scores(users), liking + biases, rtol=1e-5, atol=1e-5)


def test_history_decays_as_plays_do():
    view = split(taste_world(users=30, tracks=60, listens=1000, moved_on=20), "before_holdout")
    parameters = LightFM(embedding_size=8, epochs=2, time_decay=2.0)
    alone = parameters.fit(view, seed=1, threads=1)
    weights = view.freshness[3].data ** 2.0
    expected = weights @ alone.track_vectors[view.plays[3].indices, :-1] / weights.sum()
    for mixed in (
        mixed_with_history(alone, view, 1.0, time_decay=2.0),
        replace(parameters, history_weight=1.0).fit(view, seed=1, threads=1),
    ):
        np.testing.assert_allclose(mixed.user_vectors[3, :-1], expected, rtol=1e-4, atol=1e-6)


def test_much_data_gets_fewer_epochs_but_never_none():
    bearable = MOST_UPDATES // MOST_EPOCHS
    assert [most_epochs(interactions) for interactions in (0, 1, bearable)] == [MOST_EPOCHS] * 3
    for interactions in (bearable + 100_000, 2 * bearable, 5 * bearable):
        assert FEWEST_EPOCHS < most_epochs(interactions) < MOST_EPOCHS
        assert interactions * most_epochs(interactions) <= MOST_UPDATES
    assert most_epochs(1_000_000_000) == FEWEST_EPOCHS
