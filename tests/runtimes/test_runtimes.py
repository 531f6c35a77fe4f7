"""The contract of every runtime in the table, at every precision it has on this machine."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from functools import cache

import numpy as np
import pytest
from runtime_graphs import HEIGHT, WIDTH, small_fused_graph

from edgerd.errors import BundleDamagedError, EdgerdError, InputError, MissingDependencyError
from edgerd.precision.flavours import FLAVOURS
from edgerd.precision.quantize import quantized_graph
from edgerd.precision.ranges import collect_ranges
from edgerd.precision.tensorrt import FLAVOUR, tensorrt_int8_graph
from edgerd.runtimes import RUNTIMES, load_runtime
from edgerd.runtimes.machine import usable_cores

pytestmark = pytest.mark.usefixtures("shared_cache")

MAP_TOLERANCE = {"fp32": 1e-3, "fp16": 1e-3, "bf16": 0.05, "int8": 0.1}


def combinations() -> list:
    """Every runtime and precision; a runtime that cannot be used here once, skipped with its own reason."""
    found = []
    for name in RUNTIMES:
        probe = load_runtime(name).probe()
        if not probe.usable:
            found.append(pytest.param(name, "fp32", id=name, marks=pytest.mark.skip(reason=probe.reason)))
        marks = [pytest.mark.emulated] if name == "tensorrt" and "emulation.loading" in sys.modules else []
        found += [
            pytest.param(name, precision, id=f"{name}-{precision}", marks=marks) for precision in probe.precisions
        ]
    return found


every_engine = pytest.mark.parametrize(("name", "precision"), combinations())
every_runtime = pytest.mark.parametrize("name", RUNTIMES)


@pytest.fixture
def open_engine(graph_for):
    """Opens engines and closes them after the test."""
    opened = []

    def opener(name: str, precision: str, files: dict[str, bytes] | None = None, threads: int = 1):
        runtime = load_runtime(name)
        graph = graph_for(name, precision)
        key = runtime.key(precision, hashlib.sha256(graph).hexdigest())
        opened.append(runtime.load(graph, key, files or {}, threads=threads))
        return opened[-1]

    yield opener
    for engine in opened:
        engine.close()


@pytest.fixture(scope="session")
def graph_for(graph: bytes, frames: np.ndarray):
    """The graph that a runtime takes for a precision."""
    ranges = collect_ranges(graph, np.concatenate([frames] * 3)[:, None])

    @cache
    def quantized(flavour: str) -> bytes:
        return tensorrt_int8_graph(graph, ranges) if flavour == FLAVOUR else quantized_graph(graph, ranges, flavour)

    def graph_for(name: str, precision: str) -> bytes:
        return quantized(load_runtime(name).probe().int8_flavour) if precision == "int8" else graph

    return graph_for


@pytest.fixture(scope="session")
def built(graph_for):
    """The files of an engine, built once."""
    return cache(lambda name, precision: load_runtime(name).build(graph_for(name, precision), precision))


@every_engine
@pytest.mark.parametrize("batch", [1, 3])
def test_maps_are_those_of_the_fp32_graph(name, precision, batch, open_engine, frames, expected):
    maps = open_engine(name, precision).infer(frames[:batch])

    assert maps.anomaly_map.shape == (batch, HEIGHT, WIDTH)
    assert maps.anomaly_map.dtype == maps.score.dtype == np.float32
    np.testing.assert_allclose(maps.anomaly_map, expected.anomaly_map[:batch], atol=MAP_TOLERANCE[precision])
    np.testing.assert_allclose(maps.score, maps.anomaly_map.max(axis=(1, 2)), atol=1e-6)


@every_engine
def test_batches_of_any_size_follow_each_other(name, precision, open_engine, frames):
    engine = open_engine(name, precision)
    together = engine.infer(frames)
    one_by_one = [engine.infer(frames[n : n + 1]) for n in range(3)]

    np.testing.assert_allclose(together.score, [maps.score[0] for maps in one_by_one], atol=1e-5)
    np.testing.assert_array_equal(together.anomaly_map, engine.infer(frames).anomaly_map)


@every_engine
def test_built_files_give_the_same_bits(name, precision, open_engine, built, frames):
    files = built(name, precision)
    assert all(file and "/" not in file and "\\" not in file for file in files)

    from_files = open_engine(name, precision, files).infer(frames)
    from_graph = open_engine(name, precision).infer(frames)

    np.testing.assert_array_equal(from_files.anomaly_map, from_graph.anomaly_map)
    np.testing.assert_array_equal(from_files.score, from_graph.score)


@every_engine
@pytest.mark.parametrize(
    "damage",
    [
        pytest.param(lambda _: b"", id="empty"),
        pytest.param(lambda _: b"not a compiled model" * 100, id="junk"),
        pytest.param(lambda content: content[: len(content) // 2], id="truncated"),
        pytest.param(lambda content: b"\xff" * 64 + content[64:], id="overwritten"),
    ],
)
def test_damaged_files_are_refused(name, precision, damage, open_engine, built):
    files = built(name, precision)
    for file in files:
        with pytest.raises(BundleDamagedError, match=file):
            open_engine(name, precision, files | {file: damage(files[file])})


@every_engine
def test_a_missing_file_is_refused(name, precision, open_engine):
    with pytest.raises(BundleDamagedError):
        open_engine(name, precision, {"another.file": b"something"})


@every_engine
@pytest.mark.parametrize("content", [b"", b"not ONNX", small_fused_graph()[:2000]], ids=["empty", "junk", "truncated"])
def test_an_unreadable_graph_is_refused(name, precision, content, graph_sha256):
    runtime = load_runtime(name)
    with pytest.raises(BundleDamagedError):
        runtime.load(content, runtime.key(precision, graph_sha256), {})
    with pytest.raises(BundleDamagedError):
        runtime.build(content, precision)


@every_engine
def test_a_graph_of_another_interface_is_refused(name, precision, graph_sha256):
    runtime = load_runtime(name)
    other = small_fused_graph().replace(b"score", b"worst")
    with pytest.raises(BundleDamagedError, match="not a fused graph"):
        runtime.load(other, runtime.key(precision, graph_sha256), {})


@every_engine
@pytest.mark.parametrize(
    "wrong",
    [
        np.zeros((1, HEIGHT, WIDTH, 3), np.float32),
        np.zeros((HEIGHT, WIDTH, 3), np.uint8),
        np.zeros((1, WIDTH, HEIGHT, 3), np.uint8),
        np.zeros((1, 3, HEIGHT, WIDTH), np.uint8),
        np.zeros((0, HEIGHT, WIDTH, 3), np.uint8),
    ],
    ids=["float", "no batch", "turned", "planes first", "empty"],
)
def test_frames_that_do_not_fit_are_refused(name, precision, wrong, open_engine):
    with pytest.raises(InputError, match=f"{HEIGHT}, {WIDTH}, 3"):
        open_engine(name, precision).infer(wrong)


@every_engine
def test_read_only_frames_are_taken_and_left_alone(name, precision, open_engine, frames):
    locked = frames.copy()
    locked.setflags(write=False)
    engine = open_engine(name, precision)
    np.testing.assert_array_equal(engine.infer(locked).anomaly_map, engine.infer(frames.copy()).anomaly_map)
    np.testing.assert_array_equal(locked, frames)


@every_engine
def test_results_belong_to_the_caller(name, precision, open_engine, frames):
    engine = open_engine(name, precision)
    first = engine.infer(frames[:1])
    kept = first.anomaly_map.copy(), first.score.copy()
    engine.infer(frames[1:2])
    engine.close()

    np.testing.assert_array_equal(first.anomaly_map, kept[0])
    np.testing.assert_array_equal(first.score, kept[1])
    first.anomaly_map[:] = 0


@every_engine
def test_closing_twice_is_safe_and_a_closed_engine_says_so(name, precision, open_engine, frames):
    engine = open_engine(name, precision)
    engine.close()
    engine.close()
    with pytest.raises(EdgerdError, match="closed"):
        engine.infer(frames)


@every_engine
def test_threads_are_honoured_for_graphs_and_for_files(name, precision, open_engine, built):
    files = built(name, precision)
    assert open_engine(name, precision, threads=1).threads == 1
    assert open_engine(name, precision, files, threads=1).threads == 1
    assert 1 <= open_engine(name, precision, files, threads=0).threads <= usable_cores()
    with pytest.raises(InputError, match="threads"):
        open_engine(name, precision, threads=-1)


@every_engine
def test_the_key_names_machine_version_and_graph(name, precision, graph_sha256):
    runtime = load_runtime(name)
    key = runtime.key(precision, graph_sha256)
    assert (key.runtime, key.precision, key.graph_sha256) == (name, precision, graph_sha256)
    assert key.runtime_version == runtime.probe().version
    assert key.device


@every_runtime
def test_int8_is_the_fastest_and_names_its_flavour_or_says_what_it_needs(name):
    probe = load_runtime(name).probe()
    if not probe.usable:
        pytest.skip(probe.reason)
    if probe.int8_flavour:
        assert probe.precisions[-1] == "int8"
        assert probe.int8_flavour in (*FLAVOURS, FLAVOUR)
    else:
        assert "int8" not in probe.precisions
        assert "int8 needs" in probe.reason


@every_engine
def test_a_precision_that_does_not_run_here_is_refused(name, precision, graph):
    with pytest.raises(InputError, match=r"fp7(.|\n)*fp32"):
        load_runtime(name).build(graph, "fp7")


@every_runtime
def test_a_runtime_that_is_not_installed_says_what_to_type(name, monkeypatch, graph, graph_sha256):
    runtime = load_runtime(name)
    monkeypatch.setitem(sys.modules, name, None)
    probe = runtime.probe()
    assert not probe.usable
    assert probe.version is None
    assert name in probe.reason
    assert "pip install" in probe.fix
    for attempt in (lambda: runtime.key("fp32", graph_sha256), lambda: runtime.build(graph, "fp32")):
        with pytest.raises(MissingDependencyError, match="pip install"):
            attempt()


def test_the_table_imports_no_runtime_library():
    code = (
        "import sys; from edgerd.runtimes import RUNTIMES, load_runtime; [load_runtime(name) for name in RUNTIMES]; "
        "sys.exit(bool({'onnxruntime', 'openvino', 'torch'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_a_misspelt_runtime_is_guessed():
    with pytest.raises(InputError, match="openvino"):
        load_runtime("openvin")
