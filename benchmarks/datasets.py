"""Public listening and rating data as training views, cut the way the project's figures are.

Only loaders and splits belong here; nothing of the data is part of the project. HetRec 2011 Last.fm 2k
(Cantador, Brusilovsky, Kuflik, RecSys 2011) and MovieLens (Harper, Konstan, ACM TiiS 2015), both from GroupLens.
"""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy import sparse

from moovitamix_assets.training.dataset.features import row_normalised
from moovitamix_assets.training.dataset.training_view import TrainingView

Format = Literal["hetrec", "movielens"]
SplitName = Literal["random", "time"]

TEST_SHARES: dict[tuple[Format, SplitName], float] = {
    ("hetrec", "random"): 0.20,
    ("hetrec", "time"): 0.15,
    ("movielens", "random"): 0.25,
    ("movielens", "time"): 0.15,
}

WORDS_PER_ITEM = 20
"""Of an item with more tags the most frequent are kept: training costs what the rows hold."""


@dataclass(frozen=True)
class Events:
    """Interactions, one row per user and item.

    Attributes:
        interactions: user, item, weight (plays, or 1) and time (NaT where the data has none), one row each.
        words: item, word, count and time: what is known of items (tags, genres).
    """

    interactions: pd.DataFrame
    words: pd.DataFrame


def load(form: Format, path: Path, split_name: SplitName) -> Events:
    """Read a data set's folder in the form that a split needs.

    Raises:
        FileNotFoundError: If the folder does not hold the files of that format.
    """
    if form == "hetrec":
        return _hetrec_plays(path) if split_name == "random" else _hetrec_tag_times(path)
    return _movielens(path)


def split_views(
    events: Events, split_name: SplitName, test_share: float, seed: int
) -> tuple[TrainingView, TrainingView]:
    """Cut a test part and, from what remains, a validation part of the same share in the same way.

    Returns:
        The view for tuning (fits on the rest of the training part, tests on its validation part) and the view
        for the figures (fits on the whole training part, tests on the test part). In a cut by time, both the
        words and the test users are restricted to what was known and who was there before the cut.
    """
    test = _chosen(events.interactions, split_name, test_share, seed)
    training = events.interactions[~test]
    validation = _chosen(training, split_name, test_share, seed + 1)
    users = np.unique(events.interactions["user"])
    items = np.unique(events.interactions["item"])
    final = view_of(training, events.interactions[test], events.words, users, items)
    tuning = view_of(training[~validation], training[validation], events.words, users, items)
    return tuning, final


def _chosen(
    interactions: pd.DataFrame, split_name: SplitName, share: float, seed: int
) -> npt.NDArray[np.bool_]:
    if split_name == "time":
        return np.asarray(interactions["time"] > interactions["time"].quantile(1 - share), dtype=bool)
    shuffled = interactions.sample(frac=1.0, random_state=seed)
    place = shuffled.groupby("user").cumcount()
    size = shuffled.groupby("user")["item"].transform("size")
    return np.asarray((place < np.floor(size * share)).reindex(interactions.index), dtype=bool)


def view_of(
    training: pd.DataFrame,
    test: pd.DataFrame,
    words: pd.DataFrame,
    users: npt.NDArray[np.int64],
    items: npt.NDArray[np.int64],
) -> TrainingView:
    """Return the view that fits on `training` and tests on `test`; all users and items are rows and columns."""
    test = test[test["user"].isin(training["user"].unique())]
    plays = _matrix(training, training["weight"].to_numpy(np.float32), users, items)
    words = _words_known(words, training, test)
    return TrainingView(
        user_ids=users,
        track_ids=items,
        plays=plays,
        recent_plays=np.bincount(plays.indices, minlength=len(items)).astype(np.float64),
        test=_matrix(test, np.ones(len(test), dtype=np.float32), users, items),
        user_features=sparse.csr_matrix((len(users), 0), dtype=np.float32),
        track_features=_words(words, items),
    )


def _matrix(
    interactions: pd.DataFrame,
    values: npt.NDArray[np.float32],
    users: npt.NDArray[np.int64],
    items: npt.NDArray[np.int64],
) -> sparse.csr_matrix:
    rows, cells = np.searchsorted(users, interactions["user"]), np.searchsorted(items, interactions["item"])
    matrix = sparse.csr_matrix((values, (rows, cells)), shape=(len(users), len(items)), dtype=np.float32)
    matrix.sort_indices()
    return matrix


def _words_known(words: pd.DataFrame, training: pd.DataFrame, test: pd.DataFrame) -> pd.DataFrame:
    """Leave out the words that came after the cut, and those a user gave to what is now the user's test."""
    if training["time"].notna().any():
        words = words[(words["time"] <= training["time"].max()) | words["time"].isna()]
    if "user" not in words:
        return words
    interactions = pd.MultiIndex.from_frame(words[["user", "item"]])
    return words[~interactions.isin(pd.MultiIndex.from_frame(test[["user", "item"]]))]


def _words(words: pd.DataFrame, items: npt.NDArray[np.int64]) -> sparse.csr_matrix:
    """Return each item's most frequent words, weighted by how often they were given, rows summing to one."""
    counts = words[words["item"].isin(items)].groupby(["item", "word"], as_index=False)["count"].sum()
    counts = counts[counts.groupby("word")["item"].transform("size") >= 2]
    counts = counts.sort_values(["item", "count", "word"], ascending=[True, False, True])
    counts = counts[counts.groupby("item").cumcount() < WORDS_PER_ITEM]
    codes, vocabulary = pd.factorize(counts["word"], sort=True)
    values, rows = counts["count"].to_numpy(np.float32), np.searchsorted(items, counts["item"])
    shape = (len(items), len(vocabulary))
    return row_normalised(sparse.csr_matrix((values, (rows, codes)), shape=shape, dtype=np.float32))


def _hetrec_plays(path: Path) -> Events:
    interactions = pd.read_csv(
        path / "user_artists.dat", sep="\t", names=["user", "item", "weight"], skiprows=1
    )
    interactions["time"] = pd.NaT
    return Events(interactions, _hetrec_tags(path).assign(time=np.datetime64("NaT")))


def _hetrec_tag_times(path: Path) -> Events:
    tags = _hetrec_tags(path)
    interactions = tags.groupby(["user", "item"], as_index=False)["time"].min().assign(weight=1.0)
    return Events(interactions.sort_values(["time", "user", "item"], ignore_index=True), tags)


def _hetrec_tags(path: Path) -> pd.DataFrame:
    names = ["user", "item", "word", "day", "month", "year"]
    tags = pd.read_csv(path / "user_taggedartists.dat", sep="\t", names=names, skiprows=1)
    tags = tags[tags["year"] >= 2005]  # three rows are dated 1956 to 1979
    return tags.assign(time=pd.to_datetime(tags[["year", "month", "day"]]), count=1.0)


def _movielens(path: Path) -> Events:
    names = ["user", "item", "rating", "seconds"]
    if (path / "u.data").exists():
        ratings = pd.read_csv(path / "u.data", sep="\t", names=names)
        genres = pd.read_csv(path / "u.item", sep="|", header=None, encoding="latin-1")
        flags = genres.set_index(0).iloc[:, 4:]
        row, word = np.nonzero(flags.to_numpy())
        words = pd.DataFrame({"item": flags.index.to_numpy()[row], "word": word})
    elif (path / "ratings.dat").exists():
        ratings = pd.read_csv(path / "ratings.dat", sep="::", names=names, engine="python")
        movies = pd.read_csv(
            path / "movies.dat",
            sep="::",
            names=["item", "title", "word"],
            engine="python",
            encoding="latin-1",
        )
        words = _genre_words(movies)
    else:
        ratings = pd.read_csv(path / "ratings.csv", names=names, skiprows=1)
        words = _genre_words(pd.read_csv(path / "movies.csv", names=["item", "title", "word"], skiprows=1))
    interactions = ratings.assign(weight=1.0, time=pd.to_datetime(ratings["seconds"], unit="s"))
    return Events(
        interactions[["user", "item", "weight", "time"]], words.assign(count=1.0, time=np.datetime64("NaT"))
    )


def _genre_words(movies: pd.DataFrame) -> pd.DataFrame:
    return movies.assign(word=movies["word"].str.split("|")).explode("word")[["item", "word"]]


def without_features(view: TrainingView) -> TrainingView:
    """Return the view with identities only: what LightFM's own defaults see."""
    empty = sparse.csr_matrix((len(view.track_ids), 0), dtype=np.float32)
    return replace(view, track_features=empty)
