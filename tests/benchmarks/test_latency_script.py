"""`benchmarks/latency.py` where engines on CPU and GPU take turns, and `benchmarks/preprocessing.py`."""

from __future__ import annotations

import hashlib
import sys
from pathlib import Path

import pytest

from edgerd.bundle.manifest import GRAPH_FILE, PreprocessSpec
from edgerd.runtimes import load_runtime

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


@pytest.mark.emulated(once=True)
def test_an_engine_on_a_gpu_is_timed_too(emulation, private_cache, bundle, monkeypatch):
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    import latency
    from engines import BenchmarkEngine

    def two_engines(bundle, threads):
        graph = bundle.read(GRAPH_FILE)
        for name in ("onnxruntime", "tensorrt"):
            runtime = load_runtime(name)
            key = runtime.key("fp32", hashlib.sha256(graph).hexdigest())
            yield BenchmarkEngine(name, "fp32", runtime.load(graph, key, {}, threads=threads), 0)

    monkeypatch.setattr(latency, "engines_of", two_engines)
    inspectors = latency.inspectors_of(bundle, 1)
    rows = latency.measure(inspectors, bundle, (96, 64), 2)
    for inspector in reversed(inspectors):
        inspector.close()
    for name in ("latency", "engines", "machine"):
        del sys.modules[name]
    assert [row["runtime"] for row in rows] == ["onnxruntime", "tensorrt"]
    assert all(0 < row["engine p50 ms"] <= row["frame p50 ms"] for row in rows)


def test_preprocessing_is_timed_beside_opencv(monkeypatch):
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    import preprocessing

    row = preprocessing.measure((1200, 1100), PreprocessSpec(height=64, width=64), 2)
    for name in ("preprocessing", "machine"):
        del sys.modules[name]
    assert row["frame"] == "1200x1100"
    assert row["largest difference"] <= 1
    assert all(row[name] > 0 for name in row if name.endswith("ms"))
