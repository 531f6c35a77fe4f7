"""The fused graph of method edge: prototypes alone, a student of the coarsest stage, and both."""

from dataclasses import replace
from hashlib import sha256

import numpy as np
import onnx
import pytest
import torch
from export_parts import export_kind, inner_tensors, run
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import numpy_helper
from scipy.ndimage import gaussian_filter
from torch.nn import functional as F

from edgerd.errors import GateError
from edgerd.exporting.check import check_against_networks
from edgerd.exporting.graph import graph_from_networks
from edgerd.models.fusion import Fusion
from edgerd.models.networks import Networks
from edgerd.models.normalise import image_from_frames
from edgerd.models.positions import Positions
from edgerd.runtimes.openvino import OpenVino
from edgerd.scoring import SCORE_STRIDE


@torch.inference_mode()
def distances_in_torch(networks, frames):
    """Maps by their definition: cosines, and the distance to every prototype, one by one."""
    features = networks.teacher(image_from_frames(torch.from_numpy(frames), networks.teacher.info))
    maps = []
    if networks.student:
        pairs = zip(features[networks.student.finest :], networks.student(features), strict=True)
        maps = [1 - F.cosine_similarity(wanted, given_, dim=1) for wanted, given_ in pairs]
    if networks.prototypes:
        both = torch.cat([F.avg_pool2d(features[1], 2), features[2]], 1)
        averaged = F.avg_pool2d(both, 3, 1, 1, count_include_pad=False)
        for bank, seen in enumerate((both, averaged)):
            mean, spread = networks.prototypes.mean[bank], networks.prototypes.spread[bank]
            patches = (seen.permute(0, 2, 3, 1).double() - mean) / spread
            found = torch.cdist(patches.flatten(1, 2), networks.prototypes.points[bank].double()[None]).amin(2)
            maps.append(found.clamp_min(networks.prototypes.nearest[bank].double()).reshape(patches.shape[:3]))
        unusual = (both.double() - networks.positions.mean) / networks.positions.spread
        maps.append(unusual.square().mean(1).sqrt())
    return maps


def expected_of(networks, frames):
    """Maps and scores with scipy's blur and a full sort."""
    fusion, size = networks.fusion, frames.shape[1:3]
    total = np.zeros((len(frames), *size))
    for weight, one in zip(fusion.weights, distances_in_torch(networks, frames), strict=True):
        large = F.interpolate(one[:, None].double(), size, mode="bilinear", align_corners=True)[:, 0]
        total += weight * np.stack([gaussian_filter(picture, sigma=4) for picture in large.numpy()])
    values = np.sort(total[:, ::SCORE_STRIDE, ::SCORE_STRIDE].reshape(len(frames), -1))
    return total, values[:, -fusion.n_highest(*size) :].mean(1)


def test_maps_and_scores_are_pytorchs(kind):
    frames = kind.frames(4)
    anomaly_map, score = run(kind.graph, frames)
    expected_map, expected_score = expected_of(kind.networks, frames)
    assert expected_map.std() > 1e-3  # there is something to see
    largest = max(1.0, expected_map.max())
    np.testing.assert_allclose(anomaly_map, expected_map, rtol=0, atol=1e-4 * largest)
    np.testing.assert_allclose(score, expected_score, rtol=0, atol=1e-4 * largest)
    assert check_against_networks(kind.graph, kind.networks, frames) <= 1e-4 * largest


def test_openvino_computes_the_same(kind):
    pytest.importorskip("openvino")
    frames = kind.frames(3)
    expected_map, expected_score = run(kind.graph, frames)
    runtime = OpenVino()
    key, files = runtime.key("fp32", sha256(kind.graph).hexdigest()), runtime.build(kind.graph, "fp32")
    engine = runtime.load(kind.graph, key, files, threads=1)
    maps = engine.infer(frames)
    engine.close()
    largest = max(1.0, expected_map.max())
    np.testing.assert_allclose(maps.anomaly_map, expected_map, rtol=0, atol=1e-4 * largest)
    np.testing.assert_allclose(maps.score, expected_score, rtol=0, atol=1e-4 * largest)


def test_each_map_is_a_tensor_of_its_own(kind):
    networks = kind.networks
    names = [f"head/distance_{scale}" for scale in range(networks.student.finest, 3)] if networks.student else []
    if networks.prototypes:
        names += ["head/prototype_distance_0", "head/prototype_distance_1", "head/position_distance"]
    frames = kind.frames(2)
    found = inner_tensors(kind.graph, frames, names)
    for distance, expected in zip(found, distances_in_torch(networks, frames), strict=True):
        assert distance.shape == expected.shape
        np.testing.assert_allclose(distance, expected, rtol=1e-4, atol=1e-4)


def test_it_is_one_file_of_opset_20_with_the_usual_interface(kind):
    model = onnx.load_from_string(kind.graph)
    onnx.checker.check_model(model, full_check=True)
    assert [(entry.domain, entry.version) for entry in model.opset_import] == [("", 20)]
    assert {node.domain for node in model.graph.node} == {""}
    assert [value.name for value in model.graph.output] == ["anomaly_map", "score"]


@pytest.mark.parametrize("n", [1, 2, 5])
def test_any_number_of_pictures_gives_each_its_own_result(kind, n):
    frames = kind.frames(n)
    anomaly_map, score = run(kind.graph, frames)
    assert (anomaly_map.shape, score.shape) == ((n, kind.height, kind.width), (n,))
    for index in range(n):
        alone = run(kind.graph, frames[index : index + 1])
        np.testing.assert_allclose(anomaly_map[index], alone[0][0], rtol=1e-5, atol=1e-5)
        np.testing.assert_allclose(score[index], alone[1][0], rtol=1e-5, atol=1e-5)


def test_prototypes_alone_have_no_student_in_their_graph(kind):
    blocks = {node.name.partition("/")[0] for node in onnx.load_from_string(kind.graph).graph.node}
    assert ("decoder" in blocks, "embedding" in blocks) == (kind.networks.student is not None,) * 2
    assert ("prototypes" in blocks) == (kind.networks.prototypes is not None)
    assert {"input", "teacher", "head"} <= blocks


def test_a_student_of_the_coarsest_stage_has_no_finer_ones_in_its_graph(kind):
    stages = {node.name.split("/")[1].partition(".")[0] for node in decoder_of(kind)}
    finest = kind.networks.student.finest if kind.networks.student else 3
    assert {stage for stage in stages if stage.startswith("stage")} == {f"stage{s + 1}" for s in range(finest, 3)}


def decoder_of(kind):
    return [n for n in onnx.load_from_string(kind.graph).graph.node if n.name.startswith("decoder/")]


@pytest.mark.parametrize(
    ("name", "factor"),
    [
        ("prototypes/filters_0", 1.02),
        ("prototypes/squares_1", 1.02),
        ("prototypes/factor_1", 1.02),
        ("head/least_0", 1.1),
        ("prototypes/position_mean", 1.1),
        ("prototypes/position_factor", 1.02),
    ],
)
def test_a_wrong_graph_is_refused(kind, name, factor):
    model = onnx.load_from_string(kind.graph)
    found = [tensor for tensor in model.graph.initializer if tensor.name == name]
    assert len(found) == (kind.networks.prototypes is not None)
    for tensor in found:
        tensor.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(tensor) * np.float32(factor), name))
        with pytest.raises(GateError):
            check_against_networks(model.SerializeToString(), kind.networks, kind.frames(3))


def fusion_graph(fusion):
    """The graph of two banks and the positions with this fusion, and its networks."""
    networks = export_kind("prototypes").networks
    networks = Networks(networks.teacher, None, networks.prototypes, networks.positions, fusion)
    return graph_from_networks(networks, 64, 96), networks


@settings(max_examples=4, deadline=None)
@given(weight=st.floats(0.01, 5), share=st.sampled_from([0.0, 0.001, 0.05, 1.0]))
def test_any_weights_and_any_share_are_in_the_graph(weight, share):
    graph, networks = fusion_graph(Fusion((0.5, weight, 0.3), share))
    frames = np.random.default_rng(0).integers(0, 256, (2, 64, 96, 3), np.uint8)
    check_against_networks(graph, networks, frames)
    anomaly_map, score = run(graph, frames)
    strided = anomaly_map[:, ::SCORE_STRIDE, ::SCORE_STRIDE]
    assert (score <= anomaly_map.max((1, 2)) * 1.0001).all()
    assert (score >= strided.mean((1, 2)) * 0.9999).all()


def test_a_map_of_no_weight_costs_no_product():
    graph, networks = fusion_graph(Fusion((0.0, 1.0, 0.0), 0.02))
    names = {node.name for node in onnx.load_from_string(graph).graph.node}
    assert {name for name in names if name.startswith("head/tall")} == {"head/tall_1"}
    check_against_networks(graph, networks, np.random.default_rng(0).integers(0, 256, (2, 64, 96, 3), np.uint8))


@pytest.mark.parametrize("size", [(32, 32), (32, 96), (96, 64)])
def test_it_works_at_the_smallest_and_at_uneven_sizes(size):
    edge = export_kind("edge").networks
    positions = Positions(edge.teacher.info, size[0] // 16, size[1] // 16)
    networks = replace(edge, positions=positions)
    frames = np.random.default_rng(0).integers(0, 256, (3, *size, 3), np.uint8)
    check_against_networks(graph_from_networks(networks, *size), networks, frames)
