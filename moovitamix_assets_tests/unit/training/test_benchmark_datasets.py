"""The benchmark's loaders and splits, on made-up files in the form of the real ones."""

import numpy as np
import pytest

from benchmarks.datasets import load, split_views

USERS, ARTISTS = 30, 40


@pytest.fixture(scope="module")
def hetrec(tmp_path_factory):
    folder = tmp_path_factory.mktemp("hetrec")
    random = np.random.default_rng(1)
    plays, tags = ["//userID\tartistID\tweight"], ["userID\tartistID\ttagID\tday\tmonth\tyear"]
    for user in range(1, USERS + 1):
        for artist in random.choice(ARTISTS, 15, replace=False) + 1:
            plays.append(f"{user}\t{artist}\t{random.integers(1, 900)}")
            month = random.integers(1, 13)
            tags += [f"{user}\t{artist}\t{artist % 4}\t1\t{month}\t{year}" for year in (2009, 2010)]
            tags.append(f"{user}\t{artist}\t{100 + user}\t1\t{month}\t2010")
    tags.append("1\t1\t77\t1\t9\t1956")
    (folder / "user_artists.dat").write_text("\n".join(plays) + "\n")
    (folder / "user_taggedartists.dat").write_text("\n".join(tags) + "\n")
    return folder


@pytest.mark.parametrize("split_name", ["random", "time"])
def test_no_pair_is_both_known_and_tested(hetrec, split_name):
    events = load("hetrec", hetrec, split_name)
    tuning, final = split_views(events, split_name, 0.2, seed=42)
    for view in (tuning, final):
        assert view.test.nnz > 0
        assert view.plays.multiply(view.test).nnz == 0
        assert (view.user_plays[view.test_users] > 0).all()


@pytest.mark.parametrize("split_name", ["random", "time"])
def test_tuning_sees_nothing_of_the_test_part(hetrec, split_name):
    tuning, final = split_views(load("hetrec", hetrec, split_name), split_name, 0.2, seed=42)
    assert tuning.plays.multiply(final.test).nnz == 0
    assert tuning.test.multiply(final.test).nnz == 0
    assert tuning.plays.nnz + tuning.test.nnz <= final.plays.nnz


def test_a_random_split_takes_the_share_of_each_person_and_keeps_the_counts(hetrec):
    events = load("hetrec", hetrec, "random")
    _, final = split_views(events, "random", 0.2, seed=42)
    assert np.diff(final.test.indptr).tolist() == [3] * USERS
    assert final.plays.sum() < events.interactions["weight"].sum()
    again = split_views(events, "random", 0.2, seed=42)[1]
    other = split_views(events, "random", 0.2, seed=43)[1]
    assert (again.test != final.test).nnz == 0
    assert (other.test != final.test).nnz > 0


def test_an_event_is_the_first_tag_and_wrong_years_are_dropped(hetrec):
    events = load("hetrec", hetrec, "time")
    assert events.interactions["time"].dt.year.unique().tolist() == [2009]
    assert 77 not in set(events.words["word"])


def test_a_tag_given_to_a_tested_pair_does_not_tell_the_answer(hetrec):
    """Tag 100 + user is given by that user alone: it may mark what is known, never what is tested."""
    events = load("hetrec", hetrec, "random")
    _, final = split_views(events, "random", 0.2, seed=42)
    features = final.track_features.tocsc()
    personal = [
        set(features[:, column].indices.tolist())
        for column in range(features.shape[1])
        if features[:, column].nnz == 12
    ]
    known = {frozenset(final.plays[row].indices.tolist()) for row in range(USERS)}
    assert len(personal) == USERS
    assert all(frozenset(cells) in known for cells in personal)


def test_movielens_is_read_in_its_oldest_and_newest_form(tmp_path):
    old, new = tmp_path / "old", tmp_path / "new"
    old.mkdir()
    new.mkdir()
    (old / "u.data").write_text("1\t2\t5\t100\n2\t1\t3\t200\n")
    flags = ["|".join(["0"] * 18 + ["1"]), "|".join(["1"] + ["0"] * 18)]
    (old / "u.item").write_text(f"1|A|d||u|{flags[0]}\n2|B|d||u|{flags[1]}\n")
    (new / "ratings.csv").write_text("userId,movieId,rating,timestamp\n1,2,5.0,100\n2,1,3.0,200\n")
    (new / "movies.csv").write_text("movieId,title,genres\n1,A,Drama|War\n2,B,War\n")
    for folder in (old, new):
        events = load("movielens", folder, "random")
        assert events.interactions[["user", "item"]].to_numpy().tolist() == [[1, 2], [2, 1]]
        assert events.interactions["time"].dt.second.tolist() == [40, 20]
    assert load("movielens", old, "random").words[["item", "word"]].to_numpy().tolist() == [[1, 18], [2, 0]]
    assert load("movielens", new, "random").words["word"].tolist() == ["Drama", "War", "War"]


def test_a_folder_without_the_files_is_an_error(tmp_path):
    with pytest.raises(FileNotFoundError):
        load("hetrec", tmp_path, "random")
    with pytest.raises(FileNotFoundError):
        load("movielens", tmp_path, "time")
