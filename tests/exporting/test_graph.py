"""The fused graph: its contract, node by node, and the same maps as PyTorch for several architectures."""

import logging
from collections import Counter
from types import SimpleNamespace

import numpy as np
import onnx
import pytest
import torch
from export_parts import inner_tensors, run
from onnx import TensorProto, helper, numpy_helper
from scipy.ndimage import gaussian_filter
from torch.nn import functional as F

from edgerd.errors import EdgerdError
from edgerd.exporting.check import check_against_networks
from edgerd.exporting.graph import graph_from_networks
from edgerd.models.normalise import image_from_frames

BLOCKS = ("input/", "teacher/", "embedding/", "decoder/", "head/")


@torch.inference_mode()
def distances_in_torch(exported, frames):
    """1 - cosine per scale, straight from the networks: nothing folded, nothing fused."""
    teacher, student = exported.networks.teacher, exported.networks.student
    features = teacher(image_from_frames(torch.from_numpy(frames), teacher.info))
    pairs = zip(features, student(features), strict=True)
    return [1 - F.cosine_similarity(wanted, given, dim=1) for wanted, given in pairs]


def maps_in_torch(exported, frames):
    size = frames.shape[1:3]
    distances = distances_in_torch(exported, frames)
    total = sum(F.interpolate(d[:, None], size, mode="bilinear", align_corners=True)[:, 0] for d in distances)
    return np.stack([gaussian_filter(one.astype(np.float64), sigma=4) for one in total.numpy()])


@pytest.fixture(scope="module")
def model(exported):
    return onnx.load_from_string(exported.graph)


def test_maps_and_scores_are_pytorchs(exported):
    frames = exported.frames(4)
    anomaly_map, score = run(exported.graph, frames)
    expected = maps_in_torch(exported, frames)
    assert expected.std() > 1e-3  # there is something to see
    np.testing.assert_allclose(anomaly_map, expected, rtol=0, atol=1e-4)
    np.testing.assert_allclose(score, expected.max(axis=(1, 2)), rtol=0, atol=1e-4)
    assert check_against_networks(exported.graph, exported.networks, frames) <= 1e-4


def test_input_and_outputs_are_the_contracts(exported, model):
    def described(values):
        return [
            (v.name, v.type.tensor_type.elem_type, [d.dim_value or d.dim_param for d in v.type.tensor_type.shape.dim])
            for v in values
        ]

    height, width = exported.height, exported.width
    assert described(model.graph.input) == [("frame", TensorProto.UINT8, ["batch", height, width, 3])]
    assert described(model.graph.output) == [
        ("anomaly_map", TensorProto.FLOAT, ["batch", height, width]),
        ("score", TensorProto.FLOAT, ["batch"]),
    ]


def test_it_gives_float32_arrays_of_the_contracts_shapes(exported):
    anomaly_map, score = run(exported.graph, exported.frames(2))
    assert (anomaly_map.shape, anomaly_map.dtype) == ((2, exported.height, exported.width), np.float32)
    assert (score.shape, score.dtype) == ((2,), np.float32)
    np.testing.assert_array_equal(score, anomaly_map.max(axis=(1, 2)))


@pytest.mark.parametrize("n", [1, 2, 5])
def test_any_number_of_pictures_gives_each_its_own_result(small, n):
    frames = small.frames(n)
    anomaly_map, score = run(small.graph, frames)
    for index in range(n):
        alone = run(small.graph, frames[index : index + 1])
        np.testing.assert_allclose(anomaly_map[index], alone[0][0], rtol=0, atol=1e-5)
        np.testing.assert_allclose(score[index], alone[1][0], rtol=0, atol=1e-5)


def test_it_is_one_file_of_opset_20(model):
    onnx.checker.check_model(model, full_check=True)
    assert [(entry.domain, entry.version) for entry in model.opset_import] == [("", 20)]
    assert not model.functions
    assert all(t.data_location != TensorProto.EXTERNAL and not t.external_data for t in model.graph.initializer)
    assert {node.domain for node in model.graph.node} == {""}


def test_it_begins_with_a_cast_of_the_frame(model):
    first = model.graph.node[0]
    assert (first.op_type, list(first.input)) == ("Cast", ["frame"])
    assert [node.name for node in model.graph.node if "frame" in node.input] == [first.name]


def test_every_node_is_named_by_its_block_once(model):
    names = [node.name for node in model.graph.node]
    assert all(name.startswith(BLOCKS) for name in names)
    assert {name.split("/")[0] + "/" for name in names} == set(BLOCKS)
    assert max(Counter(names).values()) == 1


def test_blocks_come_one_after_another(model):
    blocks = [node.name.split("/")[0] for node in model.graph.node]
    order = ["input", "teacher", "embedding", "decoder", "head"]
    assert blocks == sorted(blocks, key=order.index)


def test_names_say_which_layer_it_was(exported, model):
    names = {node.name for node in model.graph.node}
    layers = (
        ("stem", "stage5.2.depthwise")
        if exported.networks.teacher.info.name == "lite0"
        else ("conv1", "layer3.0.conv1")
    )
    assert {*(f"teacher/{layer}/Conv" for layer in layers), "embedding/down2.0/Conv"} <= names
    assert any(name.startswith("decoder/stage1.0.") and name.endswith("/ConvTranspose") for name in names)


def test_batchnorm_and_padding_are_folded_and_there_is_neither_resize_nor_a_large_blur(model):
    operators = {node.op_type for node in model.graph.node}
    assert not operators & {"BatchNormalization", "Resize", "Upsample", "Pad"}
    sizes = {tuple(a.ints) for node in model.graph.node for a in node.attribute if a.name == "kernel_shape"}
    assert sizes <= {(1, 1), (2, 2), (3, 3), (5, 5), (7, 7)}


def test_the_teacher_has_nothing_of_layer_4(model):
    assert not any("layer4" in node.name or "/fc" in node.name for node in model.graph.node)


def test_distance_maps_are_tensors_of_their_own(exported):
    names = [f"head/distance_{scale}" for scale in range(3)]
    frames = exported.frames(2)
    given = inner_tensors(exported.graph, frames, names)
    for distance, expected in zip(given, distances_in_torch(exported, frames), strict=True):
        assert distance.shape == expected.shape
        np.testing.assert_allclose(distance, expected.numpy(), rtol=0, atol=1e-4)


def test_the_head_is_all_that_comes_after_the_features(model):
    """The head stays FP32 in every precision, so it must hold exactly its own nodes, and none of the networks."""
    made_by = {output: node.name for node in model.graph.node for output in node.output}
    crossing = {
        (made_by[name].split("/")[0], name)
        for node in model.graph.node
        if node.name.startswith("head/")
        for name in node.input
        if name in made_by and not made_by[name].startswith("head/")
    }
    features = {f"{side}_{scale}" for side in ("teacher", "student") for scale in range(3)}
    assert {name for _, name in crossing} == features
    assert {block for block, _ in crossing} == {"teacher", "decoder"}
    assert all(
        numpy_helper.to_array(t).dtype in (np.float32, np.int64)
        for t in model.graph.initializer
        if t.name.startswith("head/")
    )


def test_the_same_networks_give_the_same_bytes_without_a_word_or_a_change(small, capfd):
    logger = logging.getLogger("torch.onnx._internal.exporter._registration")
    filters = list(logger.filters)
    before = {key: value.clone() for key, value in small.networks.student.state_dict().items()}
    again = graph_from_networks(small.networks, small.height, small.width)
    assert again == small.graph
    assert capfd.readouterr() == ("", "")
    assert logger.filters == filters
    assert all(torch.equal(value, before[key]) for key, value in small.networks.student.state_dict().items())
    assert not small.networks.student.training


def test_another_opset_than_asked_for_is_an_error(small, monkeypatch):
    program = SimpleNamespace(
        model_proto=helper.make_model(helper.make_graph([], "", [], []), opset_imports=[helper.make_opsetid("", 18)])
    )
    monkeypatch.setattr(torch.onnx, "export", lambda *args, **kwargs: program)
    with pytest.raises(EdgerdError, match="exported ONNX opset 18") as caught:
        graph_from_networks(small.networks, 64, 64)
    assert caught.value.expected == "opset 20"
