"""Which pictures differ most, by the bundle's own teacher."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgerd.precision.features import FeatureReader, MostDifferent, distances, farthest_first
from edgerd.runtimes import load_runtime

CLOUDS = st.builds(
    lambda seed, size: np.random.default_rng(seed).normal(size=(size, 3)).astype(np.float32),
    st.integers(0, 2**32),
    st.integers(10, 80),
)


def streamed(features: np.ndarray, n: int) -> MostDifferent:
    kept = MostDifferent(n)
    for feature in features:
        kept.offer(feature)
    return kept


def smallest_distance(features: np.ndarray) -> float:
    between = distances(features, features)
    np.fill_diagonal(between, np.inf)
    return float(between.min())


@settings(deadline=None, max_examples=40)
@given(CLOUDS)
def test_no_picture_is_farther_from_a_chosen_one_than_they_are_from_each_other(features):
    chosen = farthest_first(features, 6)
    assert len(set(chosen)) == 6
    radius = distances(features, features[chosen]).min(axis=1).max()
    assert radius <= smallest_distance(features[chosen]) + 1e-6


@settings(deadline=None, max_examples=40)
@given(CLOUDS)
def test_a_stream_is_kept_about_as_far_apart_as_all_of_it_would_be(features):
    kept = streamed(features, 6)
    assert kept.spacing == pytest.approx(smallest_distance(kept.features), rel=1e-5)
    assert kept.spacing >= 0.5 * smallest_distance(features[farthest_first(features, 6)])


@settings(deadline=None, max_examples=40)
@given(CLOUDS)
def test_the_smallest_distance_among_those_kept_never_falls(features):
    kept = streamed(features[:6], 6)
    for feature in features[6:]:
        before = kept.spacing
        kept.offer(feature)
        assert kept.spacing >= before


def test_a_rare_kind_of_picture_is_kept_and_the_same_picture_is_not_taken_twice():
    random = np.random.default_rng(0)
    usual, rare = random.normal(0, 0.01, (200, 8)).astype(np.float32), np.ones((1, 8), np.float32)
    kept = streamed(np.concatenate([usual[:100], rare, usual[100:]]), 4)
    assert (kept.features == rare).all(axis=1).sum() == 1
    twice = MostDifferent(4)
    assert twice.offer(usual[0]) == 0
    assert twice.offer(usual[0]) is None


def test_the_score_is_the_graphs_and_features_tell_pictures_apart(graph, pictures):
    reader = FeatureReader(graph)
    runtime = load_runtime("onnxruntime")
    engine = runtime.load(graph, runtime.key("fp32", "0" * 64), {}, threads=1)
    feature, score = reader.look(pictures[0])
    assert score == pytest.approx(float(engine.infer(pictures[0]).score.max()), rel=1e-5)
    same, _ = reader.look(pictures[0])
    darker, _ = reader.look((pictures[0] * 0.5).astype(np.uint8))
    assert distances(feature[None], same[None]) == 0
    assert distances(feature[None], darker[None]) > 0
    engine.close()


def test_a_picture_of_several_tiles_has_one_feature(graph, pictures):
    reader = FeatureReader(graph)
    one, first = reader.look(pictures[0])
    two, both = reader.look(np.concatenate([pictures[0], pictures[1]]))
    assert two.shape == (2 * one.size,)
    assert both == pytest.approx(max(first, reader.look(pictures[1])[1]), rel=1e-5)
