"""The camera step: with and without graphs, in both modes; and the whole frame against the engine alone."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from contextlib import closing
from typing import Any

import numpy as np
import numpy.typing as npt

from edgerd.cli.bench import frames_of
from edgerd.cuda.graphs import Step
from edgerd.inspection.gpu.options import DeviceOptions
from edgerd.inspection.inspector import Inspector
from edgerd.inspection.judge import Pending
from edgerd.recipe.product import MAX_SCORE
from edgerd.runtimes.device import DeviceEngine
from edgerd.types import Frame, UInt8Array, Verdict
from gpu.card import clocks_while
from gpu.engines import BuiltEngine
from gpu.measure import UPLOADS, device_times_ms, host_times_ms, percentiles, upload_bytes_per_s
from gpu.sections import Bar, Section
from gpu.subject import Subject

_OVERHEAD_MS = 0.08
_TAIL = 1.3
_N_FRAMES = 10_000
_WARM_UP = 100
MODES = (
    DeviceOptions(mode="latency", wait="spinning"),
    DeviceOptions(mode="latency", wait="spinning", capture=False),
    DeviceOptions(mode="latency", wait="blocking"),
    DeviceOptions(mode="throughput", wait="spinning"),
    DeviceOptions(mode="throughput", wait="spinning", capture=False),
)


def fill(section: Section, subject: Subject, built: BuiltEngine, n: int, frame_size: tuple[int, int]) -> None:
    """A row per mode and way to wait."""
    for options in MODES:
        with built.opened() as engine, closing(Loop(engine, subject, options, frame_size)) as loop:
            clocks = loop.warm_up()
            times, elapsed_s = loop.run(n)
            section.add(
                {
                    "engine": built.name,
                    "mode": options.mode,
                    "wait": options.wait,
                    "graph": "no" if not options.capture else loop.graph,
                    **{f"frame {name} ms": value for name, value in percentiles(times).items()},
                    "frames per s": len(times) / elapsed_s,
                    **clocks,
                }
            )
    section.notes.append(
        f"{subject.origin}; {frame_size[0]}x{frame_size[1]} BGR, {n} frames each, from the frame in its pinned slot to "
        "the verdict. In mode throughput several frames are under way, and a frame's time holds its wait."
    )


def fill_whole_frame(
    section: Section, subject: Subject, built: BuiltEngine, n: int, frame_size: tuple[int, int]
) -> None:
    """A row, and the bars: what may be added to engine and upload, and how long the tail may be."""
    n_bytes = 3 * frame_size[0] * frame_size[1]
    n_alone = max(200, n // 10)
    with built.opened() as engine, closing(Loop(engine, subject, MODES[0], frame_size)) as loop:
        clocks = loop.warm_up()
        upload = upload_bytes_per_s(engine.gpu, n_bytes)
        before = loop.engine_ms(n_alone)
        whole = percentiles(loop.run(n)[0])
        after = loop.engine_ms(n_alone)
    alone, on_gpu = (float(np.mean(pair)) for pair in zip(before, after, strict=True))
    upload_ms = 1e3 * n_bytes / upload if upload else 0.0
    section.bars.append(Bar(f"{built.name}, frame p50 ms", whole["p50"], alone + upload_ms + _OVERHEAD_MS))
    section.bars.append(Bar(f"{built.name}, frame p99 / p50", whole["p99"] / whole["p50"], _TAIL))
    section.add(
        {
            "engine": built.name,
            "engine p50 ms": alone,
            "engine p50 ms, GPU's clock": on_gpu,
            "upload ms": upload_ms,
            "upload GB/s": upload / 1e9 if upload else None,
            **{f"frame {name} ms": value for name, value in whole.items()},
            "added ms": whole["p50"] - alone - upload_ms,
            "frames": n,
            "graph": loop.graph,
            **clocks,
        }
    )
    section.notes.append(
        f"{subject.origin}; {frame_size[0]}x{frame_size[1]} BGR, mode latency, spinning. Engine alone: the same one, "
        f"enqueue and wait, on the host's clock, {n_alone} runs before the frames and as many after them. Upload: a "
        f"copy of a frame from pinned memory, median of {UPLOADS}."
    )
    if n < _N_FRAMES:
        section.notes.append(f"The bar for p99 is meant for {_N_FRAMES} frames.")


class Loop:
    """An inspector whose frames lie in its own slots, as a camera puts them there."""

    def __init__(
        self, engine: DeviceEngine, subject: Subject, options: DeviceOptions, frame_size: tuple[int, int]
    ) -> None:
        # every frame is OK, so that the way of a good part is measured
        self._inspector = Inspector(subject.bundle, engine, MAX_SCORE, device=options)
        pictures = frames_of(subject.bundle, *frame_size)
        self._inspector.inspect(pictures[0])  # makes the slots
        self._engine = engine
        self._pools: Any = self._inspector.buffers
        self.graph = "; ".join(self._inspector.notes) or "yes"
        self._slots = self._lent(pictures)

    def warm_up(self) -> dict[str, str]:
        """Judge frames until the card is warm; its clocks meanwhile, as columns of a table."""
        return clocks_while(lambda: self._judged(_WARM_UP))

    def run(self, n: int) -> tuple[npt.NDArray[np.float64], float]:
        """Judge n frames.

        Returns:
            Milliseconds of each, and seconds of all.
        """
        started_s = time.perf_counter()
        times = self._judged(n)
        return times, time.perf_counter() - started_s

    def engine_ms(self, n: int) -> tuple[float, float]:
        """Medians of the loop's own engine alone, captured where that is possible; nothing may be under way.

        Returns:
            Enqueue and wait, on the host's clock; and what the GPU's own clock says of it.
        """
        lane, gpu = self._pools.lanes[0], self._engine.gpu
        with closing(Step(gpu, lane.stream, lane.infer)) as engine:

            def run() -> None:
                engine.launch()
                lane.wait()

            wall = float(np.median(host_times_ms(run, n)))
            return wall, float(np.median(device_times_ms(gpu, lane.stream, engine.launch, n)))

    def close(self) -> None:
        """Give the slots back, and free them and the engine."""
        for data in self._slots:
            self._pools.give_back(data)
        self._inspector.close()

    def _lent(self, pictures: list[UInt8Array]) -> list[UInt8Array]:
        lent: list[UInt8Array] = []
        while (data := self._pools.lend()) is not None:
            data[...] = pictures[len(lent) % len(pictures)]
            lent.append(data)
        return lent or pictures

    def _judged(self, n: int) -> npt.NDArray[np.float64]:
        times: list[float] = []
        under_way: deque[Pending] = deque()
        depth = min(self._inspector.depth, len(self._slots))

        def finish(pending: Pending) -> None:
            inspection = pending.result()
            if inspection.verdict is not Verdict.OK:
                raise RuntimeError(f"a frame was not judged OK: {inspection.verdict.value} {inspection.reason}")
            times.append(inspection.frame_ms)

        submit: Callable[[Frame], Pending] = self._inspector.submit
        for index in range(n):
            if len(under_way) == depth:
                finish(under_way.popleft())
            under_way.append(submit(Frame(self._slots[index % len(self._slots)])))
        while under_way:
            finish(under_way.popleft())
        return np.array(times)
