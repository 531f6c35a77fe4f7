"""Every GPU engine: built from the subject's bundle, compared with FP32 on the CPU, timed stage by stage."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from edgerd.building.scores import holdout_pictures
from edgerd.building.typed_graph import typed_graph
from edgerd.cuda.graphs import Step
from edgerd.cuda.kernels.plan import FrameLayout
from edgerd.cuda.kernels.preprocess import Preprocessor
from edgerd.cuda.memory import Memory
from edgerd.errors import EdgerdError
from edgerd.inspection.judge import Judge
from edgerd.runtimes import load_runtime
from edgerd.runtimes.choose import open_engine
from edgerd.runtimes.device import DeviceEngine
from edgerd.runtimes.protocol import Maps
from edgerd.types import Frame, PixelFormat, UInt8Array
from gpu.inventory import GPU_RUNTIMES
from gpu.measure import device_times_ms, host_times_ms, percentiles
from gpu.sections import NotRunError, Section
from gpu.subject import Subject

_N_COMPARED = 8


@dataclass(frozen=True)
class BuiltEngine:
    """One runtime and precision.

    Attributes:
        runtime: Its name.
        precision: Of the graph.
        build_s: Seconds to build it, from a cache where it was built before.
        graph: What it was built from.
        files: What `Runtime.build` gave.
        sha256: Of the graph.
    """

    runtime: str
    precision: str
    build_s: float
    sha256: str
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
        engine = runtime.load(self.graph, runtime.key(self.precision, self.sha256), self.files)
        with closing(engine):
            if not isinstance(engine, DeviceEngine):
                raise NotRunError(f"{self.name} does not run on a GPU")
            yield engine


def build_all(subject: Subject, section: Section) -> list[BuiltEngine]:
    """Build every precision of every GPU runtime that is here; what cannot be built is noted in the section.

    Raises:
        NotRunError: There is none.
    """
    built: list[BuiltEngine] = []
    for name in GPU_RUNTIMES:
        runtime = load_runtime(name)
        probe = runtime.probe()
        if not probe.usable:
            section.notes.append(f"{name} was not run: {probe.reason} Next: {probe.fix}")
        for precision in probe.precisions:
            try:
                graph = typed_graph(subject.bundle, precision, probe.int8_flavour)
                started_s = time.perf_counter()
                files = runtime.build(graph.content, precision)
            except EdgerdError as error:
                section.notes.append(f"{name} {precision} was not run: {error.what}")
                continue
            build_s = time.perf_counter() - started_s
            built.append(BuiltEngine(name, precision, build_s, graph.sha256, graph.content, files))
    if not built:
        raise NotRunError("; ".join(section.notes))
    return built


def reference_maps(subject: Subject) -> tuple[UInt8Array, Maps]:
    """Good pictures, and what the FP32 graph gives for them on the CPU."""
    pictures = holdout_pictures(subject.bundle)[:_N_COMPARED]
    tiles = pictures.reshape(-1, *pictures.shape[2:])
    with open_engine(subject.bundle, "onnxruntime", "fp32") as opened:
        return tiles, Maps(
            *(np.concatenate(part) for part in zip(*map(opened.engine.infer, tiles[:, None]), strict=True))
        )


def fill(section: Section, subject: Subject, engines: list[BuiltEngine], n: int, frame_size: tuple[int, int]) -> None:
    """A row per engine: medians of upload, kernel, engine, download on the GPU's clock, of the verdict on the host's.

    Args:
        section: To fill.
        subject: What is measured.
        engines: As `build_all` gave them.
        n: Runs of each stage.
        frame_size: Width and height of the BGR frame.
    """
    tiles, reference = reference_maps(subject)
    for built in engines:
        with built.opened() as engine:
            got = np.concatenate([engine.infer(tile[None]).anomaly_map for tile in tiles])
            row = {"engine": built.name, "build s": round(built.build_s, 1)}
            row["map error"] = float(np.abs(got - reference.anomaly_map).max())
            with closing(Stages(engine, subject, frame_size)) as stages:
                row |= stages.measure(n)
        section.rows.append(row)
    section.notes.append(
        f"{subject.origin}; {frame_size[0]}x{frame_size[1]} BGR; medians of {n} runs; map error against FP32 on "
        f"the CPU, {len(tiles)} good pictures. Stages are timed alone; 'engine wall' is enqueue and wait, on the host."
    )


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
        self._judge = Judge(manifest, threshold=1e9)
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
        found: dict[str, Any] = {
            name: float(np.median(device_times_ms(self._gpu, stream, enqueue, n))) for name, enqueue in stages.items()
        }
        found["verdict ms"] = float(np.median(host_times_ms(self._decide, n)))
        found["engine wall ms"] = percentiles(host_times_ms(self._run_engine, n))["p50"]
        found["graph"] = "yes" if step.is_graph else f"no: {step.reason}"
        return found

    def engine_wall_ms(self, n: int) -> dict[str, float]:
        """The engine alone, captured where that is possible: enqueue and wait, on the host's clock."""
        self._engine_step = Step(self._gpu, self._stream, lambda: self._infer(self._stream))
        return percentiles(host_times_ms(self._run_engine, n))

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
        self._judge.decide(Maps(self._score.host, self._map.host.copy()), self._picture, started_s)
