"""The best tracks of everyone: an exact, blockwise top N of factor scores.

Here: vectors in, ranked track indices out, as fast as NumPy goes. Not here: where the vectors come from
(training), what the indices are called (tables and identifiers), what is done with the lists (publishing).
"""

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt
from scipy import sparse

Floats: TypeAlias = npt.NDArray[np.float32]
Positions: TypeAlias = npt.NDArray[np.int64]
ExtraScores: TypeAlias = Callable[[int, int], Floats]

PADDING_INDEX = -1
# Tracks scored at a time: 2,048 x 256 scores stay in the cache between the product and the selection.
TILE_TRACKS = 2048
# Tracks per group. More: fewer maxima to look at, but more scores to look at in each group that is hit.
LARGEST_GROUP = 16
LOWEST_SCORE = np.finfo(np.float32).min
NOTHING = np.float32(-np.inf)
SIGN_BIT = np.uint32(1 << 31)
LAST_TRACK = np.uint64((1 << 32) - 1)


class TopN(NamedTuple):
    """The best tracks per user, best first.

    Attributes:
        indices: (users, k) int32 rows of the track vectors; -1 where fewer than k tracks are left.
        scores: (users, k) float32 scores of these tracks; -inf where the index is -1.
    """

    indices: npt.NDArray[np.int32]
    scores: Floats


def top_n(
    user_vectors: npt.NDArray[Any],
    track_vectors: npt.NDArray[Any],
    k: int,
    heard: sparse.csr_matrix | sparse.csr_array | None = None,
    extra_scores: ExtraScores | None = None,
    block_size: int = 256,
) -> TopN:
    """Rank the k best tracks of every user by the product of their vectors.

    The result is exact: the k largest scores in descending order, ties broken by the lower track index.

    Scores are computed for a block of users and a tile of tracks at a time, and only the maxima of groups of
    tracks are looked at. The k-th largest group maximum so far is a lower bound of the k-th score, as k
    different tracks reach it, so a group below the bound holds nothing of interest. Few groups are above it.

    Blocks start at row 0 and tiles at track 0, so equal input on one machine gives equal output. A matrix
    product may differ in a score's last bit with the shape of the block (BLAS chooses its kernel by shape):
    where two scores are that close, another block size, or other users beside this one, may swap them.

    Memory beyond input and output is bounded by block_size: about 10 MB for 256 users and small k, at the
    very most a few numbers per user of the block and track (when k is of the order of the tracks).

    Args:
        user_vectors: (users, dimensions) finite numbers, taken as float32.
        track_vectors: (tracks, dimensions) finite numbers, taken as float32.
        k: Length of the lists, at least 1; may exceed the number of tracks.
        heard: (users, tracks) sparse rows; a track with a stored nonzero is left out for that user.
        extra_scores: Called with (start, stop) for each block of users; returns float32
            (stop - start, tracks), which is added to the product. -inf leaves a track out.
        block_size: Users scored at a time, at least 1.

    Returns:
        The lists; padded with index -1 and score -inf where fewer than k tracks are left.

    Raises:
        ValueError: If shapes do not fit, k or block_size is below 1, a vector holds NaN or infinity or is so
            long that a score could overflow, or an extra score is NaN or +inf. Names the row.
    """
    users, tracks = _checked_vectors(user_vectors, track_vectors)
    if k < 1 or block_size < 1:
        raise ValueError(f"k and block_size must be at least 1, got {k} and {block_size}")
    if heard is not None and heard.shape != (len(users), len(tracks)):
        raise ValueError(f"heard has shape {heard.shape}, expected {(len(users), len(tracks))}")
    result = TopN(
        np.full((len(users), k), PADDING_INDEX, np.int32), np.full((len(users), k), NOTHING, np.float32)
    )
    group, width = _tile_shape(len(tracks), k)
    buffer = np.empty(width * min(block_size, len(users)), np.float32)
    for start in range(0, len(users), block_size):
        stop = min(start + block_size, len(users))
        extra = None if extra_scores is None else _checked_extra(extra_scores, start, stop, len(tracks))
        tiles = _scored_tiles(
            users[start:stop], tracks, width, buffer, extra, _heard(heard, start, stop, width)
        )
        positions, scores = _candidates(tiles, stop - start, k, group)
        _rank(positions, scores, TopN(result.indices[start:stop], result.scores[start:stop]))
    return result


def _tile_shape(tracks: int, k: int) -> tuple[int, int]:
    """Choose the tracks per group and per tile; a tile is a whole number of groups."""
    group = LARGEST_GROUP
    # A tile of fewer than k groups gives no bound, one of few more a loose one.
    while group > 1 and TILE_TRACKS // group < 2 * k:
        group //= 2
    return group, min(TILE_TRACKS, max(-(-tracks // group), 1) * group)


def _scored_tiles(
    users: Floats,
    tracks: Floats,
    width: int,
    buffer: Floats,
    extra: Floats | None,
    left_out: Callable[[int], Positions] | None,
) -> Iterator[Floats]:
    """Score a block of users tile by tile.

    Yields:
        (width, users) scores in the buffer, -inf where left out and beyond the last track. Tracks come first
        so that every step of the selection runs along contiguous memory.
    """
    tile = buffer[: width * len(users)].reshape(width, len(users))
    for start in range(0, len(tracks), width):
        stop = min(start + width, len(tracks))
        np.matmul(tracks[start:stop], users.T, out=tile[: stop - start])
        if extra is not None:
            tile[: stop - start] += extra[:, start:stop].T
        tile[stop - start :] = NOTHING
        if left_out is not None:
            tile.ravel()[left_out(start)] = NOTHING
        yield tile


class _Bound:
    """What a score must reach to be among a user's k best, as far as the tracks seen tell."""

    def __init__(self, users: int, k: int) -> None:
        self._k = k
        self._best = np.empty((users, 0), np.float32)
        self._waiting: list[Floats] = []
        self._tiles = 0
        self.reached = np.full(users, LOWEST_SCORE, np.float32)

    def see(self, maxima: Floats) -> Floats:
        """Take in the group maxima (groups, users) of the next tile; return what its scores must reach."""
        self._waiting.append(maxima)
        self._tiles += 1
        # A bound is worth renewing when the tracks seen have doubled: each doubling lets some k groups pass.
        if self._tiles & (self._tiles - 1) == 0:
            return self.renew()
        # Tracks of earlier tiles reach the bound and win ties, so that later ones must exceed it. Without
        # this, a user who likes everything equally would make a candidate of every track.
        return np.where(
            self.reached > LOWEST_SCORE, np.nextafter(self.reached, np.float32(np.inf)), LOWEST_SCORE
        )

    def renew(self) -> Floats:
        """Raise the bound to the k-th largest of all maxima seen and return it, (users,)."""
        pool = np.concatenate([self._best, *(maxima.T for maxima in self._waiting)], axis=1)
        self._waiting.clear()
        surplus = pool.shape[1] - self._k
        if surplus >= 0:
            pool.partition(surplus, axis=1)
            pool = pool[:, surplus:].copy()
            # Where fewer than k tracks are left, the bound must still exceed the -inf of those left out.
            self.reached = np.maximum(pool[:, 0], LOWEST_SCORE)
        self._best = pool
        return self.reached


def _candidates(tiles: Iterator[Floats], users: int, k: int, group: int) -> tuple[Positions, Floats]:
    """Pick what may belong to the lists.

    A group is the tracks a fixed distance apart in the tile, so that the maxima of all groups are the
    elementwise maxima of the tile's slices.

    Returns:
        Positions (track * users + user) and scores, in no particular order: the k best of every user, all
        there are if fewer, and some others.
    """
    bound = _Bound(users, k)
    positions, scores = [np.empty(0, np.int64)], [np.empty(0, np.float32)]
    first = 0
    for tile in tiles:
        members = tile.reshape(group, tile.size // group)
        maxima = np.maximum.reduce(members, axis=0)
        lowest = bound.see(maxima.reshape(-1, users))
        hits = np.flatnonzero(maxima.reshape(-1, users) >= lowest)
        hit_scores = members.take(hits, axis=1)
        kept = np.flatnonzero(hit_scores >= lowest[hits % users])
        member, hit = np.divmod(kept, max(len(hits), 1))
        positions.append(first + member * members.shape[1] + hits[hit])
        scores.append(hit_scores.ravel()[kept])
        first += tile.size
    all_positions, all_scores = np.concatenate(positions), np.concatenate(scores)
    kept = np.flatnonzero(all_scores >= bound.renew()[all_positions % users])
    return all_positions[kept], all_scores[kept]


def _rank(positions: Positions, scores: Floats, lists: TopN) -> None:
    """Sort the candidates of a block and write the best into its lists."""
    users, k = lists.indices.shape
    tracks, user = np.divmod(positions, users)
    # One row per user, so that one vectorised sort serves all; 16-bit numbers are sorted by radix.
    order = np.argsort(user.astype(np.uint16 if users <= 1 << 16 else np.int64), kind="stable")
    counts = np.bincount(user, minlength=users)
    column = np.arange(len(order)) - np.repeat(np.cumsum(counts) - counts, counts)
    keys = np.zeros((users, max(int(counts.max(initial=0)), 1)), np.uint64)
    keys[user[order], column] = _sortable(tracks[order], scores[order])
    keys.sort(axis=1)
    best = keys[:, ::-1][:, :k]
    # No score makes a key of 0: its bits would be those of a NaN.
    found = best > 0
    lists.indices[:, : best.shape[1]] = np.where(found, LAST_TRACK - (best & LAST_TRACK), -1)
    lists.scores[:, : best.shape[1]] = np.where(found, _score_of(best), NOTHING)


def _sortable(tracks: Positions, scores: Floats) -> npt.NDArray[np.uint64]:
    """Join score and track into one number that is larger for the better: higher score, then lower track."""
    # Adding 0 turns -0.0 into 0.0, which it equals; the bits of positive floats order as integers do, those
    # of negative ones the other way round.
    bits = (scores + np.float32(0)).view(np.uint32)
    ordered = np.where(bits & SIGN_BIT, ~bits, bits | SIGN_BIT)
    return (ordered.astype(np.uint64) << np.uint64(32)) | (LAST_TRACK - tracks.astype(np.uint64))


def _score_of(keys: npt.NDArray[np.uint64]) -> Floats:
    """Take the score out of numbers made by `_sortable`."""
    ordered = (keys >> np.uint64(32)).astype(np.uint32)
    return np.where(ordered & SIGN_BIT, ordered & ~SIGN_BIT, ~ordered).view(np.float32)


def _heard(
    heard: sparse.csr_matrix | sparse.csr_array | None, start: int, stop: int, width: int
) -> Callable[[int], Positions] | None:
    """Look up, for a block of users, the flat places in a (width, users) tile of the tracks to leave out."""
    if heard is None:
        return None
    users = stop - start
    begin, end = int(heard.indptr[start]), int(heard.indptr[stop])
    user = np.repeat(np.arange(users), np.diff(heard.indptr[start : stop + 1]))
    stored = heard.data[begin:end] != 0
    tracks = heard.indices[begin:end][stored].astype(np.int64)
    places = np.sort(tracks * users + user[stored])

    def of_tile(first_track: int) -> Positions:
        low, high = np.searchsorted(places, [first_track * users, (first_track + width) * users])
        return places[low:high] - first_track * users

    return of_tile


def _checked_vectors(
    user_vectors: npt.NDArray[Any], track_vectors: npt.NDArray[Any]
) -> tuple[Floats, Floats]:
    """Refuse vectors whose scores could be no finite numbers; return both as contiguous float32."""
    users, tracks = (np.ascontiguousarray(vectors, np.float32) for vectors in (user_vectors, track_vectors))
    if users.ndim != 2 or tracks.ndim != 2 or users.shape[1] != tracks.shape[1]:
        raise ValueError(f"vectors of shapes {users.shape} and {tracks.shape} have no product")
    longest = []
    for name, vectors in (("user", users), ("track", tracks)):
        lengths = np.sqrt(np.einsum("ij,ij->i", vectors, vectors, dtype=np.float64))
        if not np.isfinite(lengths).all():
            row = int(np.argmin(np.isfinite(lengths)))
            raise ValueError(f"{name} vector of row {row} holds NaN or infinity")
        longest.append((lengths.max(initial=0.0), name, int(lengths.argmax()) if len(lengths) else -1))
    # No product, nor any partial sum of it, exceeds the product of the lengths.
    if longest[0][0] * longest[1][0] >= np.finfo(np.float32).max:
        where = " and ".join(f"{name} vector of row {row}" for _, name, row in longest)
        raise ValueError(f"the score of {where} could overflow float32")
    return users, tracks


def _checked_extra(extra_scores: ExtraScores, start: int, stop: int, tracks: int) -> Floats:
    """Fetch the extra scores of a block of users; refuse a wrong shape, NaN and +inf."""
    extra = np.asarray(extra_scores(start, stop), np.float32)
    if extra.shape != (stop - start, tracks):
        expected = (stop - start, tracks)
        raise ValueError(f"extra scores of rows {start} to {stop} have shape {extra.shape}, not {expected}")
    # A maximum passes NaN on, so this takes one sight of the block and no array of its size.
    highest = extra.max(axis=1, initial=-np.inf)
    if not (highest < np.inf).all():
        raise ValueError(f"extra scores of row {start + int(np.argmin(highest < np.inf))} hold NaN or +inf")
    return extra
