"""What the CUDA provider's engine refuses, and what it says when the GPU does; over the emulated GPU."""

from __future__ import annotations

import re

import numpy as np
import onnx
import pytest
from runtime_graphs import HEIGHT, WIDTH, small_fused_graph
from stream_slot import Slot

from edgerd.errors import BundleDamagedError, DeviceError, DeviceLostError, InputError
from edgerd.runtimes.onnxruntime.cuda import OnnxRuntimeCuda

pytestmark = pytest.mark.emulated(once=True)


def test_infer_gives_the_maps_and_refuses_what_does_not_fit(opened, frames, expected):
    engine = opened()
    np.testing.assert_allclose(engine.infer(frames).anomaly_map, expected.anomaly_map, atol=1e-5)
    with pytest.raises(InputError, match=f"{HEIGHT}, {WIDTH}, 3"):
        engine.infer(frames.astype(np.float32))


@pytest.mark.parametrize(
    ("said", "kind", "match"),
    [
        ("CUDA failure 700: an illegal memory access was encountered ; GPU=0", DeviceLostError, "illegal memory"),
        ("CUDA failure 2: out of memory ; GPU=0", DeviceError, "not have enough memory"),
        ("BFCArena::AllocateRawInternal Failed to allocate memory for requested buffer", DeviceError, "enough memory"),
        ("CUDNN failure 5000: CUDNN_STATUS_EXECUTION_FAILED", DeviceError, "CUDNN failure 5000"),
        (
            "Non-zero status code returned while running Cast node. Name:'input/cast' Status Message: CUDA error "
            "cudaErrorIllegalAddress:an illegal memory access was encountered",
            DeviceLostError,
            "illegal memory",
        ),
        (
            "Non-zero status code returned while running Conv node. Name:'stem' Status Message: OP not supported by "
            'CUDNN Frontend: no plan\n\n with the cudnn frontend json:\n{"context":{}}\n',
            DeviceError,
            "Conv node. Name:'stem'.*no plan$",
        ),
    ],
)
def test_what_a_run_says_becomes_an_error_of_the_device(ort, opened, memory, frames, said, kind, match):
    engine = opened()
    stream, slot = engine.gpu.stream(), Slot(memory(engine.gpu), 1)
    enqueue = engine.bind(*slot.addresses, 1)
    ort.failure = said
    for attempt in (lambda: engine.infer(frames), lambda: enqueue(stream)):
        with pytest.raises(kind) as raised:
            attempt()
        assert re.search(match, raised.value.what)
    assert engine.gpu.is_lost is (kind is DeviceLostError)


@pytest.mark.parametrize(
    ("kind", "said", "match"),
    [
        (
            "RuntimeError",
            "cuda_call.cc:146 [with bool THRW = true] CUDA failure 2: out of memory ; GPU=0",
            "enough memory",
        ),
        ("Fail", "bfc_arena.cc:360 Failed to allocate memory for requested buffer of size 768", "enough memory"),
        ("Fail", "cuda_call.cc:146 CUBLAS failure 1: CUBLAS_STATUS_NOT_INITIALIZED ; GPU=0", "CUBLAS failure 1"),
        (
            "RuntimeError",
            'Parse Failed to parse provider option "device_id": CUDA failure 46: busy ; GPU=0',
            "error 46",
        ),
    ],
)
def test_a_gpu_that_does_not_take_the_session_is_no_damaged_bundle(ort, opened, kind, said, match):
    ort.refusal = getattr(ort.capi.onnxruntime_pybind11_state, kind, RuntimeError)(said)
    with pytest.raises(DeviceError, match=match):
        opened()
    ort.refusal = None
    opened()  # the context was closed again


def test_a_graph_of_opset_20_runs_whole_on_the_gpu(opened, graph, frames, expected):
    model = onnx.load_from_string(graph)
    model.opset_import[0].version = 20
    model.ir_version = 9
    maps = opened(model.SerializeToString()).infer(frames)
    np.testing.assert_allclose(maps.anomaly_map, expected.anomaly_map, atol=1e-5)


def test_a_graph_that_would_be_split_is_refused(opened, graph):
    model = onnx.load_from_string(graph)
    model.opset_import[0].version = 21  # newer than what is rewritten
    with pytest.raises(DeviceError, match="all of this graph"):
        opened(model.SerializeToString())


@pytest.mark.parametrize("content", [b"", b"not ONNX", small_fused_graph()[:2000]], ids=["empty", "junk", "truncated"])
def test_an_unreadable_graph_is_refused_and_the_gpu_let_go(ort, opened, content):
    with pytest.raises(BundleDamagedError):
        opened(content)
    opened()  # the context was closed again


def test_files_are_refused_and_build_keeps_none(ort, graph, graph_sha256):
    runtime = OnnxRuntimeCuda()
    assert runtime.build(graph, "fp32") == {}
    with pytest.raises(BundleDamagedError, match="a file"):
        runtime.load(graph, runtime.key("fp32", graph_sha256), {"a file": b"x"})


def test_the_key_names_the_gpu(ort, graph_sha256):
    ort.emulation.driver.set_device("Orin", sm=(8, 7), integrated=True)
    key = OnnxRuntimeCuda().key("fp16", graph_sha256)
    assert (key.device, key.features, key.runtime_version) == ("Orin", ("sm_87",), "1.31.1")
    assert OnnxRuntimeCuda().probe().precisions == ("fp32", "fp16")
