"""Scales: 256 levels that span the range of an activation, with an exact zero."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgerd.precision.flavours import FLAVOURS
from edgerd.precision.ranges import TensorRange, histogram
from edgerd.precision.scales import (
    DEFAULT_CHOICE,
    RANGE_METHODS,
    RangeChoice,
    activation_scale,
    interval,
    symmetric_scale,
)

SPREADS = (st.integers(0, 2**32), st.integers(1, 300), st.floats(1e-6, 1e4), st.floats(-1e4, 1e4))


def drawn(seed: int, size: int, spread: float, centre: float) -> np.ndarray:
    return np.random.default_rng(seed).normal(centre, spread, size).astype(np.float32)


def range_of(values: np.ndarray) -> TensorRange:
    values = np.asarray(values, np.float32)
    low, high = float(values.min()), float(values.max())
    return TensorRange(low=low, high=high, counts=tuple(histogram(values, low, high).tolist()))


def rounded(values: np.ndarray, found: TensorRange, flavour: str, choice: RangeChoice = DEFAULT_CHOICE) -> np.ndarray:
    scale = activation_scale(found, FLAVOURS[flavour], choice)
    lowest, zero = FLAVOURS[flavour].lowest, int(scale.zero_point)
    integers = np.clip(np.rint(values / scale.scale) + zero, lowest, lowest + 255)
    return (integers - zero) * scale.scale


@pytest.mark.parametrize("flavour", FLAVOURS)
@settings(deadline=None, max_examples=40)
@given(st.builds(drawn, *SPREADS))
def test_zero_is_exact_and_the_zero_point_fits(flavour, values):
    scale = activation_scale(range_of(values), FLAVOURS[flavour])
    assert scale.scale > 0
    assert scale.zero_point.dtype == FLAVOURS[flavour].activation
    assert rounded(np.zeros(1), range_of(values), flavour) == 0


@pytest.mark.parametrize("method", RANGE_METHODS)
@settings(deadline=None, max_examples=40)
@given(st.builds(drawn, *SPREADS))
def test_the_interval_holds_zero_and_is_not_wider_than_the_range(method, values):
    low, high = interval(range_of(values), RangeChoice(method))
    assert min(float(values.min()), 0) <= low <= 0 <= high <= max(float(values.max()), 0)


def test_nothing_is_cut_off_where_values_are_spread_evenly():
    found = range_of(np.linspace(0, 5, 100_000))
    assert interval(found)[1] == pytest.approx(5, rel=0.02)


def test_a_lone_outlier_does_not_coarsen_all_the_others():
    values = np.append(np.abs(np.random.default_rng(0).normal(size=100_000)), 40.0)
    assert 4 < interval(range_of(values), RangeChoice("mse"))[1] < 36
    assert (
        interval(range_of(values))[1] == 40
    )  # the default cuts nothing off: a defect may reach what good parts do not
    everything = np.clip(np.rint(values / (40 / 255)), 0, 255) * (40 / 255)
    given = rounded(values, range_of(values), "u8s8", RangeChoice("mse"))
    assert np.mean((given - values) ** 2) < np.mean((everything - values) ** 2)


def test_activations_after_a_relu_use_all_levels():
    scale = activation_scale(range_of(np.linspace(0, 3, 1000)), FLAVOURS["u8s8"])
    assert scale.zero_point == 0  # lets a runtime drop the Relu: what is below 0 saturates there


def test_weights_of_the_reduced_flavour_cannot_overflow_16_bits():
    assert 2 * 255 * FLAVOURS["u8s7"].weight_limit < 2**15


@settings(deadline=None, max_examples=40)
@given(st.builds(drawn, *SPREADS))
def test_minmax_cuts_nothing_off(values):
    whole = min(float(values.min()), 0.0), max(float(values.max()), 0.0)
    assert interval(range_of(values), RangeChoice("minmax")) == pytest.approx(whole)


@pytest.mark.parametrize("method", RANGE_METHODS)
@settings(deadline=None, max_examples=40)
@given(st.builds(drawn, *SPREADS))
def test_symmetric_levels_never_reach_beyond_the_largest_amount(method, values):
    scale = symmetric_scale(range_of(values), RangeChoice(method))
    assert scale.dtype == np.float32
    assert 0 < 127 * scale <= max(float(np.abs(values).max()), 1e-9) * (1 + 1e-6)


@pytest.mark.parametrize("percentile", [99.0, 99.9, 100.0])
@settings(deadline=None, max_examples=40)
@given(st.builds(drawn, *SPREADS))
def test_the_percentile_lies_inside(percentile, values):
    found = range_of(values)
    low, high = interval(found, RangeChoice("percentile", percentile))
    slack = 1e-6 * max(abs(found.low), abs(found.high))
    assert np.mean((values >= low - slack) & (values <= high + slack)) >= percentile / 100 - 1e-9


def test_the_percentile_is_as_tight_as_a_bin():
    values = np.abs(np.random.default_rng(0).normal(size=200_000)).astype(np.float32)
    high = interval(range_of(values), RangeChoice("percentile", 99.0))[1]
    assert high == pytest.approx(np.quantile(values, 0.99), abs=1.5 * float(values.max()) / 1024)
    assert 127 * symmetric_scale(range_of(values), RangeChoice("percentile", 99.0)) == pytest.approx(high, rel=1e-5)


def test_entropy_cuts_a_long_tail_and_leaves_an_even_spread_alone():
    tail = np.append(np.abs(np.random.default_rng(0).normal(size=100_000)), 12.0)
    assert 3 < interval(range_of(tail), RangeChoice("entropy"))[1] < 8
    assert 3 < 127 * symmetric_scale(range_of(-tail), RangeChoice("entropy")) < 8
    even = np.linspace(0, 5, 100_000)
    assert interval(range_of(even), RangeChoice("entropy"))[1] == pytest.approx(5, rel=0.02)


def test_the_zeros_of_a_relu_do_not_move_the_entropy_interval():
    values = np.abs(np.random.default_rng(0).normal(size=100_000))
    with_zeros = np.append(values, np.zeros(900_000))
    assert interval(range_of(with_zeros), RangeChoice("entropy")) == pytest.approx(
        interval(range_of(np.append(values, 0.0)), RangeChoice("entropy")), rel=0.05
    )


def test_symmetric_by_least_square_rounds_better_than_the_whole_range():
    values = np.append(np.random.default_rng(0).standard_t(4, 100_000), -40.0).astype(np.float32)
    errors = [
        np.mean((np.clip(np.rint(values / scale), -127, 127) * scale - values) ** 2)
        for scale in (symmetric_scale(range_of(values), RangeChoice(method)) for method in ("mse", "minmax"))
    ]
    assert errors[0] < errors[1]
