"""The fusion as matrix products, against the upsampling and the blur that it stands for."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import gaussian_filter
from torch.nn import functional as F

from edgerd.models.fusion import RD4AD_FUSION, Fusion, fused, fusion_matrix, scores_of_maps
from edgerd.scoring import SCORE_STRIDE


def upsampled_and_blurred(distance, height, width):
    """RD4AD's own way, in double precision."""
    tensor = torch.from_numpy(distance.astype(np.float64))[None, None]
    large = F.interpolate(tensor, size=(height, width), mode="bilinear", align_corners=True)
    return gaussian_filter(large[0, 0].numpy(), sigma=4)


def spread(distance, height, width):
    return fused((distance[None],), Fusion((1.0,)), height, width)[0]


def assert_equal_maps(distance, height, width):
    expected = upsampled_and_blurred(distance, height, width)
    np.testing.assert_allclose(spread(distance, height, width), expected, rtol=0, atol=1e-5 * np.abs(distance).max())


@pytest.mark.parametrize(
    ("height", "width"), [(256, 256), (64, 64), (32, 32), (224, 320), (96, 32), (512, 64)], ids=lambda n: str(n)
)
@pytest.mark.parametrize("stride", [4, 8, 16])
def test_it_is_bilinear_upsampling_and_scipys_gaussian(height, width, stride):
    rng = np.random.default_rng(stride)
    distance = rng.uniform(0, 2, (height // stride, width // stride)).astype(np.float32)
    assert_equal_maps(distance, height, width)


@settings(max_examples=40, deadline=None)
@given(height=st.integers(17, 150), width=st.integers(17, 150), data=st.data())
def test_for_maps_of_any_size(height, width, data):
    shape = data.draw(st.integers(1, height)), data.draw(st.integers(1, width))
    distance = np.random.default_rng(0).uniform(0, 2, shape).astype(np.float32)
    assert_equal_maps(distance, height, width)


def test_three_scales_add_up_before_or_after_the_blur():
    rng = np.random.default_rng(0)
    distances = [rng.uniform(0, 2, (64 // s, 96 // s)).astype(np.float32) for s in (4, 8, 16)]
    tensors = [torch.from_numpy(distance)[None, None].double() for distance in distances]
    total = sum(F.interpolate(t, size=(64, 96), mode="bilinear", align_corners=True)[0, 0].numpy() for t in tensors)
    (ours,) = fused(tuple(distance[None] for distance in distances), RD4AD_FUSION, 64, 96)
    np.testing.assert_allclose(ours, gaussian_filter(total, sigma=4), rtol=0, atol=6e-5)


@given(size=st.integers(32, 300), n=st.integers(1, 32))
def test_an_even_map_stays_even_and_nothing_exceeds_the_peak(size, n):
    matrix = fusion_matrix(size, n)
    assert matrix.shape == (size, n)
    assert matrix.dtype == np.float32
    assert matrix.min() >= 0
    np.testing.assert_allclose(matrix.sum(axis=1), 1, atol=1e-6)


@given(size=st.integers(32, 200), n=st.integers(2, 32))
def test_it_knows_no_left_and_right(size, n):
    matrix = fusion_matrix(size, n)
    np.testing.assert_allclose(matrix, matrix[::-1, ::-1], atol=1e-6)


@given(weights=st.lists(st.floats(0.01, 50), min_size=1, max_size=5), seed=st.integers(0, 99))
def test_each_map_counts_by_its_weight(weights, seed):
    rng = np.random.default_rng(seed)
    sizes = [(64 // stride, 96 // stride) for stride in rng.choice([4, 8, 16], len(weights))]
    maps = tuple(rng.uniform(0, 2, (2, *size)).astype(np.float32) for size in sizes)
    given_ = fused(maps, Fusion(tuple(weights)), 64, 96)
    for index in range(2):
        parts = [w * upsampled_and_blurred(one[index], 64, 96) for w, one in zip(weights, maps, strict=True)]
        np.testing.assert_allclose(given_[index], sum(parts), rtol=0, atol=1e-5 * sum(weights) * 2)


def test_a_map_of_no_weight_does_not_count_whatever_it_is():
    maps = np.ones((1, 4, 4), np.float32), np.full((1, 4, 4), np.nan, np.float32)
    np.testing.assert_allclose(fused(maps, Fusion((2.0, 0.0)), 64, 64), 2, atol=1e-5)


def test_there_is_a_weight_for_every_map():
    with pytest.raises(ValueError, match="shorter"):
        fused((np.ones((1, 4, 4), np.float32),) * 2, RD4AD_FUSION, 64, 64)


def anomaly_maps(height, width, seed, n=3):
    return np.random.default_rng(seed).exponential(1, (n, height, width)).astype(np.float32)


@given(height=st.integers(1, 70), width=st.integers(1, 70), share=st.floats(0.001, 1), seed=st.integers(0, 99))
def test_the_score_is_the_mean_of_the_highest_strided_values(height, width, share, seed):
    maps, fusion = anomaly_maps(height, width, seed), Fusion((1.0,), share)
    n = fusion.n_highest(height, width)
    strided = maps[:, ::SCORE_STRIDE, ::SCORE_STRIDE].reshape(3, -1)
    assert 1 <= n <= strided.shape[1]
    assert abs(n - share * strided.shape[1]) <= 0.5 or n == 1
    scores = scores_of_maps(maps, fusion)
    assert scores.dtype == np.float32
    np.testing.assert_allclose(scores, np.sort(strided)[:, -n:].mean(1), rtol=1e-5)
    assert (scores <= maps.max((1, 2)) + 1e-6).all()
    assert (scores >= strided.mean(1) - 1e-5).all()


@given(height=st.integers(1, 70), width=st.integers(1, 70), seed=st.integers(0, 99))
def test_the_papers_score_is_the_maximum(height, width, seed):
    maps = anomaly_maps(height, width, seed)
    np.testing.assert_array_equal(scores_of_maps(maps, RD4AD_FUSION), maps.max((1, 2)))


def test_a_single_loud_position_does_not_make_a_score():
    maps = np.ones((2, 256, 256), np.float32)
    maps[0, 100, 100] = 50.0
    maps[1, 96:116, 96:116] = 3.0  # a defect of 20x20 px
    noise, defect = scores_of_maps(maps, Fusion((1.0,), 0.005))
    assert defect == 3.0
    assert noise < 3.5 < maps[0].max()
