import numpy as np
import pandas as pd
from hypothesis import given, settings
from hypothesis import strategies as st

from moovitamix_assets.training.dataset.features import track_features, user_features

words = st.sampled_from(["Jazz", "Pop", "R&B", "Hip Hop", "été"])
users = st.lists(st.tuples(st.lists(words, max_size=4), st.none() | words), min_size=1, max_size=12)


def users_frame(rows):
    return pd.DataFrame({"favorite_genres": [row[0] for row in rows], "gender": [row[1] for row in rows]})


@settings(max_examples=40, deadline=None)
@given(users)
def test_rows_sum_to_one_or_have_nothing(rows):
    matrix = user_features(users_frame(rows))
    assert matrix.shape[0] == len(rows)
    sums = np.asarray(matrix.sum(axis=1)).ravel()
    assert np.all(np.isclose(sums, 1.0, atol=1e-5) | (sums == 0))
    assert np.isfinite(matrix.data).all()


@settings(max_examples=40, deadline=None)
@given(users)
def test_users_with_equal_profiles_have_equal_rows(rows):
    matrix = user_features(users_frame([*rows, *rows])).toarray()
    assert np.array_equal(matrix[: len(rows)], matrix[len(rows) :])


def test_a_word_of_one_row_is_left_out_and_a_repeated_one_counts_once():
    frame = users_frame([(["Jazz", "Jazz"], "Female"), (["Jazz", "Pop"], "Female"), (["Blues"], None)])
    matrix = user_features(frame).toarray()
    assert matrix.shape == (3, 2)
    np.testing.assert_allclose(matrix, [[0.5, 0.5], [0.5, 0.5], [0.0, 0.0]])


def test_the_same_word_as_artist_and_as_genre_is_two_features():
    frame = pd.DataFrame(
        {
            "artist": ["Blue", "Blue", "Red"],
            "songwriters": [None, None, None],
            "album": [None, None, None],
            "genres": [["Blue"], [], ["Blue"]],
        }
    )
    matrix = track_features(frame).toarray()
    assert matrix.shape == (3, 2)
    np.testing.assert_allclose(matrix.sum(axis=1), 1.0)
    assert not np.array_equal(matrix[1], matrix[2])
