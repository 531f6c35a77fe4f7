"""Scales: 256 levels that span what an activation is, with an exact zero."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgerd.precision.flavours import FLAVOURS
from edgerd.precision.ranges import TensorRange, histogram
from edgerd.precision.scales import activation_scale, least_square_interval

SPREADS = (st.integers(0, 2**32), st.integers(1, 300), st.floats(1e-6, 1e4), st.floats(-1e4, 1e4))


def drawn(seed: int, size: int, spread: float, centre: float) -> np.ndarray:
    return np.random.default_rng(seed).normal(centre, spread, size).astype(np.float32)


def range_of(values: np.ndarray) -> TensorRange:
    values = np.asarray(values, np.float32)
    low, high = float(values.min()), float(values.max())
    return TensorRange(low=low, high=high, counts=tuple(histogram(values, low, high).tolist()))


def rounded(values: np.ndarray, found: TensorRange, flavour: str) -> np.ndarray:
    scale = activation_scale(found, FLAVOURS[flavour])
    lowest, zero = FLAVOURS[flavour].lowest, int(scale.zero_point)
    integers = np.clip(np.rint(values / scale.scale) + zero, lowest, lowest + 255)
    return (integers - zero) * scale.scale


@pytest.mark.parametrize("flavour", FLAVOURS)
@given(st.builds(drawn, *SPREADS))
def test_zero_is_exact_and_the_zero_point_fits(flavour, values):
    scale = activation_scale(range_of(values), FLAVOURS[flavour])
    assert scale.scale > 0
    assert scale.zero_point.dtype == FLAVOURS[flavour].activation
    assert rounded(np.zeros(1), range_of(values), flavour) == 0


@given(st.builds(drawn, *SPREADS))
def test_the_interval_holds_zero_and_is_not_wider_than_the_range(values):
    low, high = least_square_interval(range_of(values))
    assert min(float(values.min()), 0) <= low <= 0 <= high <= max(float(values.max()), 0)


def test_nothing_is_cut_off_where_values_are_spread_evenly():
    found = range_of(np.linspace(0, 5, 100_000))
    assert least_square_interval(found)[1] == pytest.approx(5, rel=0.02)


def test_a_lone_outlier_does_not_coarsen_all_the_others():
    values = np.append(np.abs(np.random.default_rng(0).normal(size=100_000)), 40.0)
    assert 4 < least_square_interval(range_of(values))[1] < 36
    everything = np.clip(np.rint(values / (40 / 255)), 0, 255) * (40 / 255)
    assert np.mean((rounded(values, range_of(values), "u8s8") - values) ** 2) < np.mean((everything - values) ** 2)


def test_activations_after_a_relu_use_all_levels():
    scale = activation_scale(range_of(np.linspace(0, 3, 1000)), FLAVOURS["u8s8"])
    assert scale.zero_point == 0  # lets a runtime drop the Relu: what is below 0 saturates there


def test_weights_of_the_reduced_flavour_cannot_overflow_16_bits():
    assert 2 * 255 * FLAVOURS["u8s7"].weight_limit < 2**15
