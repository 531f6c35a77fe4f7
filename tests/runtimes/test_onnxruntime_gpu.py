"""What only a GPU can tell of the CUDA provider: `pytest -m gpu`."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from runtime_graphs import HEIGHT, WIDTH

from edgerd.cuda.memory import Memory
from edgerd.runtimes.onnxruntime.cuda import OnnxRuntimeCuda

pytestmark = pytest.mark.gpu

CAPTURE = """
import sys
from pathlib import Path

import numpy as np

from edgerd.cuda.graphs import Step
from edgerd.cuda.memory import Memory
from edgerd.runtimes.onnxruntime.cuda import OnnxRuntimeCuda
from edgerd.runtimes.onnxruntime.cuda_engine import _StreamRun

_StreamRun._refuse_capture = lambda *_: None
runtime, graph = OnnxRuntimeCuda(), Path(sys.argv[1]).read_bytes()
engine = runtime.load(graph, runtime.key("fp32", ""), {})
memory, stream = Memory(engine.gpu), engine.gpu.stream()
shape = (1, engine.height, engine.width)
frame, score = memory.frame(3 * engine.height * engine.width), memory.result((1,), np.float32)
maps = memory.result(shape, np.float32)
enqueue = engine.bind(frame.address, score.address, maps.address, 1, replay=False)
for _ in range(3):
    enqueue(stream)
step = Step(engine.gpu, stream, lambda: enqueue(stream))
print("captured" if step.is_graph else f"not captured: {step.reason}", flush=True)
"""


@pytest.fixture
def engine(graph, graph_sha256):
    runtime = OnnxRuntimeCuda()
    probe = runtime.probe()
    if not probe.usable:
        pytest.skip(probe.reason)
    opened = runtime.load(graph, runtime.key("fp32", graph_sha256), {})
    yield opened
    opened.close()


def test_maps_on_the_gpu_are_those_of_the_cpu_in_fp32(engine, frames, expected):
    np.testing.assert_allclose(engine.infer(frames).anomaly_map, expected.anomaly_map, atol=1e-4)


@pytest.mark.parametrize("replay", [True, False])
def test_a_run_on_a_stream_with_and_without_a_replay_gives_the_same(engine, frames, expected, replay):
    memory, stream = Memory(engine.gpu), engine.gpu.stream()
    frame = memory.frame(HEIGHT * WIDTH * 3)
    score, maps = memory.result((1,), np.float32), memory.result((1, HEIGHT, WIDTH), np.float32)
    enqueue = engine.bind(frame.address, score.address, maps.address, 1, replay=replay)
    for _ in range(3):
        for index in range(3):
            frame.host[:] = frames[index].ravel()
            frame.upload(stream)
            enqueue(stream)
            maps.download(stream)
            engine.gpu.synchronise(stream)
            np.testing.assert_allclose(maps.host[0], expected.anomaly_map[index], atol=1e-4)
    memory.free()


def test_whether_it_can_be_captured_into_a_graph_of_ours(engine, graph, tmp_path, record_property):
    """In a process of its own: ONNX Runtime may end it. Any answer passes; it is reported."""
    file = tmp_path / "graph.onnx"
    file.write_bytes(graph)
    command = [sys.executable, "-c", CAPTURE, str(file)]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    answer = ended.stdout.strip() or f"the process ended with {ended.returncode}: {ended.stderr.strip()[-300:]}"
    record_property("onnxruntime capture", answer)
    sys.stdout.write(f"\nONNX Runtime inside a captured graph of ours: {answer}\n")
    assert answer
