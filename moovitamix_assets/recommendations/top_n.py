"""The best tracks of every user: an exact, blockwise top N of factor scores.

Here: vectors in, ranked track indices out, as fast as NumPy goes. Not here: where the vectors come from
(training), what the indices are called (tables and identifiers), what is done with the rankings (publishing).
"""

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt
from scipy import sparse

Floats: TypeAlias = npt.NDArray[np.float32]
Positions: TypeAlias = npt.NDArray[np.int64]
Seen: TypeAlias = sparse.csr_matrix | sparse.csr_array
ExtraScores: TypeAlias = Callable[[int, int], Floats]

PADDING_INDEX = -1
# Tracks scored at a time: 2,048 x 256 scores stay in the cache between the product and the selection.
TILE_TRACKS = 2048
# Tracks per group. More: fewer maxima to check, but more scores to check in each group that is hit.
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
    seen: Seen | None = None,
    extra_scores: ExtraScores | None = None,
    block_size: int = 256,
) -> TopN:
    """Rank the k best tracks of every user by the product of their vectors.

    The result is exact: the k largest scores in descending order, ties broken by the lower track index.

    Scores are computed for a block of users and a tile of tracks at a time, and only the maxima of groups of
    tracks are checked. The k-th largest group maximum so far is a lower bound of the k-th score, as k
    different tracks reach it, so a group below the bound holds nothing of interest. Few groups are above it.

    Blocks start at row 0 and tiles at track 0, so equal input on one machine, with equally many BLAS
    threads, gives equal output. A matrix product may differ in a score's last bit with the shape of the
    block (BLAS chooses its kernel by shape): where two scores are that close, another block size, or other
    users in the block, may swap them.

    Memory beyond input and output is bounded by the block: about 10 MB for 256 users and a small k; at the
    very most some ten numbers per user of the block and track, for a k of the order of the tracks or a
    catalogue that stands in rising order of score (which is slower, too: order it by falling popularity).

    Args:
        user_vectors: (users, dimensions) finite numbers, taken as float32.
        track_vectors: (tracks, dimensions) finite numbers, taken as float32.
        k: Length of a ranking, at least 1; may exceed the number of tracks.
        seen: (users, tracks) sparse rows; a track with a stored nonzero is left out for that user.
        extra_scores: Called with (start, stop) for each block of users; returns float32
            (stop - start, tracks), which is added to the product. -inf leaves a track out.
        block_size: Users scored at a time, at least 1.

    Returns:
        The rankings; padded with index -1 and score -inf where fewer than k tracks are left.

    Raises:
        ValueError: If shapes do not fit, k or block_size is below 1, a vector holds NaN or infinity or is so
            long that a score could overflow, or an extra score is NaN or +inf. Names the row.
    """
    users, tracks = _checked_vectors(user_vectors, track_vectors)
    if k < 1 or block_size < 1:
        raise ValueError(f"k and block_size must be at least 1, got {k} and {block_size}")
    expected = (len(users), len(tracks))
    if seen is not None and (seen.format != "csr" or seen.shape != expected):
        raise ValueError(f"seen is {seen.format} of shape {seen.shape}, expected csr of {expected}")
    result = TopN(
        np.full((len(users), k), PADDING_INDEX, np.int32), np.full((len(users), k), NOTHING, np.float32)
    )
    group, width = _tile_shape(len(tracks), k)
    buffer = np.empty(width * min(block_size, len(users)), np.float32)
    for start in range(0, len(users), block_size):
        stop = min(start + block_size, len(users))
        extra = None if extra_scores is None else _checked_extra(extra_scores, start, stop, len(tracks))
        left_out = None if seen is None else _seen_by_tile(seen, slice(start, stop), width)
        tiles = _scored_tiles(users[start:stop], tracks, width, buffer, extra, left_out)
        positions, scores = _candidates(tiles, stop - start, k, group)
        _rank(positions, scores, TopN(result.indices[start:stop], result.scores[start:stop]))
    return result


def _tile_shape(tracks: int, k: int) -> tuple[int, int]:
    """Choose the tracks per group and per tile; a tile is a whole number of groups."""
    tile, group = TILE_TRACKS, LARGEST_GROUP
    # The bound is loose where some of the k best share a group, so that a tile takes several k groups.
    while tile // group < 4 * k and group > 1:
        group //= 2
    while tile < 4 * k:
        tile *= 2
    return group, min(tile, max(-(-tracks // group), 1) * group)


def _scored_tiles(
    users: Floats,
    tracks: Floats,
    width: int,
    buffer: Floats,
    extra: Floats | None,
    left_out: list[Positions] | None,
) -> Iterator[Floats]:
    """Score a block of users tile by tile.

    Yields:
        (width, users) scores in the buffer, -inf where left out and beyond the last track. Tracks come first
        so that every step of the selection runs along contiguous memory.
    """
    tile = buffer[: width * len(users)].reshape(width, len(users))
    for number, start in enumerate(range(0, len(tracks), width)):
        stop = min(start + width, len(tracks))
        np.matmul(tracks[start:stop], users.T, out=tile[: stop - start])
        if extra is not None:
            tile[: stop - start] += extra[:, start:stop].T
        tile[stop - start :] = NOTHING
        if left_out is not None:
            tile.ravel()[left_out[number]] = NOTHING
        yield tile


class _Bound:
    """The score that is needed to be among a user's k best, by the tracks scored so far."""

    def __init__(self, users: int, k: int) -> None:
        self._k = k
        self._best = np.empty((users, 0), np.float32)
        self._waiting: Floats | None = None
        self._tiles = 0
        self._reached = np.full(users, LOWEST_SCORE, np.float32)

    def see(self, maxima: Floats) -> Floats:
        """Take in the group maxima (groups, users) of the next tile; return what its scores must reach."""
        # Groups of several tiles are joined into one until the bound is renewed: that loosens the bound a
        # little and keeps what is to be sorted short.
        self._waiting = maxima if self._waiting is None else np.maximum(self._waiting, maxima)
        self._tiles += 1
        # Tracks of earlier tiles reach the bound and win ties, so that later ones must exceed it. Without
        # this, a user who likes everything equally would make a candidate of every track.
        exceeding = np.nextafter(self._reached, np.float32(np.inf))
        earlier = np.where(self._reached > LOWEST_SCORE, exceeding, LOWEST_SCORE)
        # Between two doublings of the tracks seen, a bound lets some k groups pass.
        return np.maximum(earlier, self.renew()) if self._tiles.bit_count() == 1 else earlier

    def renew(self) -> Floats:
        """Raise the bound to the k-th largest of all maxima seen and return it, (users,)."""
        if self._waiting is not None:
            pool = np.concatenate([self._best, self._waiting.T], axis=1)
            # NumPy sorts short rows faster than it partitions them.
            pool.sort(axis=1)
            self._best, self._waiting = pool[:, -self._k :].copy(), None
            if self._best.shape[1] == self._k:
                # Where fewer than k tracks are left, the bound must still exceed the -inf of those left out.
                self._reached = np.maximum(self._best[:, 0], LOWEST_SCORE)
        return self._reached


def _candidates(tiles: Iterator[Floats], users: int, k: int, group: int) -> tuple[Positions, Floats]:
    """Pick what may belong to the rankings.

    A group is the tracks a fixed distance apart in the tile, so that the maxima of all groups are the
    elementwise maxima of the tile's slices.

    Returns:
        Positions (track * users + user) and scores, in no particular order: the k best of every user, all
        there are if fewer, and some others.
    """
    bound = _Bound(users, k)
    first, distance = 0, 0
    positions, maxima, members = (
        [np.empty(0, np.int64)],
        [np.empty(0, np.float32)],
        [np.empty((group, 0), np.float32)],
    )
    for tile in tiles:
        tile_members = tile.reshape(group, -1)
        tile_maxima = np.maximum.reduce(tile_members, axis=0)
        lowest = bound.see(tile_maxima.reshape(-1, users))
        hits = np.flatnonzero(tile_maxima.reshape(-1, users) >= lowest)
        # The buffer is about to be overwritten, so what the groups hold is copied, and sifted at the end.
        positions.append(first + hits)
        maxima.append(tile_maxima[hits])
        members.append(tile_members.take(hits, axis=1))
        first, distance = first + tile.size, tile_members.shape[1]
    # The last bound is the highest: most groups taken along under earlier ones are below it.
    lowest = bound.renew()
    position = np.concatenate(positions)
    passed = np.flatnonzero(np.concatenate(maxima) >= lowest[position % users])
    position = position[passed]
    scores = np.concatenate(members, axis=1).take(passed, axis=1)
    member, hit = np.nonzero(scores >= lowest[position % users])
    return position[hit] + member * distance, scores[member, hit]


def _rank(positions: Positions, scores: Floats, ranked: TopN) -> None:
    """Sort the candidates of a block and write the best into its rankings."""
    users, k = ranked.indices.shape
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
    ranked.indices[:, : best.shape[1]] = np.where(found, LAST_TRACK - (best & LAST_TRACK), -1)
    ranked.scores[:, : best.shape[1]] = np.where(found, _score_of(best), NOTHING)


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


def _seen_by_tile(seen: Seen, users: slice, width: int) -> list[Positions]:
    """Return, per tile, the flat places in its (width, users) scores that are to be left out."""
    rows, last = users.stop - users.start, seen.shape[1]
    entries = slice(int(seen.indptr[users.start]), int(seen.indptr[users.stop]))
    user = np.repeat(np.arange(rows), np.diff(seen.indptr[users.start : users.stop + 1]))
    stored = seen.data[entries] != 0
    places = np.sort(seen.indices[entries][stored].astype(np.int64) * rows + user[stored])
    firsts = np.arange(0, last, width) * rows
    parts = np.split(places, np.searchsorted(places, firsts[1:]))
    return [part - first for part, first in zip(parts, firsts, strict=False)]


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
