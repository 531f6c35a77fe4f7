"""Inspectors over a fake engine and over the emulated GPU, for tests of inspection and of the line."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from device_parts import gpu_engine, grey_graph
from inspection_parts import THRESHOLD, make_bundle

from edgerd.bundle.manifest import PictureLimits, PreprocessSpec
from edgerd.inspection.gpu.options import DeviceOptions
from edgerd.inspection.inspector import Inspector
from edgerd.runtimes.fake import FakeEngine


@pytest.fixture
def inspector() -> Iterator[Inspector]:
    with Inspector(make_bundle(), FakeEngine(), THRESHOLD, "the fake engine") as inspector:
        yield inspector


@pytest.fixture
def on_gpu(emulation, shared_cache) -> Iterator[Callable[..., Inspector]]:
    """Opens inspectors over the emulated GPU, `on_gpu(spec, mode="throughput", ...)`; closed at the end."""
    opened: list[Inspector] = []

    def open_(spec: PreprocessSpec | None = None, limits: PictureLimits | None = None, **options) -> Inspector:
        bundle = make_bundle(spec, limits)
        spec = bundle.manifest.preprocess
        engine = gpu_engine(grey_graph(spec.height, spec.width), spec.n_tiles)
        opened.append(Inspector(bundle, engine, THRESHOLD, device=DeviceOptions(**options)))
        return opened[-1]

    yield open_
    for inspector in reversed(opened):
        inspector.close()
