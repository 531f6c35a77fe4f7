from __future__ import annotations

import hashlib
import sys

import numpy as np
import pytest
from runtime_graphs import HEIGHT, WIDTH, small_fused_graph

from edgerd.runtimes import load_runtime
from edgerd.runtimes.protocol import Maps


@pytest.fixture(scope="session")
def graph() -> bytes:
    return small_fused_graph()


@pytest.fixture(scope="session")
def graph_sha256(graph: bytes) -> str:
    return hashlib.sha256(graph).hexdigest()


@pytest.fixture(scope="session")
def frames() -> np.ndarray:
    """uint8 (3, H, W, 3): noise, dark noise, a gradient."""
    noise = np.random.default_rng(1).integers(0, 256, (2, HEIGHT, WIDTH, 3), dtype=np.uint8)
    noise[1] //= 4
    ramp = np.linspace(0, 255, WIDTH).astype(np.uint8)[None, None, :, None]
    return np.concatenate([noise, np.broadcast_to(ramp, (1, HEIGHT, WIDTH, 3))])


@pytest.fixture(scope="session")
def expected(graph: bytes, frames: np.ndarray) -> Maps:
    """What the FP32 graph gives for the frames, by ONNX Runtime itself on the CPU."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
    return Maps(*session.run(["score", "anomaly_map"], {"frame": frames}))


@pytest.fixture
def tensorrt_cache(private_cache):
    """Where engines and timings are kept; empty."""
    return private_cache / "tensorrt"


@pytest.fixture
def emulated_onnxruntime(emulation, monkeypatch, private_cache):
    """The package onnxruntime-gpu over the emulated GPU, in the place of the one that is installed."""
    from emulation.onnxruntime_gpu import EmulatedOnnxRuntime

    module = EmulatedOnnxRuntime(emulation)
    monkeypatch.setitem(sys.modules, "onnxruntime", module)
    monkeypatch.setattr("edgerd.runtimes.onnxruntime.cuda_libraries._loaded", lambda _: "")
    return module


@pytest.fixture
def said() -> list[str]:
    """What the runtime told."""
    return []


@pytest.fixture
def tensorrt(emulation, private_cache, said):
    """Makes the runtime: `tensorrt(profile=(1, 2, 4))`, with what options there are."""
    from edgerd.runtimes.tensorrt.options import BuildOptions
    from edgerd.runtimes.tensorrt.runtime import TensorRt

    def make(timing_cache=None, on_progress=lambda _: None, **options):
        return TensorRt(BuildOptions(**options), timing_cache=timing_cache, say=said.append, on_progress=on_progress)

    return make


@pytest.fixture
def loaded(tensorrt, graph, graph_sha256):
    """Builds and loads the small graph; closed at the end."""
    opened = []

    def load(precision="fp32", **options):
        runtime = tensorrt(**options)
        key = runtime.key(precision, graph_sha256)
        opened.append(runtime.load(graph, key, runtime.build(graph, precision)))
        return opened[-1]

    yield load
    for engine in reversed(opened):
        engine.close()


# onnxruntime-cuda, over the emulated GPU


@pytest.fixture
def ort(expected, emulated_onnxruntime):  # expected: from the real package, before it is replaced
    """The emulated package; `ort.emulation` is the GPU, `ort.sessions` are those that were opened."""
    return emulated_onnxruntime


@pytest.fixture
def opened(ort, graph, graph_sha256):
    """Opens an engine of onnxruntime-cuda; closed at the end."""
    engines = []

    def open_(content=graph, precision="fp32"):
        runtime = load_runtime("onnxruntime-cuda")
        engines.append(runtime.load(content, runtime.key(precision, graph_sha256), {}, threads=1))
        return engines[-1]

    yield open_
    for engine in engines:
        engine.close()


@pytest.fixture
def memory():
    """Makes a Memory; freed before its GPU is closed."""
    from edgerd.cuda.memory import Memory

    made = []

    def make(gpu):
        made.append(Memory(gpu))
        return made[-1]

    yield make
    for each in made:
        each.free()
