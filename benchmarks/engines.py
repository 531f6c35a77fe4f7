"""Every engine that this machine can run, compiled from a bundle; and TensorRT's graphs, for their numbers."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass

from edgerd.building.typed_graph import typed_graph
from edgerd.bundle.bundle import Bundle
from edgerd.errors import MissingDependencyError
from edgerd.precision import tensorrt
from edgerd.runtimes import RUNTIMES, load_runtime
from edgerd.runtimes.onnxruntime.cpu import OPTIMISED_FILE, OnnxRuntime
from edgerd.runtimes.protocol import Engine


@dataclass(frozen=True, eq=False)
class BenchmarkEngine:
    """An opened engine.

    Attributes:
        runtime: As tables print it.
        precision: Likewise.
        engine: Opened.
        n_bytes: Of what is stored of it.
        is_timed: Whether its time means anything.
    """

    runtime: str
    precision: str
    engine: Engine
    n_bytes: int
    is_timed: bool = True


def engines_of(bundle: Bundle, threads: int) -> Iterator[BenchmarkEngine]:
    """One per runtime and precision, opened when it is asked for; ONNX Runtime FP32, the reference, first."""
    for name in RUNTIMES:
        runtime = load_runtime(name)
        probe = runtime.probe()
        for precision in probe.precisions:
            graph = typed_graph(bundle, precision, probe.int8_flavour)
            files = runtime.build(graph.content, precision)
            engine = runtime.load(graph.content, runtime.key(precision, graph.sha256), files, threads=threads)
            yield BenchmarkEngine(name, precision, engine, sum(map(len, files.values())))


def tensorrt_numerics_of(bundle: Bundle, threads: int) -> Iterator[BenchmarkEngine]:
    """TensorRT's FP16 and INT8 graph, run by ONNX Runtime as they are written; none where ModelOpt is not installed."""
    runtime = OnnxRuntime()
    for precision in tensorrt.GRAPH_FILES:
        try:
            graph = typed_graph(bundle, precision, tensorrt.FLAVOUR).content
        except MissingDependencyError:
            return
        # what was "optimised" before is not optimised again
        key = runtime.key("fp32", hashlib.sha256(graph).hexdigest())
        engine = runtime.load(graph, key, {OPTIMISED_FILE: graph}, threads=threads)
        yield BenchmarkEngine("tensorrt (numbers)", precision, engine, len(graph), is_timed=False)
