import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from moovitamix_assets.training.components.genre_popularity import genre_popularity

GENRES = ["Jazz", "Metal", "Pop"]
some_genres = st.none() | st.lists(st.sampled_from(GENRES), max_size=3, unique=True) | st.just(float("nan"))


@settings(max_examples=150, deadline=None)
@given(some_genres, st.lists(st.tuples(some_genres, st.integers(0, 50)), min_size=1, max_size=12))
def test_shared_genres_come_first_and_then_plays(favorites, tracks):
    users, vectors = genre_popularity(
        [favorites], [genres for genres, _ in tracks], np.array([float(plays) for _, plays in tracks])
    )
    scores = (users @ vectors.T)[0]

    def shared(genres):
        return len(
            set(favorites if isinstance(favorites, list) else [])
            & set(genres if isinstance(genres, list) else [])
        )

    order = np.argsort(-scores, kind="stable")
    expected = sorted(range(len(tracks)), key=lambda row: (-shared(tracks[row][0]), -tracks[row][1], row))
    assert order.tolist() == expected


def test_a_genre_is_the_same_however_it_is_written():
    users, tracks = genre_popularity([["Hip Hop"]], [["rock"], ["hip hop"]], np.array([9.0, 1.0]))
    scores = (users @ tracks.T)[0]
    assert scores[1] > scores[0]


def test_a_large_catalogue_keeps_its_order():
    plays = np.arange(60_000, dtype=np.float64)
    users, tracks = genre_popularity([None], [None] * len(plays), plays)
    assert (
        np.argsort(-(users @ tracks.T)[0], kind="stable")[:5] == [59_999, 59_998, 59_997, 59_996, 59_995]
    ).all()
