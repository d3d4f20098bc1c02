from dataclasses import replace
from datetime import date

import duckdb
import numpy as np
import pandas as pd
import pytest

from foundation.tables import to_arrow
from moovitamix_assets.recommendations.batch import Known, recommend_users, sample_with_titles
from moovitamix_assets.settings import Settings
from moovitamix_assets.training.artifacts.recommender import Recommender
from moovitamix_assets.training.artifacts.serving import ServedScorer
from moovitamix_assets.training.components.als import ALS
from moovitamix_assets.training.components.ease import EASE
from moovitamix_assets.training.components.lightfm import LightFM
from moovitamix_assets.training.dataset.training_view import split
from moovitamix_assets.training.evaluation.offline import best_positions, rank
from moovitamix_assets.training.selection.recipe import Recipe, WeightedComponent
from moovitamix_assets.warehouse.schemas import RECOMMENDATIONS
from moovitamix_assets_tests.unit.training.worlds import AS_OF, taste_world

NEWCOMER, STRANGER = 1, 2
BLEND = Recipe(
    (
        WeightedComponent(LightFM(embedding_size=8, epochs=3), 1.0),
        WeightedComponent(ALS(embedding_size=8), 0.5),
        WeightedComponent(EASE(regularization=50.0), 2.0),
    )
)


@pytest.fixture(scope="module")
def world():
    return taste_world()


@pytest.fixture(scope="module")
def model(world):
    recipe = Recipe((WeightedComponent(LightFM(embedding_size=8, epochs=5), 1.0),))
    return Recommender.fit(world, recipe, Settings().training, cutoff="as_of")


@pytest.fixture(scope="module")
def known(world):
    """The world a day later: one user has come and played three tracks of metal, another has only come."""
    new = pd.DataFrame({"user_id": [NEWCOMER, STRANGER], "favorite_genres": [None, ["Pop"]]})
    metal = world.tracks["track_id"][[1, 5, 9]]
    played = world.interactions[["user_id", "track_id"]]
    return Known(
        as_of=AS_OF,
        users=pd.concat([new, world.users[["user_id", "favorite_genres"]]], ignore_index=True),
        tracks=world.tracks,
        interactions=pd.concat(
            [played, pd.DataFrame({"user_id": NEWCOMER, "track_id": metal})], ignore_index=True
        ),
    )


def recommended(known, model, **changes):
    options = {"length": 20, "filter_seen": True, "expire_hours": 48} | changes
    return recommend_users(known, model, **options)


def test_each_user_gets_their_full_number_of_distinct_unseen_tracks(known, model):
    rows = recommended(known, model)
    assert (rows.groupby("user_id").size() == 20).all()
    assert set(rows["user_id"]) == set(known.users["user_id"])
    assert not rows.duplicated(["user_id", "track_id"]).any()
    assert rows.merge(known.interactions, on=["user_id", "track_id"]).empty
    assert rows["track_id"].isin(known.tracks["track_id"]).all()
    assert (rows.groupby("user_id")["rank"].apply(list).map(lambda ranks: ranks == list(range(1, 21)))).all()


def test_scores_fall_with_the_rank_and_rows_fit_the_table(known, model):
    rows = recommended(known, model)
    assert (rows.groupby("user_id")["score"].diff().dropna() <= 0).all()
    assert to_arrow(RECOMMENDATIONS, rows).num_rows == len(rows)
    assert (rows["generated_at"] == pd.Timestamp(AS_OF) + pd.Timedelta(days=1)).all()
    assert (rows["expires_at"] == pd.Timestamp(AS_OF) + pd.Timedelta(days=3)).all()


def test_the_source_says_how_recommendations_were_made(known, model):
    rows = recommended(known, model).drop_duplicates("user_id").set_index("user_id")
    assert rows.loc[STRANGER, "source"] == "cold_start"
    assert rows.loc[STRANGER, "model_version"] == "popularity"
    assert rows.loc[NEWCOMER, "source"] == "model"
    assert rows.loc[NEWCOMER, "model_version"] == model.model_version
    trained = rows.drop(index=[STRANGER, NEWCOMER, known.users["user_id"].max()])
    assert (trained["source"] == "model").all()


def test_a_newcomer_gets_what_is_close_to_their_plays(known, model):
    genres = known.tracks.set_index("track_id")["genres"].str[0]
    rows = recommended(known, model, length=5)
    listed = rows[rows["user_id"] == NEWCOMER]["track_id"].map(genres)
    assert (listed == "metal").sum() >= 4


def test_a_single_play_makes_a_newcomer(known, model):
    one = pd.DataFrame({"user_id": [STRANGER], "track_id": known.tracks["track_id"].iloc[:1]})
    played_so_far = pd.concat([known.interactions, one], ignore_index=True)
    rows = recommended(Known(known.as_of, known.users, known.tracks, played_so_far), model)
    assert set(rows[rows["user_id"] == STRANGER]["source"]) == {"model"}


def test_a_stranger_gets_popular_tracks_of_their_genre(known, model):
    tracks = known.tracks.set_index("track_id")
    rows = recommended(known, model, length=5)
    listed = rows[rows["user_id"] == STRANGER]["track_id"].tolist()
    pop = tracks[tracks["genres"].str[0] == "pop"].sort_values(
        "plays_last_30_days", ascending=False, kind="stable"
    )
    assert listed == pop.index[:5].tolist()


def test_without_a_model_all_users_get_popular_tracks_marked_so(known):
    rows = recommended(known, None)
    assert set(rows["source"]) == {"popular"}
    assert set(rows["model_version"]) == {"popularity"}
    first = known.tracks.sort_values("plays_last_30_days", ascending=False, kind="stable")["track_id"].iloc[0]
    assert rows[rows["user_id"] == STRANGER]["track_id"].iloc[0] == first
    assert rows.merge(known.interactions, on=["user_id", "track_id"]).empty


def test_seen_tracks_are_recommended_if_not_filtered(known, model):
    rows = recommended(known, model, filter_seen=False)
    assert not rows.merge(known.interactions, on=["user_id", "track_id"]).empty


def test_a_track_that_left_the_catalogue_is_not_recommended(known, model):
    left = known.tracks["track_id"].iloc[::2]
    smaller = Known(
        known.as_of, known.users, known.tracks[~known.tracks["track_id"].isin(left)], known.interactions
    )
    assert not recommended(smaller, model)["track_id"].isin(left).any()


def test_a_small_catalogue_gives_fewer_recommendations(known):
    few = known.tracks.head(3)
    rows = recommended(Known(known.as_of, known.users, few, known.interactions.iloc[:0]), None)
    assert (rows.groupby("user_id").size() == 3).all()


def test_without_users_there_are_no_rows(known):
    no_users = Known(date(2026, 9, 1), known.users.iloc[:0], known.tracks, known.interactions.iloc[:0])
    assert recommended(no_users, None).empty
    assert list(recommended(no_users, None).columns) == list(RECOMMENDATIONS.columns)


def test_without_tracks_there_are_no_rows(known):
    assert recommended(
        Known(date(2026, 9, 1), known.users, known.tracks.iloc[:0], known.interactions.iloc[:0]), None
    ).empty


def test_recommendations_do_not_depend_on_the_order_of_interactions(known, model):
    shuffled = known.interactions.sample(frac=1, random_state=1)
    again = recommended(Known(known.as_of, known.users, known.tracks, shuffled), model)
    pd.testing.assert_frame_equal(again, recommended(known, model))
    assert np.isfinite(again["score"]).all()


@pytest.fixture(scope="module")
def blended(world):
    return Recommender.fit(world, BLEND, Settings().training, cutoff="as_of")


@pytest.mark.parametrize("kept", [slice(None), slice(None, None, 3)])
def test_users_with_plays_are_served_by_all_components(known, blended, kept):
    tracks = known.tracks[kept]
    rows = recommended(Known(known.as_of, known.users, tracks, known.interactions), blended, length=5)
    there = np.isin(blended.track_ids, tracks["track_id"])
    for user in blended.user_ids[:20]:
        scores = blended.scores(np.array([user]))[0]
        played_so_far = known.interactions["track_id"][known.interactions["user_id"] == user]
        scores[~there | np.isin(blended.track_ids, played_so_far)] = -np.inf
        best = best_positions(scores[None, :], 5)[0]
        served = rows[rows["user_id"] == user]
        assert served["track_id"].tolist() == blended.track_ids[best].tolist()
        np.testing.assert_allclose(served["score"], scores[best], rtol=1e-4, atol=1e-4)


def test_users_who_left_are_not_mistaken_for_others(known, blended):
    staying = known.users.iloc[6:]
    columns = ["user_id", "rank", "track_id", "source"]
    found = recommended(replace(known, users=staying), blended, length=5)[columns]
    everyone = recommended(known, blended, length=5)[columns]
    expected = everyone[everyone["user_id"].isin(staying["user_id"])].reset_index(drop=True)
    pd.testing.assert_frame_equal(found, expected)


def test_newcomers_are_served_by_lightfm_from_a_single_play_on(known, blended):
    metal = int(known.tracks["track_id"].iloc[5])
    once = pd.DataFrame({"user_id": [STRANGER], "track_id": [metal]})
    played_so_far = pd.concat([known.interactions, once], ignore_index=True)
    rows = recommended(Known(known.as_of, known.users, known.tracks, played_so_far), blended, length=5)
    for newcomer in (NEWCOMER, STRANGER):
        played = played_so_far["track_id"][played_so_far["user_id"] == newcomer].to_numpy(np.int64)
        listed = rows[rows["user_id"] == newcomer]
        assert set(listed["source"]) == {"model"}
        expected = blended.recommend_for_session(played, 5)
        assert listed["track_id"].tolist() == [track for track, _ in expected]
        np.testing.assert_allclose(listed["score"], [score for _, score in expected], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("components", ["model", "blended"])
def test_a_track_that_came_after_the_training_is_recommended_to_those_who_play_its_kind(
    known, components, request
):
    metal = known.tracks.iloc[[1]].assign(track_id=7, plays_last_30_days=0)
    tracks = pd.concat([metal, known.tracks], ignore_index=True)
    joined = Known(known.as_of, known.users, tracks, known.interactions)
    rows = recommended(joined, request.getfixturevalue(components), length=len(tracks), filter_seen=False)
    ranks = rows[rows["track_id"] == 7].set_index("user_id")["rank"]
    assert set(ranks.index) == set(known.users["user_id"])
    loves_metal = (known.users["user_id"].to_numpy() - 100) // 3 % 4 == 1
    loves_metal[:2] = False
    users = known.users["user_id"].to_numpy()
    assert ranks[users[loves_metal]].max() < ranks[users[~loves_metal][2:]].median()
    assert ranks[NEWCOMER] < len(tracks) / 3


def test_a_track_of_today_moves_no_other_track_and_nothing_played(known, model):
    new = known.tracks.head(1).assign(track_id=7, genres=[["pop"]], plays_last_30_days=0)
    tracks = pd.concat([new, known.tracks], ignore_index=True)
    before = recommended(known, model, length=len(tracks))
    after = recommended(
        Known(known.as_of, known.users, tracks, known.interactions), model, length=len(tracks)
    )
    assert (after["track_id"] == 7).sum() == len(known.users)
    by_model = [
        rows[(rows["source"] == "model") & rows["track_id"].isin(model.track_ids[model.plays.indices])]
        for rows in (before, after)
    ]
    compared = [rows.drop(columns="rank").reset_index(drop=True) for rows in by_model]
    assert len(compared[0])
    pd.testing.assert_frame_equal(*compared, rtol=1e-5, atol=1e-5)


def test_recommendations_expire_when_the_settings_say(known):
    rows = recommended(known, None, expire_hours=6)
    assert (rows["expires_at"] - rows["generated_at"] == pd.Timedelta(hours=6)).all()


def test_tracks_seen_by_others_are_not_missing_from_a_cold_start(known, model):
    users = known.users.assign(favorite_genres=[None, ["Metal"], *known.users["favorite_genres"].iloc[2:]])
    played_so_far = known.interactions["track_id"][known.interactions["user_id"] == NEWCOMER]
    tracks = known.tracks.assign(
        plays_last_30_days=known.tracks["plays_last_30_days"]
        + 10_000 * known.tracks["track_id"].isin(played_so_far)
    )
    rows = recommended(Known(known.as_of, users, tracks, known.interactions), model, length=3)
    assert set(rows["track_id"][rows["user_id"] == STRANGER]) == set(played_so_far)


def test_users_are_served_as_they_are_measured(world):
    """User by user, for each way of being served: the rows of the day and the ranked scores of the gate agree."""
    users, tracks = world.users.iloc[:60], world.tracks.iloc[:100]
    before = replace(
        world,
        users=users,
        tracks=tracks,
        interactions=world.interactions[
            world.interactions["user_id"].isin(users["user_id"])
            & world.interactions["track_id"].isin(tracks["track_id"])
        ].reset_index(drop=True),
    )
    earlier = Recommender.fit(before, BLEND, Settings().training, cutoff="before_holdout")
    view = split(world, "before_holdout")
    user, track = view.plays.nonzero()
    known = Known(
        as_of=AS_OF,
        users=world.users[["user_id", "favorite_genres"]],
        tracks=world.tracks.assign(plays_last_30_days=view.recent_plays),
        interactions=pd.DataFrame({"user_id": view.user_ids[user], "track_id": view.track_ids[track]}),
    )
    scorer = ServedScorer.on(earlier, world, view)
    measured = rank(scorer, np.arange(len(view.user_ids)), view.plays, 20)
    served = recommended(known, earlier).groupby("user_id")["track_id"].apply(list)
    ways = scorer.serving.ways
    assert set(ways) == {"trained", "newcomer", "cold_start"}
    for row, user_id in enumerate(view.user_ids):
        expected = view.track_ids[measured[row][measured[row] >= 0]].tolist()
        assert served[user_id] == expected, (user_id, ways[row])
    sources = recommended(known, earlier).drop_duplicates("user_id")["source"]
    assert (sources.to_numpy() == np.where(ways == "cold_start", "cold_start", "model")).all()


def test_the_sample_shows_few_users_of_each_source_the_models_first() -> None:
    rows = pd.DataFrame(
        [
            {"user_id": user, "rank": rank, "track_id": 10 + rank, "score": 1 / rank, "source": source}
            for user, source in ((1, "popular"), (2, "cold_start"), (3, "model"), (4, "model"), (5, "model"))
            for rank in range(1, 8)
        ]
    )
    with duckdb.connect() as connection:
        connection.execute("CREATE TABLE dim_tracks (track_id BIGINT, name TEXT, artist TEXT)")
        connection.execute(
            "INSERT INTO dim_tracks SELECT n, 'Song ' || n, 'Singer' FROM range(11, 17) AS tracks(n)"
        )
        sample = sample_with_titles(connection, rows)

    assert list(sample["user_id"].drop_duplicates()) == [3, 4, 2, 1]
    assert list(sample.iloc[0]) == [3, "model", 1, "Song 11", "Singer", "1.000"]
    assert sample["rank"].max() == 5
