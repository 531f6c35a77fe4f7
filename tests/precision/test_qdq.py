"""The functions that every Q/DQ graph is written with."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from edgerd.errors import InputError
from edgerd.precision.qdq import integer_weights, largest_by_channel, refuse_ranges_of_another_graph

weights = arrays(np.float64, array_shapes(min_dims=4, max_dims=4, max_side=4), elements=st.floats(-1e3, 1e3, width=32))


@given(weight=weights, axis=st.integers(0, 1))
def test_weights_are_rounded_to_the_nearest_step_of_their_channel(weight, axis):
    largest = largest_by_channel(weight, axis)
    assert largest.shape == (weight.shape[axis],)
    scales = np.maximum(largest / 127, 1e-12).astype(np.float32)
    integers = integer_weights(weight, scales, axis)
    steps = np.expand_dims(scales, tuple(k for k in range(4) if k != axis)).astype(np.float64)
    assert (np.abs(integers * steps - weight) <= steps * 0.501).all()
    assert np.abs(integers.astype(int)).max() <= 127


@given(weight=weights)
def test_a_step_too_small_for_a_weight_gives_the_last_integer(weight):
    scales = np.full(len(weight), 1e-3, np.float32)
    integers = integer_weights(weight, scales, 0)
    assert (integers[weight >= 0.1271] == 127).all()
    assert (integers[weight <= -0.1271] == -127).all()


def test_ranges_of_this_graph_are_taken(graph, ranges):
    refuse_ranges_of_another_graph(graph, ranges)
    with pytest.raises(InputError, match="ranges were collected on the graph") as caught:
        refuse_ranges_of_another_graph(graph + b" ", ranges)
    assert "Export the bundle again" in caught.value.hint
