"""The fusion as matrix products, against the upsampling and the blur that it stands for."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import gaussian_filter
from torch.nn import functional as F

from edgerd.models.fusion import fusion_matrix


def upsampled_and_blurred(distance, height, width):
    """RD4AD's own way, in double precision."""
    tensor = torch.from_numpy(distance.astype(np.float64))[None, None]
    large = F.interpolate(tensor, size=(height, width), mode="bilinear", align_corners=True)
    return gaussian_filter(large[0, 0].numpy(), sigma=4)


def fused(distance, height, width):
    rows, columns = fusion_matrix(height, distance.shape[0]), fusion_matrix(width, distance.shape[1])
    return rows @ distance @ columns.T


def assert_equal_maps(distance, height, width):
    expected = upsampled_and_blurred(distance, height, width)
    np.testing.assert_allclose(fused(distance, height, width), expected, rtol=0, atol=1e-5 * np.abs(distance).max())


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
    ours = sum(fused(distance, 64, 96) for distance in distances)
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
