import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from moovitamix_assets.training.components.base import Factors
from moovitamix_assets.training.components.blend import blend, standardised_factors, standardised_scores
from moovitamix_assets.training.components.random import FittedRandom


def factors(seed, users=6, tracks=30, width=5):
    random = np.random.default_rng(seed)
    return Factors(
        user_vectors=random.normal(size=(users, width)).astype(np.float32),
        track_vectors=(random.normal(size=(tracks, width)) + random.normal()).astype(np.float32),
        covered_users=np.ones(users, dtype=bool),
        covered_tracks=np.ones(tracks, dtype=bool),
    )


def block(seed, users=6, tracks=30):
    return FittedRandom(seed, np.ones(users, dtype=bool), np.ones(tracks, dtype=bool))


EVERYONE = np.arange(6)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 8), st.integers(2, 40), st.floats(0.1, 4.0))
def test_standardising_vectors_is_standardising_their_scores(seed, width, tracks, weight):
    component = factors(seed, tracks=tracks, width=width)
    user_vectors, track_vectors = standardised_factors(component, weight)
    scores = component.scores(EVERYONE).astype(np.float64)
    expected = weight * (scores - scores.mean(axis=1, keepdims=True)) / scores.std(axis=1, keepdims=True)
    np.testing.assert_allclose(user_vectors @ track_vectors.T, expected, atol=2e-3)


def test_a_blend_is_the_weighted_sum_of_standardised_scores():
    components = [factors(1), factors(2, width=3), block(3)]
    weights = [1.0, 0.5, 2.0]
    blended = blend(components, weights)
    expected = sum(
        weight * standardised_scores(component.scores(EVERYONE))
        for component, weight in zip(components, weights, strict=True)
    )
    assert blended.user_vectors.shape == (6, 8)
    assert blended.track_vectors.shape == (30, 8)
    np.testing.assert_allclose(blended.scores(EVERYONE), expected, atol=1e-4)
    vectors_alone = blended.user_vectors @ blended.track_vectors.T
    np.testing.assert_allclose(vectors_alone + blended.block_scores(EVERYONE), expected, atol=1e-4)


def test_a_component_alone_keeps_its_order():
    component = factors(4)
    for single in (component, block(5)):
        order = np.argsort(-single.scores(EVERYONE), axis=1)
        assert np.array_equal(np.argsort(-blend([single], [0.7]).scores(EVERYONE), axis=1), order)


def test_weight_zero_leaves_a_component_out():
    with_zero = blend([factors(1), factors(2), block(3)], [1.0, 0.0, 0.0])
    assert with_zero.blocks == ()
    assert np.array_equal(with_zero.scores(EVERYONE), blend([factors(1)], [1.0]).scores(EVERYONE))


def test_a_user_unknown_to_a_component_is_ranked_by_the_others():
    silent = factors(2)
    silent.user_vectors[3] = 0.0
    blended = blend([factors(1), silent], [1.0, 1.0]).scores(np.array([3]))
    np.testing.assert_allclose(blended, blend([factors(1)], [1.0]).scores(np.array([3])), atol=1e-5)
    assert not standardised_scores(np.full((1, 9), 4.0, dtype=np.float32)).any()


def test_a_blend_of_nothing_is_refused():
    with pytest.raises(ValueError, match="weight above 0"):
        blend([factors(1)], [0.0])
    with pytest.raises(ValueError, match="argument"):
        blend([factors(1)], [1.0, 2.0])


def test_all_of_a_blend_is_single_precision():
    for components in ([factors(1)], [factors(1), block(2)], [block(2)]):
        made = blend(components, [1.0] * len(components))
        assert {made.user_vectors.dtype, made.track_vectors.dtype} == {np.dtype(np.float32)}
        assert made.scores(EVERYONE).dtype == np.float32
        if made.blocks:
            assert made.block_scores(EVERYONE).dtype == np.float32
