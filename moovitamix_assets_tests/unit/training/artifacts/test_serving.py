from dataclasses import replace

import numpy as np
import pytest

from moovitamix_assets.settings import Settings
from moovitamix_assets.training.artifacts.recommender import Recommender
from moovitamix_assets.training.artifacts.serving import (
    ServedScorer,
    Serving,
    ServingContext,
    ways_of_serving,
)
from moovitamix_assets.training.components.lightfm import LightFM
from moovitamix_assets.training.dataset.training_view import split
from moovitamix_assets.training.evaluation.offline import rank
from moovitamix_assets.training.selection.recipe import Recipe, WeightedComponent
from moovitamix_assets_tests.unit.training.worlds import taste_world

RECIPE = Recipe((WeightedComponent(LightFM(embedding_size=8, epochs=5), 1.0),))


@pytest.fixture(scope="module")
def world():
    return taste_world()


@pytest.fixture(scope="module")
def refit(world):
    return Recommender.fit(world, RECIPE, Settings().training, cutoff="before_holdout")


def test_users_with_plays_get_the_models_scores(world, refit):
    view = split(world, "before_holdout")
    known = np.flatnonzero(np.diff(view.plays.indptr) > 0)[:5]
    scores = ServedScorer.on(refit, world, view).scores(known)
    seen = view.plays[known].toarray() > 0
    compared = ~seen & (view.track_plays > 0)[None, :]
    np.testing.assert_allclose(
        scores[compared], refit.scores(view.user_ids[known])[compared], rtol=1e-5, atol=1e-5
    )
    assert (np.isneginf(scores) == seen).all()


def test_users_without_plays_get_popular_tracks_of_their_genre(world, refit):
    view = split(world, "before_holdout")
    stranger = np.flatnonzero(np.diff(view.plays.indptr) == 0)[-1:]
    best = rank(ServedScorer.on(refit, world, view), stranger, seen=None, length=5)[0]
    genre = world.users["favorite_genres"].iloc[int(stranger[0])][0].lower()
    assert [world.tracks["genres"].iloc[track][0] for track in best] == [genre] * 5


def test_a_model_of_an_earlier_day_serves_whom_it_knows_with_the_whole_catalogue(world, refit):
    smaller = taste_world(users=60, tracks=100)
    earlier = Recommender.fit(smaller, RECIPE, Settings().training, cutoff="as_of")
    view = split(world, "before_holdout")
    all_users = np.arange(len(view.user_ids))
    scores = ServedScorer.on(earlier, world, view).scores(all_users)
    unknown_tracks = ~np.isin(view.track_ids, earlier.track_ids)
    known_users = earlier.coverage(view.user_ids) == "plays"
    assert unknown_tracks.any()
    assert 0 < known_users.sum() < len(known_users)
    assert np.isfinite(scores[known_users][:, unknown_tracks]).all()
    seen = earlier.plays[np.searchsorted(earlier.user_ids, view.user_ids[known_users])].toarray() > 0
    assert (np.isfinite(scores[known_users][:, ~unknown_tracks]) == ~seen).all()
    newcomers = ~known_users & (np.diff(view.plays.indptr) > 0)
    assert newcomers.any()
    assert np.isfinite(scores[~known_users]).all()


def test_each_user_is_served_in_one_way_decided_by_what_is_known(world, refit):
    view = split(world, "before_holdout")
    context = ServingContext.of_view(world, view)
    earlier = Recommender.fit(taste_world(users=60, tracks=100), RECIPE, Settings().training, cutoff="as_of")
    trained = earlier.coverage(view.user_ids) == "plays"
    has_plays = np.diff(view.plays.indptr) > 0
    ways = ways_of_serving(earlier, context)
    assert (ways[trained] == "trained").all()
    assert (ways[~trained & has_plays] == "newcomer").all()
    assert (ways[~trained & ~has_plays] == "cold_start").all()
    assert set(ways) == {"trained", "newcomer", "cold_start"}
    assert set(ways_of_serving(None, context)) == {"popular"}
    groups = Serving(earlier, context).groups
    assert np.array_equal(np.sort(np.concatenate([group.users for group in groups])), np.arange(len(ways)))


def test_newcomers_get_the_scores_of_their_plays(world, refit):
    view = split(world, "before_holdout")
    earlier = Recommender.fit(taste_world(users=60, tracks=100), RECIPE, Settings().training, cutoff="as_of")
    scorer = ServedScorer.on(earlier, world, view)
    newcomer = np.flatnonzero(scorer.serving.ways == "newcomer")[:1]
    played = view.track_ids[view.plays[newcomer[0]].indices]
    listed = view.track_ids[rank(scorer, newcomer, view.plays, 120)[0]]
    listed = listed[np.isin(listed, earlier.track_ids[earlier.plays.getnnz(axis=0) > 0])]
    expected = [track for track, _ in earlier.recommend_for_session(played, 5)]
    assert listed[:5].tolist() == expected


def test_a_champion_does_not_pay_for_a_history_that_was_lost(world, refit):
    view = split(world, "before_holdout")
    lost = world.interactions.copy()
    moved = (lost["plays_before_holdout"] > 0) & (lost.index % 3 == 0)
    damaged = split(replace(world, interactions=lost[~moved].reset_index(drop=True)), "before_holdout")
    for users in np.array_split(view.test_users, 4):
        whole = rank(ServedScorer.on(refit, world, view), users, seen=view.plays)
        assert (rank(ServedScorer.on(refit, world, damaged), users, seen=damaged.plays) == whole).all()


def test_cold_starts_do_not_see_the_holdout_days(world, refit):
    view = split(world, "before_holdout")
    silent = np.flatnonzero(np.diff(view.plays.indptr) == 0)
    later = {"plays_last_30_days": np.arange(len(world.tracks)), "plays_last_30_days_before_validation": 0}
    changed = replace(world, tracks=world.tracks.assign(**later))
    scores = ServedScorer.on(refit, world, view).scores(silent)
    assert np.array_equal(
        ServedScorer.on(refit, changed, split(changed, "before_holdout")).scores(silent), scores
    )
    before = {"plays_last_30_days_before_holdout": np.arange(len(world.tracks))}
    changed = replace(world, tracks=world.tracks.assign(**before))
    of_changed = ServedScorer.on(refit, changed, split(changed, "before_holdout")).scores(silent)
    assert not np.array_equal(of_changed, scores)


@pytest.mark.parametrize("left", [[0, 1], [50], [118, 119]])
def test_tracks_that_left_are_not_mistaken_for_others(left, world, refit):
    gone = world.tracks["track_id"].iloc[left]
    smaller = replace(
        world,
        tracks=world.tracks[~world.tracks["track_id"].isin(gone)].reset_index(drop=True),
        interactions=world.interactions[~world.interactions["track_id"].isin(gone)].reset_index(drop=True),
    )
    view = split(smaller, "before_holdout")
    users = np.arange(10)
    scores = ServedScorer.on(refit, smaller, view).scores(users)
    expected = refit.scores(view.user_ids[users])[:, np.isin(refit.track_ids, view.track_ids)]
    assert scores.shape == expected.shape
    seen = view.plays[users].toarray() > 0
    compared = ~seen & (view.track_plays > 0)[None, :]
    np.testing.assert_allclose(scores[compared], expected[compared], rtol=1e-5, atol=1e-5)
    assert np.isneginf(scores[seen]).all()


@pytest.mark.parametrize("left", [[0, 1], [50], [118, 119]])
def test_newcomers_are_not_served_by_tracks_that_left(left, world, refit):
    gone = world.tracks["track_id"].iloc[left]
    smaller = replace(
        world,
        tracks=world.tracks[~world.tracks["track_id"].isin(gone)].reset_index(drop=True),
        interactions=world.interactions[~world.interactions["track_id"].isin(gone)].reset_index(drop=True),
    )
    view = split(smaller, "as_of")
    # A model that knows none of the users: all who have plays came later.
    scorer = ServedScorer.on(replace(refit, user_ids=refit.user_ids + 1), smaller, view)
    newcomer = np.flatnonzero(scorer.serving.ways == "newcomer")[3]
    played = view.track_ids[view.plays[newcomer].indices]
    expected = dict(refit.recommend_for_session(played, len(refit.track_ids)))
    scores = scorer.scores(np.array([newcomer]))[0]
    assert len(view.track_ids) == len(refit.track_ids) - len(left)
    learned = refit.track_ids[np.bincount(refit.plays.indices, minlength=len(refit.track_ids)) > 0]
    for track, score in zip(view.track_ids, scores, strict=True):
        compared = track in learned and track not in played
        assert not compared or score == pytest.approx(expected[track], rel=1e-4, abs=1e-5)
