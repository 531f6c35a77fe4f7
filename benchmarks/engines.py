"""Every engine that this machine can run, compiled from a bundle."""

from __future__ import annotations

from collections.abc import Iterator

from edgerd.building.typed_graph import typed_graph
from edgerd.bundle import Bundle
from edgerd.runtimes import RUNTIMES, load_runtime
from edgerd.runtimes.protocol import Engine


def engines_of(bundle: Bundle, threads: int) -> Iterator[Engine]:
    """One engine per runtime and precision, opened when it is asked for; ONNX Runtime FP32, the reference, first."""
    for name in RUNTIMES:
        runtime = load_runtime(name)
        probe = runtime.probe()
        for precision in probe.precisions:
            graph = typed_graph(bundle, precision, probe.int8_flavour)
            yield runtime.load(graph.content, runtime.key(precision, graph.sha256), {}, threads=threads)
