"""An engine on the emulated GPU that scores as the fake one does, and frames in every pixel format."""

from __future__ import annotations

import functools
import hashlib
import itertools

import cv2
import numpy as np
import onnx
from line_parts import run_camera
from onnx import TensorProto, helper, numpy_helper

from edgerd.cameras.fake import FakeCamera
from edgerd.data.samples import line_parts
from edgerd.inspection.gpu.options import DeviceOptions
from edgerd.inspection.inspector import Inspector
from edgerd.line.decision import StreamPolicy
from edgerd.sinks.fake import FakeSink
from edgerd.types import Frame, PixelFormat, UInt8Array


def grey_graph(height: int, width: int) -> bytes:
    """A pixel's score is |mean over the channels - 128| / 128; uint8 (N, H, W, 3) -> `anomaly_map`, `score`."""
    constants = {
        "channel": np.array([3]),
        "area": np.array([1, 2]),
        "mid": np.float32(128),
        "scale": np.float32(1 / 128),
    }
    nodes = [
        helper.make_node("Cast", ["frame"], ["pixels"], name="input/cast", to=TensorProto.FLOAT),
        helper.make_node("ReduceMean", ["pixels", "channel"], ["grey"], name="input/grey", keepdims=0),
        helper.make_node("Sub", ["grey", "mid"], ["centred"], name="input/centred"),
        helper.make_node("Abs", ["centred"], ["distance"], name="head/distance"),
        helper.make_node("Mul", ["distance", "scale"], ["anomaly_map"], name="head/map"),
        helper.make_node("ReduceMax", ["anomaly_map", "area"], ["score"], name="head/score", keepdims=0),
    ]
    made = helper.make_graph(
        nodes,
        "grey",
        [helper.make_tensor_value_info("frame", TensorProto.UINT8, ["batch", height, width, 3])],
        [
            helper.make_tensor_value_info("anomaly_map", TensorProto.FLOAT, ["batch", height, width]),
            helper.make_tensor_value_info("score", TensorProto.FLOAT, ["batch"]),
        ],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()],
    )
    model = helper.make_model(made, opset_imports=[helper.make_opsetid("", 19)], ir_version=9)
    onnx.checker.check_model(model)
    return bytes(model.SerializeToString())


def gpu_engine(graph: bytes, batch: int = 1):
    """A TensorRT engine of a graph, for so many tiles."""
    from edgerd.runtimes.tensorrt.options import BuildOptions
    from edgerd.runtimes.tensorrt.runtime import TensorRt

    runtime = TensorRt(BuildOptions(profile=(batch, batch, batch)))
    key = runtime.key("fp32", hashlib.sha256(graph).hexdigest())
    return runtime.load(graph, key, runtime.build(graph, "fp32"))


def in_format(bgr: UInt8Array, pixel_format: PixelFormat) -> UInt8Array:
    """A picture as a camera of that format gives it; height and width even."""
    if pixel_format is PixelFormat.BGR:
        return bgr
    if pixel_format is PixelFormat.GREY:
        return cv2.cvtColor(bgr, cv2.COLOR_BGR2GRAY)
    if pixel_format is PixelFormat.YUYV:
        return cv2.cvtColor(bgr, cv2.COLOR_BGR2YUV_YUYV)
    height, width = bgr.shape[:2]
    planar = cv2.cvtColor(bgr, cv2.COLOR_BGR2YUV_I420)
    chroma = planar[height:].reshape(2, height // 2, width // 2)
    return np.concatenate([planar[:height], np.moveaxis(chroma, 0, 2).reshape(height // 2, width)])


class FillingCamera:
    """Writes its pictures to the memory that it is given, as a driver does.

    Attributes:
        filled: How many frames it wrote to a buffer; the others are arrays of its own.
    """

    uri = "filling://"

    def __init__(self, pictures, live=False, before=lambda number: None, fixed_size=True):
        self.live = live
        self.fixed_size = fixed_size
        self.n_frames = len(pictures)
        self.filled = 0
        self._pictures = list(pictures)
        self._before = before
        self._number = 0
        self._closed = False

    def read(self):
        return self._next(None)

    def read_into(self, buffer):
        return self._next(buffer)

    def close(self):
        self._closed = True

    def _next(self, buffer):
        number = self._number
        if self._closed or number == self.n_frames:
            return None
        self._before(number)
        self._number += 1
        data = self._pictures[number]
        if buffer is not None and buffer.shape == data.shape:
            buffer[:] = data
            self.filled += 1
            data = buffer
        return Frame(data, number=number, captured_monotonic_s=number / 30, source=self.uri)


def judged(inspector, camera, **options):
    """Verdict lines, events and the summary of a run."""
    verdicts, events = FakeSink(), FakeSink()
    summary = run_camera(inspector, camera, verdict_sinks=[verdicts], event_sinks=[events], **options)
    return verdicts.events, events.events, summary


def alerts(events):
    return [(event["kind"], event["state"], event.get("frame")) for event in events]


def told(lines):
    return [tuple(line[name] for name in ("verdict", "reason", "frame", "source")) for line in lines]


# 500 frames, on a GPU and on the CPU

N_FRAMES = 500
TOLERANCE = {PixelFormat.BGR: 1e-4, PixelFormat.GREY: 1e-4, PixelFormat.NV12: 1e-3, PixelFormat.YUYV: 1e-3}


def boxes(event):
    return [tuple(region[name] for name in ("x", "y", "width", "height")) for region in event["regions"]]


@functools.cache
def line_pictures():
    """Parts of the line, half of them defective, each a little brighter or darker; 150 px to 64: an uneven factor."""
    parts = [part.part.picture for part in line_parts("ring", 100, 0.5, seed=1, size=150)]
    light = np.random.default_rng(0).uniform(0.95, 1.05, N_FRAMES)
    return [np.clip(parts[n % len(parts)] * light[n], 0, 255).astype(np.uint8) for n in range(N_FRAMES)]


def line_frames(pixel_format):
    """Frames of a live camera."""
    for number, bgr in enumerate(line_pictures()):
        yield Frame(in_format(bgr, pixel_format), pixel_format, number, captured_monotonic_s=number / 30)


def compare_with_the_cpu(bundle, open_engine, pixel_format, mode):
    """The same verdicts, alerts and regions from an engine on a GPU, and scores as close as pixels are."""
    frames = list(line_frames(pixel_format))
    with Inspector.open(bundle, threads=1) as reference:
        scores = sorted(reference.inspect(frame).score for frame in frames[:60])
    threshold = sum(max(itertools.pairwise(scores[24:42]), key=lambda pair: pair[1] - pair[0])) / 2

    runs = []
    for open_inspector in (
        lambda: Inspector.open(bundle, threshold=threshold, threads=1),
        lambda: Inspector(bundle, open_engine(), threshold, device=DeviceOptions(mode=mode)),
    ):
        with open_inspector() as inspector:
            # frames of a file, because a live camera that gives every frame has none waiting: nothing would overlap
            camera = FakeCamera(frames, live=mode == "latency")
            runs.append(judged(inspector, camera, policy=StreamPolicy(clear_ratio=1.0), frames="every"))
    (here, here_events, here_summary), (there, there_events, there_summary) = runs
    assert len(here) == N_FRAMES
    assert here_summary.ng > 50
    assert told(here) == told(there)
    assert alerts(here_events) == alerts(there_events)
    assert len(here_events) > 20
    assert [boxes(event) for event in here_events] == [boxes(event) for event in there_events]
    difference = max(abs(one["score"] - other["score"]) for one, other in zip(here, there, strict=True))
    assert difference <= TOLERANCE[pixel_format]
    return there_summary
