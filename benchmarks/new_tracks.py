"""New tracks: those that nobody had played when the model was trained, compared with the newest of favourite genres.

`python -m benchmarks.new_tracks` replays the last seven days of the bundled world with a model trained before them;
`--path FOLDER` hides all plays of a tenth of the artists of HetRec Last.fm. Measuring and baselines belong here.
"""

import argparse
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy import sparse

from benchmarks.bundled_world import AS_OF, training_set_of, world_tables
from benchmarks.datasets import Events, load, view_of
from foundation.statistics.paired_difference import paired_difference
from mock_api.settings import MockApiSettings
from moovitamix_assets.recommendations.batch import Known
from moovitamix_assets.settings import Settings
from moovitamix_assets.training.artifacts.recommender import Recommender
from moovitamix_assets.training.artifacts.serving import ServedScorer, Serving, ServingContext
from moovitamix_assets.training.dataset.training_set import TrainingSet
from moovitamix_assets.training.dataset.training_view import TrainingView
from moovitamix_assets.training.evaluation.offline import Scorer, ndcg_per_user, rank
from moovitamix_assets.training.selection.model_selection import (
    choose_recipe,
    choose_recipe_on,
    starting_points,
)
from moovitamix_assets.warehouse.as_of import tracks_as_of

FIRST_SEED = 42
DAYS = 7
WORLD_DAYS = 31
HIDDEN_SHARE = 0.1
TEST_SHARE = 0.2
MODEL, WITHOUT, POPULARITY = "model", "without new tracks", "popularity"
NEWEST, NEWEST_PLAYED = "newest of favourite genres", "newest of the most played genre"
SUBJECTS = (POPULARITY, WITHOUT, NEWEST, NEWEST_PLAYED, MODEL)

Scores = npt.NDArray[np.float32]
Rows = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Measurement:
    """Users who are recommended tracks at one moment, and what they played for the first time afterwards.

    Attributes:
        user_ids: Of the rows, (U,).
        seen: What was played before, CSR (U, T).
        test: What is relevant, CSR (U, T).
        new: True for the tracks that nobody had played when the model was trained, (T,).
        subjects: By name, what is compared.
    """

    user_ids: Rows
    seen: sparse.csr_matrix
    test: sparse.csr_matrix
    new: npt.NDArray[np.bool_]
    subjects: Mapping[str, Scorer]


@dataclass(frozen=True)
class Scoring:
    """A scorer from a function of users."""

    of: Callable[[Rows], npt.NDArray[Any]]

    def scores(self, users: Rows) -> Scores:
        """Return float32 (n, T)."""
        return np.asarray(self.of(users), dtype=np.float32)


def measure(measurement: Measurement) -> pd.DataFrame:
    """Return NDCG@10 per user and subject: user_id, subject, all, new (NaN without a new track)."""
    users = np.flatnonzero(np.diff(measurement.test.indptr))
    relevant = measurement.test[users]
    of_new = relevant.multiply(measurement.new[None, :].astype(np.float32)).tocsr()
    of_new.eliminate_zeros()
    frames = []
    for name, scorer in measurement.subjects.items():
        ranked = rank(scorer, users, measurement.seen, length=10)
        frames.append(
            pd.DataFrame(
                {
                    "user_id": measurement.user_ids[users],
                    "subject": name,
                    "all": ndcg_per_user(ranked, relevant),
                    "new": ndcg_per_user(ranked, of_new),
                }
            )
        )
    return pd.concat(frames, ignore_index=True)


def subjects(
    model: Recommender,
    context: ServingContext,
    new: npt.NDArray[np.bool_],
    favorite: sparse.csr_matrix,
    genres: sparse.csr_matrix,
) -> dict[str, Scorer]:
    """Return what is compared.

    Args:
        model: Trained before.
        context: What is known when recommending.
        new: Tracks that nobody had played when the model was trained.
        favorite: Favourite genres of the users, CSR (U, G); without any, only the most played one is a baseline.
        genres: Genres of the tracks, CSR (T, G).
    """
    served = ServedScorer(Serving(model, context))
    ages = np.where(np.isnan(context.track_ages), np.where(new, 0.0, 1e6), context.track_ages)
    newness = (np.argsort(np.argsort(-ages, kind="stable")) / len(ages)).astype(np.float32)
    played = context.plays @ (genres > 0).astype(np.float32)

    def newest(users: Rows, liked: sparse.csr_matrix) -> Scores:
        return np.asarray((liked[users] @ genres.T).toarray() > 0) + newness

    def most_played(users: Rows) -> Scores:
        counts = played[users].toarray()
        liked = (counts == counts.max(axis=1, keepdims=True)) & (counts > 0)
        return newest(np.arange(len(users)), sparse.csr_matrix(liked.astype(np.float32)))

    compared: dict[str, Scorer] = {
        POPULARITY: Scoring(lambda users: np.tile(context.recent_plays, (len(users), 1))),
        WITHOUT: Scoring(lambda users: np.where(new[None, :], -np.inf, served.scores(users))),
        NEWEST_PLAYED: Scoring(most_played),
        MODEL: served,
    }
    return (
        compared if not favorite.nnz else {**compared, NEWEST: Scoring(lambda users: newest(users, favorite))}
    )


def world_days(seed: int, people: int, tracks: int) -> Iterator[Measurement]:
    """Recommend on the eves of the last seven days with a model that was trained before them."""
    source = MockApiSettings(
        seed=seed,
        people=people,
        tracks=tracks,
        sessions_a_day=people / 2,
        first_day=AS_OF - timedelta(days=WORLD_DAYS - 1),
    )
    days = [AS_OF - timedelta(days=back) for back in reversed(range(DAYS))]
    with world_tables(source) as connection:
        known = training_set_of(connection)
        catalogue = tracks_as_of(connection, AS_OF, {f"plays_before_{day:%Y%m%d}": day for day in days})
    settings = Settings().training
    model = Recommender.fit(known, choose_recipe(known, settings), settings, cutoff="before_holdout")
    print(f"seed {seed}: {model.recipe.new_tracks}", flush=True)
    for day in days:
        yield _world_day(known, catalogue, model, day)


def _world_day(known: TrainingSet, catalogue: pd.DataFrame, model: Recommender, day: date) -> Measurement:
    there = ~(catalogue["created_at"] >= pd.Timestamp(day))
    tracks = catalogue[there].assign(plays_last_30_days=catalogue.loc[there, f"plays_before_{day:%Y%m%d}"])
    first = known.interactions["first_listened_at"]
    before = known.interactions[first < pd.Timestamp(day)]
    today = known.interactions[
        (first >= pd.Timestamp(day)) & (first < pd.Timestamp(day) + pd.Timedelta(days=1))
    ]
    context = Known(day - timedelta(days=1), known.users, tracks, before).serving_context()
    played = model.track_ids[np.bincount(model.plays.indices, minlength=len(model.track_ids)) > 0]
    new = ~np.isin(context.track_ids, played)
    words = sorted({word.casefold() for row in tracks["genres"] if row is not None for word in row})
    return Measurement(
        user_ids=context.user_ids,
        seen=context.plays,
        test=Known(day, known.users, tracks, today).serving_context().plays,
        new=new,
        subjects=subjects(
            model,
            context,
            new,
            _word_matrix(known.users["favorite_genres"], words),
            _word_matrix(tracks["genres"], words),
        ),
    )


def _word_matrix(rows: pd.Series, words: Sequence[str]) -> sparse.csr_matrix:
    place = {word: number for number, word in enumerate(words)}
    found = [
        (row, place[word.casefold()])
        for row, held in enumerate(rows)
        if held is not None
        for word in held
        if word.casefold() in place
    ]
    row, column = np.array(found, dtype=np.int64).reshape(-1, 2).T
    ones = np.ones(len(found), dtype=np.float32)
    return sparse.csr_matrix((ones, (row, column)), shape=(len(rows), len(words)))


def hetrec(path: Path, seed: int) -> Iterator[Measurement]:
    """Hide all plays of a tenth of the artists, and a fifth of each user's plays of the others."""
    events = load("hetrec", path, "random")
    random = np.random.default_rng(seed)
    training, final = _hidden(events, events.interactions, random, seed)
    # The calibration is chosen on as many artists and plays, hidden from the training part in the same way.
    _, tuning = _hidden(
        events, training, random, seed + 1, HIDDEN_SHARE / (1 - HIDDEN_SHARE), TEST_SHARE / (1 - TEST_SHARE)
    )
    recipe = choose_recipe_on(tuning, seed, 1, starting_points(tuning, None))
    print(f"seed {seed}: {recipe.new_tracks}", flush=True)
    model = Recommender.fit_view(
        final, recipe, seed=seed, threads=1, model_version="benchmark", as_of=AS_OF, cutoff="as_of"
    )
    new = final.track_plays == 0
    users, tracks = final.plays.shape
    context = ServingContext(
        user_ids=final.user_ids,
        track_ids=final.track_ids,
        favorite_genres=[None] * users,
        genres=[None] * tracks,
        recent_plays=final.recent_plays,
        plays=final.plays,
        track_features=final.track_features,
        track_ages=np.full(tracks, np.nan),
    )
    nothing = sparse.csr_matrix((users, final.track_features.shape[1]), dtype=np.float32)
    compared = subjects(model, context, new, nothing, final.track_features)
    yield Measurement(final.user_ids, final.plays, final.test, new, compared)


def _hidden(
    events: Events,
    interactions: pd.DataFrame,
    random: np.random.Generator,
    seed: int,
    hidden_share: float = HIDDEN_SHARE,
    test_share: float = TEST_SHARE,
) -> tuple[pd.DataFrame, TrainingView]:
    """Return the training part of some interactions, and the view of it that is tested on the rest."""
    items = interactions["item"].unique()
    chosen = random.choice(np.sort(items), int(len(items) * hidden_share), replace=False)
    hidden = interactions["item"].isin(chosen).to_numpy()
    shuffled = interactions.sample(frac=1.0, random_state=seed)
    place = shuffled.groupby("user").cumcount()
    size = shuffled.groupby("user")["item"].transform("size")
    held_out = np.asarray((place < np.floor(size * test_share)).reindex(interactions.index), dtype=bool)
    test = hidden | held_out
    users, tracks = np.unique(events.interactions["user"]), np.unique(events.interactions["item"])
    training = interactions[~test]
    view = view_of(training, interactions[test], events.words, users, tracks)
    # Artists without any of these interactions are not in the catalogue yet: they are those of the final test.
    offered = np.isin(tracks, items)
    return training, view if offered.all() else _restricted(view, offered)


def _restricted(view: TrainingView, offered: npt.NDArray[np.bool_]) -> TrainingView:
    kept = np.flatnonzero(offered)
    return replace(
        view,
        track_ids=view.track_ids[kept],
        plays=view.plays[:, kept].tocsr(),
        recent_plays=view.recent_plays[kept],
        test=view.test[:, kept].tocsr(),
        track_features=view.track_features[kept],
    )


def summarise(figures: pd.DataFrame) -> list[dict[str, Any]]:
    """Return a row per subject: means over users and moments, and the model's intervals against each, by user."""
    by_user = figures.groupby(["seed", "user_id", "subject"])[["all", "new"]].mean().unstack("subject")
    rows = []
    for subject in [name for name in SUBJECTS if name in set(figures["subject"])]:
        mine = figures[figures["subject"] == subject]
        row: dict[str, Any] = {"subject": subject}
        for segment in ("all", "new"):
            gain = paired_difference(by_user[segment, MODEL], by_user[segment, subject], FIRST_SEED)
            row |= {
                segment: round(float(mine[segment].mean()), 4),
                f"{segment}_measured": int(mine[segment].notna().sum()),
                f"{segment}_gain_low": round(gain.low, 4),
                f"{segment}_gain_high": round(gain.high, 4),
            }
        rows.append(row)
    return rows


def as_table(rows: Sequence[Mapping[str, Any]]) -> str:
    """Return Markdown, a subject per line."""
    lines = [
        "| | NDCG@10, all | of new tracks | model - this, all | model - this, new |",
        "|---|---|---|---|---|",
    ]
    for row in rows:
        gains = [f"{row[f'{s}_gain_low']:+.4f} to {row[f'{s}_gain_high']:+.4f}" for s in ("all", "new")]
        lines.append(f"| {row['subject']} | {row['all']:.4f} | {row['new']:.4f} | {gains[0]} | {gains[1]} |")
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the benchmark from the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--path", type=Path, help="folder of HetRec Last.fm; the bundled world needs none")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--people", type=int, default=800, help="users of the bundled world")
    parser.add_argument("--tracks", type=int, default=1000, help="tracks of the bundled world")
    parser.add_argument("--json", type=Path, help="file for the figures as JSON")
    options = parser.parse_args(arguments)
    frames: list[pd.DataFrame] = []
    per_seed = {}
    for seed in range(FIRST_SEED, FIRST_SEED + options.seeds):
        moments = (
            hetrec(options.path, seed) if options.path else world_days(seed, options.people, options.tracks)
        )
        frames.append(pd.concat([measure(moment) for moment in moments], ignore_index=True).assign(seed=seed))
        per_seed[seed] = summarise(frames[-1])
        print(as_table(per_seed[seed]), flush=True)
    together = summarise(pd.concat(frames, ignore_index=True))
    print(f"\nAll {len(frames)} seeds\n{as_table(together)}")
    if options.json:
        options.json.write_text(json.dumps({"all": together, "seeds": per_seed}, indent=1) + "\n")


if __name__ == "__main__":
    main()
