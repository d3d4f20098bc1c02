import json
import pickle
from dataclasses import replace
from datetime import date

import numpy as np
import pytest
from scipy import sparse

from moovitamix_assets.settings import Settings
from moovitamix_assets.training.artifacts.recommender import Recommender
from moovitamix_assets.training.components.als import ALS
from moovitamix_assets.training.components.ease import EASE
from moovitamix_assets.training.components.lightfm import LightFM
from moovitamix_assets.training.dataset.training_view import split
from moovitamix_assets.training.evaluation.offline import evaluate, rank
from moovitamix_assets.training.selection.recipe import Recipe, WeightedComponent
from moovitamix_assets_tests.unit.training.worlds import taste_world

RECIPE = Recipe(
    (
        WeightedComponent(LightFM(embedding_size=16, epochs=10), 1.0),
        WeightedComponent(ALS(embedding_size=16), 0.5),
        WeightedComponent(EASE(regularization=50.0), 0.5),
    )
)


@pytest.fixture(scope="module")
def world():
    return taste_world()


@pytest.fixture(scope="module")
def model(world):
    return Recommender.fit(world, RECIPE, Settings().training, "before_holdout")


def files(directory):
    return {path.name: path.read_bytes() for path in sorted(directory.iterdir())}


def genre(track_id):
    return (track_id - 1000) // 7 % 4


def test_training_twice_gives_the_same_bytes(world, model, tmp_path):
    model.save(tmp_path / "first")
    Recommender.fit(world, RECIPE, Settings().training, "before_holdout").save(tmp_path / "second")
    assert files(tmp_path / "first") == files(tmp_path / "second")


def test_an_artifact_is_arrays_and_json_and_gives_the_same_scores(model, tmp_path):
    model.save(tmp_path)
    assert {path.suffix for path in tmp_path.iterdir()} == {".npy", ".json"}
    loaded = Recommender.load(tmp_path)
    assert np.array_equal(loaded.scores(model.user_ids), model.scores(model.user_ids))
    assert (loaded.model_version, loaded.as_of, loaded.cutoff) == (
        model.model_version,
        model.as_of,
        "before_holdout",
    )
    assert loaded.recipe == model.recipe
    assert loaded.similar_tracks(1000, 3) == model.similar_tracks(1000, 3)
    loaded.save(tmp_path / "again")
    assert files(tmp_path / "again") == {path.name: path.read_bytes() for path in tmp_path.glob("*.*")}


def test_a_pickle_in_the_artifact_is_never_opened(model, tmp_path):
    model.save(tmp_path)
    np.save(tmp_path / "user_ids.npy", np.array([{"a": 1}], dtype=object), allow_pickle=True)
    with pytest.raises(ValueError, match="allow_pickle"):
        Recommender.load(tmp_path)
    (tmp_path / "user_ids.npy").write_bytes(pickle.dumps([1, 2]))
    with pytest.raises(ValueError, match="pickle"):
        Recommender.load(tmp_path)


def test_the_version_is_the_day_and_eight_digits_that_follow_the_recipe(world, model):
    day, digits = model.model_version[:10], model.model_version[11:]
    assert day == world.as_of.isoformat()
    assert len(digits) == 8
    int(digits, 16)
    other = Recipe((WeightedComponent(LightFM(embedding_size=16, epochs=5), 1.0),))
    assert (
        Recommender.fit(world, other, Settings().training, "before_holdout").model_version
        != model.model_version
    )
    assert Recommender.fit(world, RECIPE, Settings().training, "as_of").model_version == model.model_version


def test_vectors_and_blocks_add_up_to_the_scores(model):
    rows = np.array([4, 9, 2, 30])
    total = model.user_vectors[rows] @ model.track_vectors.T + model.blend.block_scores(rows)
    np.testing.assert_allclose(total, model.scores(model.user_ids[rows]), atol=1e-4)


def test_without_a_block_there_is_nothing_to_add(world):
    recipe = Recipe(
        (
            WeightedComponent(LightFM(embedding_size=8, epochs=5), 1.0),
            WeightedComponent(ALS(embedding_size=8), 1.0),
        )
    )
    model = Recommender.fit(world, recipe, Settings().training, "before_holdout")
    assert not model.blend.blocks
    np.testing.assert_allclose(
        model.user_vectors @ model.track_vectors.T, model.scores(model.user_ids), atol=1e-4
    )


def test_users_get_tracks_of_their_taste(world, model):
    view = split(world, "before_holdout")
    ranked = rank(model.blend, np.arange(40), seen=view.plays, length=5)
    loyal = [genre(model.track_ids[track]) == user % 4 for user, row in enumerate(ranked) for track in row]
    assert np.mean(loyal) > 0.8
    assert evaluate(view, model.blend).value("hit_rate_at_10") > 0.6


def test_coverage_tells_plays_from_features_from_strangers(model):
    silent = model.user_ids[-1]
    found = model.coverage(np.array([silent, 100, 99, 10_000], dtype=np.int64))
    assert found.tolist() == ["features", "plays", "none", "none"]


def test_one_play_is_enough_to_be_served_by_the_model(model):
    plays = model.plays.tolil()
    plays[3], plays[4] = 0, 0
    plays[4, 7] = 1
    once = replace(model, plays=plays.tocsr())
    assert once.coverage(once.user_ids[[3, 4, 5]]).tolist() == ["features", "plays", "plays"]


def test_scores_of_a_stranger_are_refused(model):
    with pytest.raises(ValueError, match="user 99 is not"):
        model.scores(np.array([100, 99]))


def test_a_session_leads_to_its_genre_and_not_to_itself(model):
    session = np.array([1000, 1028, 1056])
    found = model.recommend_for_session(session, 5)
    assert len(found) == 5
    assert not {track for track, _ in found} & set(session.tolist())
    assert all(genre(track) == 0 for track, _ in found)
    scores = [score for _, score in found]
    assert scores == sorted(scores, reverse=True)


def test_a_session_of_unknown_tracks_still_gets_an_answer(model):
    assert len(model.recommend_for_session(np.array([3]), 4)) == 4


def test_similar_tracks_are_of_the_same_genre(model):
    found = model.similar_tracks(1007, 5)
    assert 1007 not in {track for track, _ in found}
    assert all(genre(track) == 1 for track, _ in found)
    assert all(-1 <= cosine <= 1.0001 for _, cosine in found)
    with pytest.raises(ValueError, match="track 3 is not"):
        model.similar_tracks(3, 5)


def test_the_nearest_of_the_tracks_played_is_of_the_same_genre(model):
    near, cosine = model.nearest_of(1028, model.track_ids[:8])
    assert near in model.track_ids[:8]
    assert genre(near) == genre(1028)
    assert -1 <= cosine <= 1.0001
    assert model.nearest_of(1028, np.array([1028, 3])) is None
    with pytest.raises(ValueError, match="track 3 is not"):
        model.nearest_of(3, model.track_ids)


def test_a_recipe_without_lightfm_is_refused(world):
    with pytest.raises(ValueError, match="first component"):
        Recommender.fit(
            world,
            Recipe((WeightedComponent(ALS(embedding_size=8), 1.0),)),
            Settings().training,
            "before_holdout",
        )


def test_nothing_of_a_user_but_the_id_is_in_the_artifact(model, tmp_path):
    model.save(tmp_path)
    content = json.loads((tmp_path / "recipe.json").read_text())
    assert set(content) == {"model_version", "as_of", "fit_on", "lightfm_width", "recipe", "blocks"}
    assert date.fromisoformat(content["as_of"]) == model.as_of


def test_a_newcomer_is_the_mean_of_the_tracks_played_however_often(model):
    played = sparse.lil_matrix((4, len(model.track_ids)), dtype=np.float32)
    played[1, 7] = 1
    played[2, 7], played[2, 11] = 3, 1
    played[3, [2, 3, 5]] = 1
    vectors = model.newcomer_vectors(played.tocsr())
    tracks = model.track_vectors[:, : model.lightfm_width - 1]
    assert vectors.shape == (4, model.lightfm_width)
    assert (vectors[:, -1] == 1).all()
    for row, played in enumerate([[], [7], [7, 11], [2, 3, 5]]):
        expected = tracks[played].mean(axis=0) if played else np.zeros(tracks.shape[1])
        np.testing.assert_allclose(vectors[row, :-1], expected, rtol=1e-5, atol=1e-6)


def test_a_session_is_scored_by_the_mean_of_its_tracks_and_by_what_everybody_plays(model):
    tracks = model.track_vectors[:, : model.lightfm_width]
    embeddings, biases = tracks[:, :-1], tracks[:, -1]
    for played in ([], [3], [0, 4, 9]):
        profile = embeddings[played].mean(axis=0) if played else np.zeros(embeddings.shape[1])
        expected = dict(zip(model.track_ids.tolist(), embeddings @ profile + biases, strict=True))
        found = model.recommend_for_session(model.track_ids[played], 6)
        assert [score for _, score in found] == pytest.approx(
            [expected[track] for track, _ in found], abs=1e-5
        )
        left = sorted(
            (expected[track] for track in set(expected) - set(model.track_ids[played])), reverse=True
        )
        assert [score for _, score in found] == pytest.approx(left[:6], abs=1e-5)


def test_the_nearest_of_the_tracks_played_is_the_most_similar_of_them(model):
    played = np.array([3, 1000, 1007, 1014, 1021, 1056])
    for track in (1000, 1028, 1042):
        in_order = model.similar_tracks(track, len(model.track_ids))
        expected = next(found for found in in_order if found[0] in played)
        found = model.nearest_of(track, played)
        assert found == (expected[0], pytest.approx(expected[1], abs=1e-5))
    assert model.nearest_of(1000, np.array([1000, 3])) is None


def fitted(world, *components, **settings):
    return Recommender.fit(world, Recipe(components), Settings(**settings).training, "before_holdout")


def test_seed_data_and_weights_are_not_ignored(world):
    lightfm, als = LightFM(embedding_size=4, epochs=1), ALS(embedding_size=4, iterations=2)
    alone = fitted(world, WeightedComponent(lightfm, 1.0))
    assert not np.array_equal(
        fitted(world, WeightedComponent(lightfm, 1.0), seed=7).track_vectors, alone.track_vectors
    )
    one_more = world.interactions.assign(plays=lambda frame: frame["plays"] + (frame.index == 0))
    changed = fitted(replace(world, interactions=one_more), WeightedComponent(lightfm, 1.0))
    assert changed.model_version != alone.model_version
    half, twice = (
        fitted(world, WeightedComponent(lightfm, 1.0), WeightedComponent(als, weight))
        for weight in (0.5, 2.0)
    )
    als_columns = slice(half.lightfm_width, None)
    np.testing.assert_allclose(
        4 * half.user_vectors[:, als_columns], twice.user_vectors[:, als_columns], rtol=1e-5
    )
    assert np.array_equal(half.user_vectors[:, : half.lightfm_width], alone.user_vectors)


def test_users_without_profile_and_plays_are_not_known(world):
    users = world.users.assign(
        favorite_genres=lambda frame: frame["favorite_genres"].where(frame.index != 79, None)
    )
    users["gender"] = users["gender"].where(users.index != 79, None)
    model = fitted(replace(world, users=users), WeightedComponent(LightFM(embedding_size=4, epochs=1), 1.0))
    assert model.coverage(model.user_ids[[78, 79]]).tolist() == ["plays", "none"]
