"""The graph of a bundle with aspect `letterbox`: the same map inside the picture, 0 in the padding, a score of both."""

import numpy as np
import onnx
import pytest
from export_parts import run

from edgerd.bundle.manifest import PreprocessSpec
from edgerd.data.aspect import PADDING_BGR, is_picture
from edgerd.data.preprocess import prepare
from edgerd.errors import GateError
from edgerd.exporting.check import MAX_MAP_ERROR, check_against_networks, reference_maps
from edgerd.exporting.graph import graph_from_networks
from edgerd.models.fusion import scores_of_maps


@pytest.fixture(scope="module")
def padded(kind):
    return graph_from_networks(kind.networks, kind.height, kind.width, padded=True)


def letterboxed(exported):
    """Pictures of several shapes, uint8 (n, H, W, 3): padded left and right, above and below, and not at all."""
    spec = PreprocessSpec(height=exported.height, width=exported.width, aspect="letterbox")
    sizes = [(64, 40), (30, 200), (128, 192), (7, 90)]
    noise = [np.random.default_rng(1).integers(0, 256, (*size, 3), np.uint8) for size in sizes]
    noise[1][:] = PADDING_BGR  # a picture that looks like padding is none
    return np.concatenate([prepare(picture, spec) for picture in noise])


def test_inside_the_picture_the_map_is_as_without_padding(kind, padded):
    frames = letterboxed(kind)
    inside = is_picture(frames)
    assert inside.mean((1, 2)) == pytest.approx([40 / 96, 14 / 64, 1, 7 / 64], abs=0.01)
    unpadded, _ = run(kind.graph, frames)
    anomaly_map, score = run(padded, frames)
    np.testing.assert_array_equal(anomaly_map, np.where(inside, unpadded, 0))
    np.testing.assert_allclose(score, scores_of_maps(anomaly_map, kind.networks.fusion), rtol=1e-5)
    assert unpadded[~inside].max() > 0  # so that there was something to leave out


def test_what_is_highest_in_the_padding_gives_no_score(kind, padded):
    """The score of a picture goes up where its padding is taken for a part of it."""
    frames = letterboxed(kind)
    _, with_padding = run(kind.graph, frames)
    _, score = run(padded, frames)
    assert (score <= with_padding + 1e-6).all()


def test_it_is_checked_against_the_networks(kind, padded):
    frames = letterboxed(kind)
    assert check_against_networks(padded, kind.networks, frames, padded=True) <= MAX_MAP_ERROR
    assert not reference_maps(kind.networks, frames, padded=True)[~is_picture(frames)].any()
    with pytest.raises(GateError, match="differ from PyTorch"):
        check_against_networks(kind.graph, kind.networks, frames, padded=True)


def test_only_the_frame_and_the_head_know_of_it(kind, padded):
    """Whatever is quantized is the same, node by node; what is new belongs to parts that never are."""
    before, after = (onnx.load_from_string(graph).graph for graph in (kind.graph, padded))
    assert (after.input, after.output) == (before.input, before.output)
    old = {node.name: node for node in before.node}
    new = [node for node in after.node if node.name not in old]
    assert {node.name.split("/")[0] for node in new} == {"input", "head"}
    changed = [node.name for node in after.node if node.name in old and node != old[node.name]]
    assert changed == ["head/fused"]  # its output goes on into the product
