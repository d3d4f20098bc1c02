"""The top N against a sort of all scores, on small integers: ties are common, float arithmetic is exact."""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse

from moovitamix_assets.recommendations import top_n as module
from moovitamix_assets.recommendations.top_n import TopN, top_n

Array = npt.NDArray[Any]


def sort_everything(scores: Array, k: int) -> TopN:
    """Rank by a stable sort of complete score rows, in which -inf means left out."""
    users = len(scores)
    indices = np.full((users, k), -1, np.int32)
    best = np.full((users, k), -np.inf, np.float32)
    for user in range(users):
        order = np.argsort(-scores[user], kind="stable")
        order = order[np.isfinite(scores[user, order])][:k]
        indices[user, : len(order)] = order
        best[user, : len(order)] = scores[user, order]
    return TopN(indices, best)


def assert_same(found: TopN, expected: TopN) -> None:
    assert found.indices.dtype == np.int32
    assert found.scores.dtype == np.float32
    np.testing.assert_array_equal(found.indices, expected.indices)
    np.testing.assert_array_equal(found.scores, expected.scores)


class Case(NamedTuple):
    users: Array
    tracks: Array
    k: int
    seen: sparse.csr_matrix | None
    extra: Array | None
    block_size: int
    tile_tracks: int
    largest_group: int

    def expected(self) -> TopN:
        scores = (self.users.astype(np.float64) @ self.tracks.T.astype(np.float64)).astype(np.float32)
        if self.extra is not None:
            scores = scores + self.extra
        if self.seen is not None:
            scores = np.where(self.seen.toarray() != 0, -np.inf, scores).astype(np.float32)
        return sort_everything(scores, self.k)

    def extra_scores(self) -> Callable[[int, int], Array] | None:
        extra = self.extra
        return None if extra is None else lambda start, stop: extra[start:stop]

    def found(self) -> TopN:
        return top_n(self.users, self.tracks, self.k, self.seen, self.extra_scores(), self.block_size)


@st.composite
def cases(draw: st.DrawFn, most_users: int = 40, most_tracks: int = 200) -> Case:
    user_count, track_count = draw(st.integers(0, most_users)), draw(st.integers(0, most_tracks))
    dimensions = draw(st.integers(0, 5))
    # Magnitude 0 makes all scores tie, magnitude 9 few of them.
    magnitude = draw(st.sampled_from([0, 1, 2, 9]))
    seen_share = draw(st.sampled_from([None, 0.0, 0.1, 0.9, 1.0]))
    has_extra, left_out_share = draw(st.booleans()), draw(st.sampled_from([0.0, 0.3]))
    random = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    seen, extra = None, None
    if seen_share is not None:
        stored = random.random((user_count, track_count)) < seen_share
        seen = sparse.csr_matrix(stored.astype(np.float32))
        # A stored zero was not seen.
        seen.data[random.random(seen.nnz) < 0.2] = 0
    if has_extra:
        extra = random.integers(-3, 4, (user_count, track_count)).astype(np.float32)
        extra[random.random(extra.shape) < left_out_share] = -np.inf
    group = draw(st.sampled_from([1, 2, 16]))
    return Case(
        random.integers(-magnitude, magnitude + 1, (user_count, dimensions)).astype(np.float32),
        random.integers(-magnitude, magnitude + 1, (track_count, dimensions)).astype(np.float32),
        draw(st.integers(1, 1 + track_count + track_count // 4)),
        seen,
        extra,
        draw(st.sampled_from([1, 3, 16, 256])),
        group * draw(st.sampled_from([1, 3, 4, 100])),
        group,
    )


@settings(max_examples=250, deadline=None)
@given(cases())
def test_equals_a_sort_of_everything_for_every_block_and_tile(case: Case) -> None:
    with pytest.MonkeyPatch.context() as patch:
        # Small tiles, so that small cases go through many of them.
        patch.setattr(module, "TILE_TRACKS", case.tile_tracks)
        patch.setattr(module, "LARGEST_GROUP", case.largest_group)
        assert_same(case.found(), case.expected())


@settings(max_examples=15, deadline=None)
@given(cases(most_users=20, most_tracks=9000))
def test_equals_a_sort_of_everything_with_tiles_as_shipped(case: Case) -> None:
    assert_same(case.found(), case.expected())


@pytest.mark.parametrize("order", ["rising", "falling", "equal"])
def test_order_of_the_catalogue_does_not_matter(order: str) -> None:
    scores = {"rising": np.arange(7000), "falling": -np.arange(7000), "equal": np.zeros(7000)}[order]
    tracks = scores[:, None].astype(np.float32)
    users = np.array([[1], [-1], [0], [3]], np.float32)
    assert_same(top_n(users, tracks, 30), sort_everything(users @ tracks.T, 30))


def test_zeros_of_either_sign_tie(monkeypatch: pytest.MonkeyPatch) -> None:
    # BLAS libraries differ in the sign of a product of zero: this one keeps it.
    products = np.array([[-0.0], [0.0], [-0.0], [1.0]], np.float32)
    monkeypatch.setattr(np, "matmul", lambda tracks, users, out: np.copyto(out, products))
    found = top_n(np.ones((1, 1)), np.ones((4, 1)), 4)
    np.testing.assert_array_equal(found.indices, [[3, 0, 1, 2]])
    assert found.scores.tolist() == [[1.0, 0.0, 0.0, 0.0]]


def test_real_vectors_give_the_scores_of_their_tracks_in_order() -> None:
    random = np.random.default_rng(5)
    users, tracks = random.normal(size=(300, 32)), random.normal(size=(5000, 32))
    found = top_n(users, tracks, 25)
    scores = users @ tracks.T
    np.testing.assert_allclose(found.scores, -np.sort(-scores, axis=1)[:, :25], rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(
        found.scores, np.take_along_axis(scores, found.indices, 1), rtol=1e-4, atol=1e-4
    )
    assert (np.diff(found.scores, axis=1) <= 0).all()
    assert all(len(set(row)) == 25 for row in found.indices.tolist())


def test_equal_input_gives_equal_output_to_the_bit() -> None:
    random = np.random.default_rng(6)
    users, tracks = random.normal(size=(300, 16)), random.normal(size=(3000, 16))
    first, second = top_n(users, tracks, 20), top_n(users.copy(), tracks.copy(), 20)
    assert_same(first, second)


def test_inputs_are_left_as_they_were() -> None:
    random = np.random.default_rng(7)
    users, tracks = (
        random.normal(size=(9, 4)).astype(np.float32),
        random.normal(size=(50, 4)).astype(np.float32),
    )
    extra = random.normal(size=(9, 50)).astype(np.float32)
    seen = sparse.random(9, 50, 0.2, format="csr", random_state=7)
    before = [users.copy(), tracks.copy(), extra.copy(), seen.toarray()]
    top_n(users, tracks, 5, seen, lambda start, stop: extra[start:stop])
    for old, new in zip(before, [users, tracks, extra, seen.toarray()], strict=True):
        np.testing.assert_array_equal(old, new)


def test_pads_when_fewer_tracks_are_left() -> None:
    seen = sparse.csr_matrix(np.array([[1, 0, 0], [1, 1, 1]]))
    found = top_n(np.ones((2, 1)), np.array([[3], [1], [2]]), 5, seen)
    np.testing.assert_array_equal(found.indices, [[2, 1, -1, -1, -1], [-1] * 5])
    np.testing.assert_array_equal(found.scores, [[2, 1, *[-np.inf] * 3], [-np.inf] * 5])


def test_pads_when_few_of_a_large_catalogue_are_left() -> None:
    seen = np.ones((2, 5000), np.float32)
    seen[0, [17, 18, 4000]] = 0
    found = top_n(np.ones((2, 1)), np.arange(5000)[:, None], 20, sparse.csr_matrix(seen))
    np.testing.assert_array_equal(found.indices, [[4000, 18, 17, *[-1] * 17], [-1] * 20])


def test_seen_rows_may_be_unsorted_and_repeated() -> None:
    seen = sparse.csr_array((np.ones(3), np.array([2, 0, 2]), np.array([0, 3])), shape=(1, 4))
    np.testing.assert_array_equal(top_n(np.ones((1, 1)), np.ones((4, 1)), 3, seen).indices, [[1, 3, -1]])


def test_extra_scores_are_asked_for_block_by_block() -> None:
    asked = []

    def extra(start: int, stop: int) -> Array:
        asked.append((start, stop))
        return np.zeros((stop - start, 3), np.float32)

    top_n(np.ones((5, 1)), np.ones((3, 1)), 1, extra_scores=extra, block_size=2)
    assert asked == [(0, 2), (2, 4), (4, 5)]


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_refuses_vectors_that_are_not_finite(bad: float) -> None:
    good, spoilt = np.ones((4, 2)), np.ones((4, 2))
    spoilt[2, 1] = bad
    with pytest.raises(ValueError, match="user vector of row 2"):
        top_n(spoilt, good, 1)
    with pytest.raises(ValueError, match="track vector of row 2"):
        top_n(good, spoilt, 1)


def test_refuses_vectors_whose_score_could_overflow() -> None:
    users, tracks = np.ones((3, 2)), np.ones((4, 2))
    users[1], tracks[3] = 1e20, 1e20
    with pytest.raises(ValueError, match="user vector of row 1 and track vector of row 3"):
        top_n(users, tracks, 1)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_refuses_extra_scores_that_have_no_order(bad: float) -> None:
    extra = np.zeros((6, 3), np.float32)
    extra[4, 1] = bad
    with pytest.raises(ValueError, match="extra scores of row 4"):
        top_n(np.ones((6, 1)), np.ones((3, 1)), 1, None, lambda start, stop: extra[start:stop], block_size=2)


def test_refuses_what_does_not_fit() -> None:
    users, tracks = np.ones((4, 2)), np.ones((3, 2))
    with pytest.raises(ValueError, match="no product"):
        top_n(users, np.ones((3, 5)), 1)
    with pytest.raises(ValueError, match="no product"):
        top_n(np.ones(4), tracks, 1)
    with pytest.raises(ValueError, match="at least 1"):
        top_n(users, tracks, 0)
    with pytest.raises(ValueError, match="at least 1"):
        top_n(users, tracks, 1, block_size=0)
    with pytest.raises(ValueError, match=r"seen is csr of shape \(3, 4\)"):
        top_n(users, tracks, 1, sparse.csr_matrix((3, 4)))
    with pytest.raises(ValueError, match="seen is csc"):
        top_n(users, tracks, 1, sparse.csc_matrix((4, 3)))
    with pytest.raises(ValueError, match="extra scores of rows 0 to 4"):
        top_n(users, tracks, 1, extra_scores=lambda start, stop: np.zeros((stop - start, 7), np.float32))
