"""Users ranked per second by the top N on one core, compared with what LightFM, implicit and RecTools offer.

All measured interleaved in one run on the same vectors and seen tracks, rankings compared with a sort of all
scores; RecTools only where it is installed. Not here: the quality of recommendations. Run as
`python -m benchmarks.top_n`.
"""

import importlib.util
import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Annotated, Any

import numpy as np
import numpy.typing as npt
import typer
from implicit.cpu.topk import topk
from lightfm import LightFM
from rich.console import Console
from rich.table import Table
from scipy import sparse
from threadpoolctl import threadpool_limits

from moovitamix_assets.recommendations.top_n import TILE_TRACKS, top_n

Floats = npt.NDArray[np.float32]
Rankings = npt.NDArray[Any]

OURS = "top_n"
LIGHTFM = "LightFM.predict + argsort"
RECTOOLS = "RecTools ImplicitRanker"
RECTOOLS_MISSING = """RecTools is not installed, so it is left out. It wants older packages than requirements.lock
pins, hence a virtual environment of its own:
  python -m venv .venv-benchmark
  .venv-benchmark/bin/pip install --editable '.[source,benchmark]'
  .venv-benchmark/bin/python -m benchmarks.top_n"""
IMPLICIT = "implicit topk"
PEAK_OF_BLOCKS = "sgemm alone, whole blocks"
PEAK_OF_TILES = "sgemm alone, tiles of top_n"
BLOCK_SIZE = 256
# Slower by two orders, LightFM is timed on fewer users and compared per user.
LIGHTFM_USERS = 32
CHECKED_USERS = 512


@dataclass(frozen=True)
class Problem:
    """The input of every contestant.

    Attributes:
        users: (users, dimensions) normal vectors.
        tracks: (tracks, dimensions) normal vectors.
        seen: (users, tracks) random tracks to leave out.
        k: Length of a ranking.
    """

    users: Floats
    tracks: Floats
    seen: sparse.csr_matrix
    k: int


@dataclass(frozen=True)
class Contestant:
    """A way to the rankings (or, for a bare product, to nothing), and for how many users one run makes them."""

    name: str
    users: int
    run: Callable[[], Rankings | None]


def draw_problem(users: int, tracks: int, dimensions: int, seen: int, k: int) -> Problem:
    """Draw a problem, the same for the same numbers; about `seen` tracks per user are left out."""
    random = np.random.default_rng(1)
    user = np.repeat(np.arange(users), seen)
    track = random.integers(0, tracks, users * seen)
    left_out = sparse.csr_matrix((np.ones(len(user), np.float32), (user, track)), shape=(users, tracks))
    left_out.data[:] = 1
    return Problem(
        random.standard_normal((users, dimensions), np.float32),
        random.standard_normal((tracks, dimensions), np.float32),
        left_out,
        k,
    )


def contestants(problem: Problem) -> list[Contestant]:
    """All that is measured; buffers of the bare products are allocated once, as top_n does."""
    users, tracks, seen, k = problem.users, problem.tracks, problem.seen, problem.k
    few = min(LIGHTFM_USERS, len(users))
    model = lightfm_with(users, tracks)
    block = np.empty((BLOCK_SIZE, len(tracks)), np.float32)
    tile = np.empty((TILE_TRACKS, BLOCK_SIZE), np.float32)

    def lightfm() -> Rankings:
        return np.stack([predict_and_sort(model, user, problem) for user in range(few)])

    def implicit() -> Rankings:
        indices: Rankings = topk(tracks, users, k, filter_query_items=seen, num_threads=1)[0]
        return indices

    def blocks() -> None:
        for start in range(0, len(users), BLOCK_SIZE):
            rows = users[start : start + BLOCK_SIZE]
            np.matmul(rows, tracks.T, out=block[: len(rows)])

    def tiles() -> None:
        for start in range(0, len(users), BLOCK_SIZE):
            rows = users[start : start + BLOCK_SIZE]
            for first in range(0, len(tracks), TILE_TRACKS):
                columns = tracks[first : first + TILE_TRACKS]
                np.matmul(columns, rows.T, out=tile[: len(columns), : len(rows)])

    return [
        Contestant(OURS, len(users), lambda: top_n(users, tracks, k, seen, block_size=BLOCK_SIZE).indices),
        Contestant(LIGHTFM, few, lightfm),
        *rectools_contestants(problem),
        Contestant(IMPLICIT, len(users), implicit),
        Contestant(PEAK_OF_BLOCKS, len(users), blocks),
        Contestant(PEAK_OF_TILES, len(users), tiles),
    ]


def rectools_contestants(problem: Problem) -> list[Contestant]:
    """RecTools' ranker, where it is installed."""
    if not has_rectools():
        return []
    from rectools.models.rank import Distance, ImplicitRanker

    ranker = ImplicitRanker(Distance.DOT, problem.users, problem.tracks, num_threads=1)
    all_users = np.arange(len(problem.users))

    def rectools() -> Rankings:
        # All users have k tracks here, so RecTools' flat answer folds into rankings.
        ranked = ranker.rank(all_users, problem.k, filter_pairs_csr=problem.seen)[1]
        return np.asarray(ranked).reshape(-1, problem.k)

    return [Contestant(RECTOOLS, len(all_users), rectools)]


def has_rectools() -> bool:
    """Whether RecTools can be imported."""
    return importlib.util.find_spec("rectools") is not None


def lightfm_with(users: Floats, tracks: Floats) -> LightFM:
    """Make a LightFM model of given vectors without training; biases are 0."""
    model = LightFM(no_components=users.shape[1])
    model._initialize(users.shape[1], len(tracks), len(users))
    model.user_embeddings, model.item_embeddings = users, tracks
    return model


def predict_and_sort(model: LightFM, user: int, problem: Problem) -> Rankings:
    """Rank for one user the way LightFM's documentation does: predict all tracks, sort all tracks."""
    scores = model.predict(user, np.arange(len(problem.tracks), dtype=np.int32), num_threads=1)
    scores[problem.seen.indices[problem.seen.indptr[user] : problem.seen.indptr[user + 1]]] = -np.inf
    return np.argsort(-scores)[: problem.k]


def count_wrong(rankings: Rankings, problem: Problem) -> int:
    """Count the places of rankings that a sort of all scores in double precision fills differently.

    Two tracks whose scores differ by no more than the rounding of single precision may stand in for each
    other; a seen track, a track listed twice or a worse track may not.
    """
    checked = min(len(rankings), CHECKED_USERS)
    users, tracks = problem.users[:checked].astype(np.float64), problem.tracks.astype(np.float64)
    scores = users @ tracks.T
    scores[problem.seen[:checked].nonzero()] = -np.inf
    expected = np.argsort(-scores, axis=1, kind="stable")[:, : problem.k]
    found = rankings[:checked]
    gap = np.abs(np.take_along_axis(scores, found, 1) - np.take_along_axis(scores, expected, 1))
    longest = np.linalg.norm(users, axis=1, keepdims=True) * np.linalg.norm(tracks, axis=1).max()
    repeated = (np.diff(np.sort(found, axis=1), axis=1) == 0).sum()
    rounding = np.finfo(np.float32).eps * longest
    return int(((found != expected) & ~(gap <= rounding)).sum() + repeated)


def measure(entrants: list[Contestant], rounds: int) -> dict[str, list[float]]:
    """Time all contestants once per round, so that a slow moment of the machine meets all; users per core second."""
    speeds: dict[str, list[float]] = {entrant.name: [] for entrant in entrants}
    for entrant in entrants * rounds:
        # Processor time of all threads together: waiting for a busy core does not count, and a second
        # thread would gain nothing.
        begin = time.process_time()
        entrant.run()
        speeds[entrant.name].append(entrant.users / (time.process_time() - begin))
    return speeds


def ratio(speeds: dict[str, list[float]], other: str) -> float:
    """Median over rounds of how many times faster top_n is than another."""
    return median(ours / theirs for ours, theirs in zip(speeds[OURS], speeds[other], strict=True))


def main(
    users: Annotated[int, typer.Option(help="Users to rank for.")] = 2048,
    tracks: Annotated[int, typer.Option(help="Tracks to choose from.")] = 50_000,
    dimensions: Annotated[int, typer.Option(help="Numbers per vector.")] = 64,
    k: Annotated[int, typer.Option(help="Length of a ranking.")] = 20,
    seen: Annotated[int, typer.Option(help="Tracks filtered per user.")] = 50,
    rounds: Annotated[int, typer.Option(help="Runs of each, of which the median counts.")] = 7,
    json_path: Annotated[Path | None, typer.Option("--json", help="Where to write the figures.")] = None,
) -> None:
    """Measure users per second on one core; fail if any ranking is wrong."""
    problem = draw_problem(users, tracks, dimensions, seen, k)
    entrants = contestants(problem)
    if not has_rectools():
        Console().print(RECTOOLS_MISSING, style="yellow", markup=False)
    with threadpool_limits(limits=1):
        # The first run of each is its warm-up and its examination.
        wrong = {
            entrant.name: None if ranked is None else count_wrong(ranked, problem)
            for entrant in entrants
            for ranked in [entrant.run()]
        }
        speeds = measure(entrants, rounds)

    dataset = f"{tracks:,} tracks x {dimensions}, top {k}"
    table = Table("", "users/s", "top_n is", "wrong places", title=f"One core, {dataset}, {seen} seen")
    figures: list[dict[str, Any]] = []
    for name, values in speeds.items():
        times, mistakes = ratio(speeds, name), wrong[name]
        table.add_row(
            name, f"{median(values):,.0f}", f"{times:.2f} x", "" if mistakes is None else str(mistakes)
        )
        about = {"dataset": dataset, "model": name, "users": users, "rounds": rounds}
        figures.append(about | {"metric": "users_per_second", "value": median(values)})
        figures.append(about | {"metric": "top_n_is_times_faster", "value": times})
        if mistakes is not None:
            figures.append(about | {"metric": "wrong_places", "value": mistakes})
    Console().print(table)
    if json_path is not None:
        json_path.write_text(json.dumps(figures, indent=2) + "\n")
    if any(wrong.values()):
        raise typer.Exit(1)


if __name__ == "__main__":
    typer.run(main)
