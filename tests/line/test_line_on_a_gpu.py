"""The camera loop on a real GPU, over every runtime that is there: `pytest -m gpu`."""

from __future__ import annotations

import hashlib

import pytest
from device_parts import compare_with_the_cpu

from edgerd.bundle.manifest import GRAPH_FILE
from edgerd.runtimes import load_runtime
from edgerd.types import PixelFormat

pytestmark = pytest.mark.gpu


@pytest.fixture(params=["tensorrt", "onnxruntime-cuda"])
def runtime(request):
    found = load_runtime(request.param)
    probe = found.probe()
    if not probe.usable:
        pytest.skip(probe.reason)
    return found


@pytest.mark.parametrize("mode", ["latency", "throughput"])
@pytest.mark.parametrize("pixel_format", PixelFormat)
def test_500_frames_give_the_alerts_of_the_cpu(runtime, bundle, pixel_format, mode):
    graph = bundle.read(GRAPH_FILE)
    key = runtime.key("fp32", hashlib.sha256(graph).hexdigest())
    files = runtime.build(graph, "fp32")
    summary = compare_with_the_cpu(bundle, lambda: runtime.load(graph, key, files), pixel_format, mode)
    if runtime.name == "tensorrt":
        assert summary.warnings == ()  # one graph per frame
