"""The check at every export: a graph that differs from the networks is refused."""

from dataclasses import replace

import numpy as np
import onnx
import pytest
import torch
from onnx import helper, numpy_helper
from scipy.ndimage import gaussian_filter
from torch.nn import functional as F

from edgerd.errors import GateError
from edgerd.exporting.check import MAX_MAP_ERROR, check_against_networks, reference_maps
from edgerd.models.normalise import image_from_frames
from edgerd.models.student import make_student


def check(small, graph=None, student=None):
    networks = replace(small.networks, student=student) if student else small.networks
    return check_against_networks(graph or small.graph, networks, small.frames(3))


def changed(small, change):
    model = onnx.load_from_string(small.graph)
    change(model.graph)
    return model.SerializeToString()


def constant(graph, name):
    return next(tensor for tensor in graph.initializer if tensor.name == name)


def scaled(name, factor):
    def change(graph):
        tensor = constant(graph, name)
        tensor.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(tensor) * np.float32(factor), name))

    return change


def shifted_score(graph):
    """The map is right, and the score is not its maximum."""
    graph.node[-1].output[0] = "maximum"
    graph.initializer.append(numpy_helper.from_array(np.float32(0.01), "shift"))
    graph.node.append(helper.make_node("Add", ["maximum", "shift"], ["score"], name="head/shift"))


def test_the_right_graph_passes_with_its_error(small):
    assert 0 <= check(small) <= MAX_MAP_ERROR == 1e-4


def test_the_reference_is_the_papers_map(small):
    frames = small.frames(3)
    with torch.inference_mode():
        teacher, student = small.networks.teacher, small.networks.student
        features = teacher(image_from_frames(torch.from_numpy(frames), teacher.info))
        pairs = zip(features, student(features), strict=True)
        distances = [1 - F.cosine_similarity(wanted, given, dim=1)[:, None] for wanted, given in pairs]
    total = sum(F.interpolate(d, (small.height, small.width), mode="bilinear", align_corners=True) for d in distances)
    expected = np.stack([gaussian_filter(one.astype(np.float64), sigma=4) for one in total[:, 0].numpy()])
    given = reference_maps(small.networks, frames)
    assert given.dtype == np.float32
    np.testing.assert_allclose(given, expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize(
    "change",
    [
        scaled("input/mean", 1.05),
        scaled("head/rows_2", 1.01),
        scaled("head/columns_0", 0.99),
        scaled("head/one", 1.001),
        shifted_score,
    ],
    ids=["mean", "rows", "columns", "one", "score"],
)
def test_a_wrong_graph_is_refused(small, change):
    with pytest.raises(GateError, match=r"differ from PyTorch's by \d\.\d+e-0\d") as caught:
        check(small, graph=changed(small, change))
    assert caught.value.exit_code == 5
    assert "1e-04 or less on 3 pictures" in caught.value.expected


def test_a_graph_that_gives_nan_is_refused(small):
    with pytest.raises(GateError, match="by nan"):
        check(small, graph=changed(small, scaled("head/rows_1", float("nan"))))


def test_networks_that_moved_on_since_the_export_are_noticed(small):
    torch.manual_seed(1)
    with pytest.raises(GateError):
        check(small, student=make_student(small.networks.teacher.info, "light").eval())
