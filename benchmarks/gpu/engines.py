"""Every GPU engine: built from the subject's bundle, compared with FP32 on the CPU, timed stage by stage."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from edgerd.acceptance.gate import Budget
from edgerd.acceptance.scores import comparison_pictures
from edgerd.cuda.graphs import Step
from edgerd.cuda.kernels.plan import FrameLayout
from edgerd.cuda.kernels.preprocess import Preprocessor
from edgerd.cuda.memory import Memory
from edgerd.inspection.judge import Judge
from edgerd.runtimes import load_runtime
from edgerd.runtimes.choose import open_engine
from edgerd.runtimes.device import DeviceEngine
from edgerd.runtimes.protocol import Maps
from edgerd.types import Frame, PixelFormat, UInt8Array
from gpu.card import clocks_while
from gpu.measure import device_times_ms, host_times_ms
from gpu.sections import Bar, NotRunError, Section
from gpu.subject import Subject

_N_COMPARED = 8
_FP32_MAP_ERROR = 1e-3


@dataclass(frozen=True)
class BuiltEngine:
    """One runtime and precision.

    Attributes:
        runtime: Its name.
        precision: Of the graph.
        graph: What it was built from.
        files: What `Runtime.build` gave.
    """

    runtime: str
    precision: str
    graph: bytes = field(repr=False)
    files: dict[str, bytes] = field(repr=False)

    @property
    def name(self) -> str:
        """As tables have it."""
        return f"{self.runtime} {self.precision}"

    @contextmanager
    def opened(self) -> Iterator[DeviceEngine]:
        """Loaded, and closed at the end."""
        runtime = load_runtime(self.runtime)
        sha256 = hashlib.sha256(self.graph).hexdigest()
        engine = runtime.load(self.graph, runtime.key(self.precision, sha256), self.files)
        with closing(engine):
            if not isinstance(engine, DeviceEngine):
                raise NotRunError(f"{self.name} does not run on a GPU")
            yield engine

    def save(self, folder: Path) -> None:
        """Keep its files for the parts that come after."""
        folder.mkdir(parents=True, exist_ok=True)
        for name, content in self.files.items():
            (folder / name).write_bytes(content)

    @classmethod
    def read(cls, name: str, graph: bytes, folder: Path) -> BuiltEngine:
        """What `save` kept.

        Args:
            name: As `name` gives it.
            graph: What it was built from.
            folder: As for `save`.
        """
        runtime, precision = name.split()
        return cls(runtime, precision, graph, {file.name: file.read_bytes() for file in folder.iterdir()})


def reference_maps(subject: Subject) -> tuple[UInt8Array, Maps]:
    """Good pictures, and what the FP32 graph gives for them on the CPU."""
    pictures = comparison_pictures(subject.bundle)[0][:_N_COMPARED]
    tiles = pictures.reshape(-1, *pictures.shape[2:])
    with open_engine(subject.bundle, "onnxruntime", "fp32") as opened:
        return tiles, Maps(
            *(np.concatenate(part) for part in zip(*map(opened.engine.infer, tiles[:, None]), strict=True))
        )


def build(section: Section, name: str, graph: bytes) -> BuiltEngine:
    """Build one engine; a row says how long it took.

    Args:
        section: To fill.
        name: Runtime and precision, "tensorrt fp16".
        graph: Of that precision.
    """
    runtime, precision = name.split()
    started_s = time.perf_counter()
    files = load_runtime(runtime).build(graph, precision)
    section.add({"engine": name, "build s": round(time.perf_counter() - started_s, 1)})
    return BuiltEngine(runtime, precision, graph, files)


def fill(section: Section, subject: Subject, built: BuiltEngine, n: int, frame_size: tuple[int, int]) -> None:
    """Complete the row of `build`: medians of upload, kernel, engine, download on the GPU's clock, verdict on ours.

    Args:
        section: To fill.
        subject: What is measured.
        built: As `build` gave it.
        n: Runs of each stage.
        frame_size: Width and height of the BGR frame.
    """
    tiles, reference = reference_maps(subject)
    with built.opened() as engine:
        engine.gpu.wait_by("spinning")
        got = np.concatenate([engine.infer(tile[None]).anomaly_map for tile in tiles])
        error = section.rows[-1]["map error"] = float(np.abs(got - reference.anomaly_map).max())
        section.bars.append(Bar(f"{built.name}, map error", error, allowed_map_error(subject, built.precision)))
        section.keep()
        with closing(Stages(engine, subject, frame_size)) as stages:
            section.rows[-1].update(stages.measure(n))
    if built.runtime == "tensorrt":  # ONNX Runtime has a graph of its own
        is_graph = float(section.rows[-1]["graph"] == "yes")
        section.bars.append(Bar(f"{built.name}, captured as a graph (1: yes)", is_graph, 1.0, at_most=False))
    section.notes.append(
        f"{subject.origin}; {frame_size[0]}x{frame_size[1]} BGR; medians of {n} runs; map error against FP32 on "
        f"the CPU, {len(tiles)} good pictures. Stages are timed alone; 'engine wall' is enqueue and wait, on the host."
    )


def allowed_map_error(subject: Subject, precision: str) -> float:
    """What the gate allows; of FP32 what another order of its sums may come to."""
    threshold = subject.bundle.manifest.threshold
    if precision == "fp32" or threshold is None:
        return _FP32_MAP_ERROR
    return Budget.usual(threshold.value).max_map_error


class Stages:
    """The stages of one frame, each of which can be enqueued alone."""

    def __init__(self, engine: DeviceEngine, subject: Subject, frame_size: tuple[int, int]) -> None:
        self._gpu = engine.gpu
        manifest = subject.bundle.manifest
        spec = manifest.preprocess
        width, height = frame_size
        self._memory, self._stream = Memory(self._gpu), self._gpu.stream()
        self._kernel = Preprocessor(self._gpu, self._memory, FrameLayout(PixelFormat.BGR, height, width), spec)
        self._frame = self._memory.frame(3 * height * width)
        self._frame.host[:] = 128
        self._tiles = self._memory.result(self._kernel.output_shape, np.uint8)
        self._score = self._memory.result((spec.n_tiles,), np.float32)
        self._map = self._memory.result((spec.n_tiles, spec.height, spec.width), np.float32)
        self._launch = self._kernel.bind(self._frame.address, self._tiles.address)
        self._infer = engine.bind(self._tiles.address, self._score.address, self._map.address, spec.n_tiles)
        self._judge = Judge(spec, manifest.limits, threshold=1e9)
        self._picture = Frame(self._frame.host.reshape(height, width, 3))
        self._engine_step: Step | None = None

    def measure(self, n: int) -> dict[str, Any]:
        """Medians in ms, and whether the engine could be captured."""
        stream = self._stream
        step = self._engine_step = Step(self._gpu, stream, lambda: self._infer(stream))
        stages: dict[str, Callable[[], None]] = {
            "upload ms": lambda: self._frame.upload(stream),
            "kernel ms": lambda: self._launch(stream),
            "engine ms": step.launch,
            "download ms": self._download,
        }
        found: dict[str, Any] = clocks_while(self._run_engine)
        found |= {
            name: float(np.median(device_times_ms(self._gpu, stream, enqueue, n))) for name, enqueue in stages.items()
        }
        found["verdict ms"] = float(np.median(host_times_ms(self._decide, n)))
        found["engine wall ms"] = float(np.median(host_times_ms(self._run_engine, n)))
        found["graph"] = "yes" if step.is_graph else f"no: {step.reason}"
        return found

    def close(self) -> None:
        """Free everything."""
        if self._engine_step:
            self._engine_step.close()
        self._kernel.close()
        self._memory.free()

    def _run_engine(self) -> None:
        if self._engine_step:
            self._engine_step.launch()
        self._gpu.synchronise(self._stream)

    def _download(self) -> None:
        self._score.download(self._stream)
        self._map.download(self._stream)
        self._tiles.download(self._stream)

    def _decide(self) -> None:
        started_s = time.perf_counter()
        self._judge.exposure(self._tiles.host, started_s)
        self._judge.decide(Maps(self._score.host, self._map.host.copy()), self._picture, started_s, None)
