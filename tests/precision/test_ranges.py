"""Ranges: the values that the FP32 graph's activations took on pictures."""

from __future__ import annotations

import hashlib

import numpy as np
import onnx
import onnxruntime
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import helper

from edgerd.errors import InputError
from edgerd.precision.body import activations
from edgerd.precision.ranges import MIN_RANGE_PICTURES, N_BINS, Ranges, collect_ranges, histogram


@given(st.integers(0, 2**32), st.integers(1, 200), st.floats(1e-6, 1e6), st.floats(-1e6, 1e6))
def test_every_value_is_counted_once_within_its_bin(seed, size, spread, centre):
    values = np.random.default_rng(seed).normal(centre, spread, size).astype(np.float32)
    low, high = float(values.min()), float(values.max())
    counts = histogram(values, low, high)
    assert counts.shape == (N_BINS,)
    assert counts.sum() == values.size
    assert counts[0] >= 1
    assert low == high or counts[-1] >= 1


def test_extremes_are_those_of_the_graph_itself(graph, pictures, ranges):
    name = "teacher_0"
    model = onnx.load_from_string(graph)
    model.graph.output.append(helper.make_empty_tensor_value_info(name))
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    (values,) = session.run([name], {"frame": pictures[:, 0]})
    found = ranges.tensors[name]
    assert found.low == pytest.approx(values.min(), abs=1e-5)
    assert found.high == pytest.approx(values.max(), rel=1e-5)
    expected, _ = np.histogram(values, N_BINS, (found.low, found.high))
    assert np.abs(np.cumsum(found.counts) - np.cumsum(expected)).max() < 1e-3 * values.size


def test_every_activation_is_there_and_what_a_relu_hides_is_not(graph, ranges):
    model = onnx.load_from_string(graph)
    assert set(ranges.tensors) == set(activations(model.graph))
    before_relu = {node.input[0] for node in model.graph.node if node.op_type == "Relu"}
    assert not before_relu & set(ranges.tensors)
    assert not [name for name in ranges.tensors if name.startswith(("head/", "input/"))]
    assert "student_0" not in ranges.tensors  # only the head reads it


def test_the_record_names_graph_and_pictures_and_survives_json(graph, pictures, ranges):
    assert ranges.graph_sha256 == hashlib.sha256(graph).hexdigest()
    assert ranges.n_pictures == len(pictures)
    assert Ranges.model_validate_json(ranges.model_dump_json()) == ranges
    fewer = collect_ranges(graph, pictures[:MIN_RANGE_PICTURES])
    assert fewer.pictures_sha256 != ranges.pictures_sha256
    assert fewer.tensors["teacher_0"].high <= ranges.tensors["teacher_0"].high


def test_too_few_pictures_are_refused(graph, pictures):
    with pytest.raises(InputError, match="1 pictures are too few"):
        collect_ranges(graph, pictures[:1])
