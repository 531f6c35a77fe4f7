"""The preprocessing kernels: equal to OpenCV to 1 of 255, and as fast as memory."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from edgerd.bundle.manifest import PreprocessSpec, RegionSpec, TileSpec
from edgerd.cuda.context import Context
from edgerd.cuda.kernels.plan import FrameLayout
from edgerd.cuda.kernels.preprocess import Preprocessor
from edgerd.cuda.memory import Memory
from edgerd.data.preprocess import bgr_from_frame, prepare
from edgerd.types import Frame, PixelFormat, UInt8Array
from gpu.card import clocks_while
from gpu.measure import copy_bytes_per_s, device_times_ms
from gpu.sections import Bar, Row, Section

_COPY_SHARE = 0.7
_MAX_DIFFERENCE = 1


@dataclass(frozen=True)
class Case:
    """One kind of frame and what is made of it."""

    name: str
    height: int
    width: int
    spec: PreprocessSpec


def cases(n_random: int, seed: int = 0) -> Iterator[Case]:
    """Sizes as cameras have them, then random ones: shrinking, enlarging, mixed, integer factors, crops, tiles."""
    whole = PreprocessSpec()
    yield from (Case(f"{w}x{h}", h, w, whole) for w, h in ((640, 480), (1280, 720), (1920, 1080), (3840, 2160)))
    yield from (Case(f"{w}x{h}", h, w, whole) for w, h in ((256, 256), (512, 512), (1024, 768), (258, 258), (160, 120)))
    rng = np.random.default_rng(seed)
    for index in range(n_random):
        graph_height, graph_width = (32 * int(rng.integers(1, 9)) for _ in range(2))
        factor = rng.uniform(0.3, 6, 2) if index % 4 else rng.integers(1, 5, 2)
        height, width = (
            max(8, int(side * f) // 2 * 2) for side, f in zip((graph_height, graph_width), factor, strict=True)
        )
        region = None
        if index % 2:
            x, y = int(rng.integers(0, width // 4)), int(rng.integers(0, height // 4))
            region = RegionSpec(x=x, y=y, width=width - 2 * x, height=height - 2 * y)
        tiles = TileSpec(rows=2, columns=2, overlap=0.1) if index % 5 == 0 else TileSpec(rows=1, columns=1)
        spec = PreprocessSpec(
            height=graph_height,
            width=graph_width,
            region=region,
            tiles=tiles,
            colour_standard="bt709" if index % 3 else "bt601",
            colour_range="full" if index % 7 else "limited",
        )
        yield Case(f"random {index}", height, width, spec)


def fill_correctness(section: Section, n_random: int) -> None:
    """A row per pixel format."""
    gpu = Context()
    try:
        for pixel_format in PixelFormat:
            section.add(_correctness_of(gpu, pixel_format, list(cases(n_random))))
    finally:
        gpu.close()
    worst = max(row["largest difference"] for row in section.rows)
    section.bars.append(Bar("largest difference from OpenCV, of 255", worst, _MAX_DIFFERENCE))


def _correctness_of(gpu: Context, pixel_format: PixelFormat, wanted: list[Case]) -> Row:
    largest, n_different, n_values = 0, 0, 0
    for number, case in enumerate(wanted):
        frame = _noise(FrameLayout(pixel_format, case.height, case.width), number)
        expected = prepare(bgr_from_frame(Frame(frame, pixel_format), case.spec), case.spec)
        difference = np.abs(on_gpu(gpu, frame, pixel_format, case).astype(int) - expected)
        largest = max(largest, int(difference.max()))
        n_different += int((difference > 0).sum())
        n_values += difference.size
    return {
        "format": pixel_format.value,
        "cases": len(wanted),
        "largest difference": largest,
        "values that differ": f"{n_different / n_values:.1e}",
    }


def on_gpu(gpu: Context, frame: UInt8Array, pixel_format: PixelFormat, case: Case) -> UInt8Array:
    """uint8 (tiles, H, W, 3), made by the kernel."""
    memory, stream = Memory(gpu), gpu.stream()
    kernel = Preprocessor(gpu, memory, FrameLayout(pixel_format, case.height, case.width), case.spec)
    try:
        source, tiles = memory.frame(frame.nbytes), memory.result(kernel.output_shape, np.uint8)
        source.host[:] = frame.ravel()
        source.upload(stream)
        kernel.bind(source.address, tiles.address)(stream)
        tiles.download(stream)
        gpu.synchronise(stream)
        return tiles.host.copy()
    finally:
        kernel.close()
        memory.free()


def fill_bandwidth(
    section: Section, n: int, *, width: int = 3840, height: int = 2160, cameras: int = 8, copy_mib: int = 256
) -> None:
    """A row per pixel format: bytes of the source and of the tiles, per second, against the device's own copy."""
    gpu = Context()
    try:
        copy = copy_bytes_per_s(gpu, n, copy_mib << 20)
        for pixel_format in PixelFormat:
            reached, milliseconds, clocks = _bandwidth_of(gpu, FrameLayout(pixel_format, height, width), cameras, n)
            section.add(
                {
                    "format": pixel_format.value,
                    "frames": f"{cameras} of {width}x{height}",
                    "ms": milliseconds,
                    "GB/s": reached / 1e9,
                    "copy GB/s": copy / 1e9,
                    "share of the copy": reached / copy,
                    **clocks,
                }
            )
    finally:
        gpu.close()
    bgr = next(row for row in section.rows if row["format"] == PixelFormat.BGR.value)
    section.bars.append(Bar("BGR, share of the copy", bgr["share of the copy"], _COPY_SHARE, at_most=False))


def _bandwidth_of(gpu: Context, layout: FrameLayout, cameras: int, n: int) -> tuple[float, float, dict[str, str]]:
    """Bytes per second, milliseconds, and the clocks, as columns of a table."""
    memory, stream = Memory(gpu), gpu.stream()
    kernel = Preprocessor(gpu, memory, layout, PreprocessSpec(), cameras)
    try:
        n_source, n_tiles = cameras * layout.stride, int(np.prod(kernel.output_shape))
        source, tiles = memory.frame(n_source), memory.device(n_tiles)
        source.host[:] = np.frombuffer(np.random.default_rng(0).bytes(n_source), np.uint8)
        source.upload(stream)
        enqueue = kernel.bind(source.address, tiles)

        def run() -> None:
            enqueue(stream)
            gpu.synchronise(stream)

        clocks = clocks_while(run)
        milliseconds = float(np.median(device_times_ms(gpu, stream, lambda: enqueue(stream), n)))
        return 1e3 * (n_source + n_tiles) / milliseconds, milliseconds, clocks
    finally:
        kernel.close()
        memory.free()


def _noise(layout: FrameLayout, seed: int) -> UInt8Array:
    return np.random.default_rng(seed).integers(0, 256, layout.shape, np.uint8)
