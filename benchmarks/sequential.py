"""The days that the sequential test needs to find a better challenger, and its error rate for equal models.

Simulated comparisons belong here; the test itself is `foundation/statistics/sequential.py`. NDCG@10 of two models,
user by user and day by day, is measured on the bundled world. Each simulated comparison draws users with all their
days and exchanges the two models at random, so that both sides are equal, however the models were. A gain is made by
taking hits from the champion's side.
"""

import argparse
import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import timedelta
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy import sparse

from benchmarks.bundled_world import AS_OF, world_training_set
from foundation.statistics.sequential import PairedDay, SequentialResult, judge
from mock_api.settings import MockApiSettings
from moovitamix_assets.training.components.lightfm import LightFM
from moovitamix_assets.training.dataset import columns
from moovitamix_assets.training.dataset.training_set import TrainingSet
from moovitamix_assets.training.dataset.training_view import TrainingView, split
from moovitamix_assets.training.evaluation.offline import ndcg_per_user, rank

DAYS = 7
MODEL = LightFM(epochs=50, learning_rate=0.05, regularization=3e-4)
SEEDS = (1, 2)
"""The two models differ in nothing else."""

USERS_A_DAY = ((20, 20), (100, 100), (400, 400), (2000, 2000), (20, 5000))
"""Fewest and most; each day's number is drawn between them, evenly on a logarithmic scale."""

GAINS = (0.0, 0.05, 0.1, 0.2, 0.5)
"""Of the challenger, as a share of the champion's NDCG@10."""

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Pool:
    """NDCG@10 of two models per user and day, float64 (U, DAYS); NaN where a user played nothing new."""

    one: Floats
    other: Floats


def measured_pool(known: TrainingSet) -> Pool:
    """Fit the models before the hold-out days and measure both on each of these days.

    A track counts on the day it was first played, and is filtered from then on.
    """
    view = split(known, "before_holdout")
    models = [MODEL.fit(view, seed, threads=1) for seed in SEEDS]
    pool = np.full((len(models), len(view.user_ids), DAYS), np.nan)
    seen = view.plays
    for day, relevant in enumerate(_first_played(known, view)):
        users = np.flatnonzero(np.diff(relevant.indptr))
        for number, model in enumerate(models):
            pool[number, users, day] = ndcg_per_user(rank(model, users, seen), relevant[users])
        seen = seen + relevant
    measured = ~np.isnan(pool[0]).all(axis=1)
    return Pool(pool[0, measured], pool[1, measured])


def _first_played(known: TrainingSet, view: TrainingView) -> Iterator[sparse.csr_matrix]:
    """Yield the interactions first played on each of the last days, as ones, float32 CSR (U, T)."""
    interactions = known.interactions
    first_days = interactions[columns.FIRST_LISTENED_AT].dt.floor("D")
    for ago in reversed(range(DAYS)):
        new = interactions[first_days == pd.Timestamp(AS_OF - timedelta(days=ago))]
        rows = np.searchsorted(view.user_ids, new[columns.USER_ID])
        tracks = np.searchsorted(view.track_ids, new[columns.TRACK_ID])
        yield sparse.csr_matrix((np.ones(len(new), np.float32), (rows, tracks)), shape=view.plays.shape)


@dataclass(frozen=True)
class Case:
    """A kind of comparison.

    Attributes:
        users_a_day: Fewest and most.
        gain: The challenger's NDCG@10 is the champion's times 1 + gain, on average over all users.
        lasting: The models are exchanged once per user, not once per user and day: what one model does better for
            a user lasts, and the days of a user are as little independent as they were.
    """

    users_a_day: tuple[int, int]
    gain: float
    lasting: bool = False


def simulated_days(pool: Pool, case: Case, random: np.random.Generator) -> list[PairedDay]:
    """Draw one comparison of two models that are equal except for the gain.

    Args:
        pool: Users to draw from, with replacement.
        case: What is compared.
        random: Source of chance; also of the number of users, which follows the case on average only.
    """
    least, most = case.users_a_day
    active = float(np.mean(~np.isnan(pool.one)))
    drawn = random.integers(0, len(pool.one), round(most / active))
    exchanged = random.random((len(drawn), 1 if case.lasting else DAYS)) < 0.5
    champion = np.where(exchanged, pool.other[drawn], pool.one[drawn])
    challenger = np.where(exchanged, pool.one[drawn], pool.other[drawn])
    champion = champion * (random.random(champion.shape) < 1.0 / (1.0 + case.gain))
    present = random.random(champion.shape) < np.exp(random.uniform(np.log(least / most), 0.0, DAYS))
    differences = np.where(present, challenger - champion, np.nan)
    return [_paired_day(day[~np.isnan(day)]) for day in differences.T]


def _paired_day(differences: Floats) -> PairedDay:
    users = len(differences)
    if users < 2:
        return PairedDay(users, float(differences.sum()), 0.0)
    return PairedDay(users, float(differences.mean()), float(differences.std(ddof=1) / np.sqrt(users)))


CASES = [
    case
    for users in USERS_A_DAY
    for case in (Case(users, 0.0, lasting=True), *(Case(users, gain) for gain in GAINS))
]


@dataclass(frozen=True)
class Row:
    """The outcome of many comparisons of one kind.

    Attributes:
        case: What was compared.
        better: Share of comparisons that ever called the challenger better.
        worse: The same for worse.
        median_days: Days until a verdict; None where fewer than half came to one.
        decided_first: Share decided on the first day.
    """

    case: Case
    better: float
    worse: float
    median_days: int | None
    decided_first: float


def simulate(pool: Pool, case: Case, runs: int, seed: int) -> Row:
    """Simulate comparisons of one kind, each up to its verdict or its last day."""
    random = np.random.default_rng(seed)
    results = [judge(simulated_days(pool, case, random), most_days=DAYS) for _ in range(runs)]
    verdicts = [result.verdict for result in results]
    return Row(
        case,
        verdicts.count("better") / runs,
        verdicts.count("worse") / runs,
        _median_days(results),
        sum(result.verdict != "unclear" and result.days == 1 for result in results) / runs,
    )


def _median_days(results: Sequence[SequentialResult]) -> int | None:
    needed = sorted(result.days for result in results if result.verdict != "unclear")
    half = (len(results) + 1) // 2
    return needed[half - 1] if len(needed) >= half else None


def as_table(rows: Sequence[Row]) -> str:
    """Return the rows as a Markdown table."""
    lines = [
        "| users a day | gain | better | worse | median days | on the first day |",
        "| ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    for row in rows:
        least, most = row.case.users_a_day
        gain = f"{row.case.gain:.0%}" + (", lasting" if row.case.lasting else "")
        users = f"{most:,}" if least == most else f"{least:,} to {most:,}"
        days = row.median_days or f"over {DAYS}"
        lines.append(
            f"| {users} | {gain} | {row.better:.1%} | {row.worse:.1%} | {days} | {row.decided_first:.0%} |"
        )
    return "\n".join(lines) + "\n"


def _in_words(pool: Pool) -> str:
    differences = (pool.one - pool.other)[~np.isnan(pool.one)]
    return (
        f"{len(pool.one):,} users, {len(differences) / DAYS:.0f} a day; NDCG@10 {np.nanmean(pool.one):.4f} and "
        f"{np.nanmean(pool.other):.4f}; the difference's standard deviation is {differences.std():.4f}, "
        f"{np.mean(differences == 0):.0%} tie"
    )


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the benchmark from the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=1000, help="simulated comparisons per row")
    parser.add_argument("--seed", type=int, default=1, help="of the world and the simulation")
    parser.add_argument("--json", type=Path, help="file for the figures as JSON")
    options = parser.parse_args(arguments)
    pool = measured_pool(world_training_set(MockApiSettings(seed=options.seed)))
    print(_in_words(pool))
    rows = [simulate(pool, case, options.runs, options.seed) for case in CASES]
    if options.json:
        options.json.write_text(json.dumps([asdict(row) for row in rows], indent=1) + "\n")
    print(as_table(rows))


if __name__ == "__main__":
    main()
