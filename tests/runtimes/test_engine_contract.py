"""What every engine does alike, whichever library is behind it: checks, errors, threads, closing."""

from __future__ import annotations

import hashlib
import threading
import time
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from runtime_graphs import HEIGHT, WIDTH

from edgerd.errors import DeviceError, EdgerdError, InputError
from edgerd.runtimes import RUNTIMES, load_runtime
from edgerd.runtimes.fake import FakeRuntime
from edgerd.runtimes.interface import library_errors
from edgerd.runtimes.protocol import Engine, Runtime

pytestmark = pytest.mark.usefixtures("shared_cache")

EMULATED = {"tensorrt": pytest.mark.emulated, "onnxruntime-cuda": pytest.mark.emulated(once=True)}
every_runtime = pytest.mark.parametrize(
    "name", [pytest.param(name, marks=EMULATED.get(name, ())) for name in (*RUNTIMES, "fake")]
)
of_several_threads = pytest.mark.parametrize(
    "name", [pytest.param(name, marks=EMULATED.get(name, ())) for name in (*RUNTIMES, "fake") if name != "tensorrt"]
)
"""Runtimes whose engines do not belong to the thread that loaded them."""


@pytest.fixture
def runtime(request: pytest.FixtureRequest, name: str) -> Runtime:
    needs = {"tensorrt": "emulation", "onnxruntime-cuda": "emulated_onnxruntime"}
    if name in needs:
        request.getfixturevalue(needs[name])
    runtime = FakeRuntime() if name == "fake" else load_runtime(name)
    if not runtime.probe().usable:
        pytest.skip(runtime.probe().reason)
    return runtime


@pytest.fixture
def engine(runtime: Runtime, graph: bytes):
    opened = runtime.load(graph, runtime.key("fp32", hashlib.sha256(graph).hexdigest()), {}, threads=1)
    yield opened
    opened.close()


def fail(error: Exception) -> Callable[..., Any]:
    def raise_it(*_: object, **__: object) -> None:
        raise error

    return raise_it


def break_library(name: str, engine: Any, error: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the library raise in the middle of the next run."""
    if name.startswith("onnxruntime"):
        monkeypatch.setattr(engine, "_session", SimpleNamespace(run=fail(error)))
    elif name == "openvino":
        monkeypatch.setattr(engine, "_requests", [SimpleNamespace(get_input_tensor=fail(error))])
    elif name == "tensorrt":
        monkeypatch.setattr(engine, "_synchronous", SimpleNamespace(run=fail(error)))
    else:
        monkeypatch.setattr(engine, "_infer", fail(error))


@every_runtime
@pytest.mark.parametrize(
    ("wrong", "found"),
    [
        (np.zeros((1, HEIGHT, WIDTH, 3), np.float32), "float32 (1, 32, 64, 3)"),
        (np.zeros((1, HEIGHT, WIDTH, 3), np.int8), "int8 (1, 32, 64, 3)"),
        (np.zeros((HEIGHT, WIDTH, 3), np.uint8), "uint8 (32, 64, 3)"),
        (np.zeros((1, HEIGHT, WIDTH, 4), np.uint8), "uint8 (1, 32, 64, 4)"),
        (np.zeros((0, HEIGHT, WIDTH, 3), np.uint8), "uint8 (0, 32, 64, 3)"),
    ],
)
def test_what_is_no_batch_of_frames_is_refused_in_the_same_words(engine: Engine, wrong, found: str) -> None:
    with pytest.raises(InputError, match=r"Expected: uint8 \(N, .*, .*, 3\), BGR, N >= 1") as caught:
        engine.infer(wrong)
    assert caught.value.what == f"The engine was given {found}."


@every_runtime
@pytest.mark.parametrize("error", [RuntimeError("bad allocation\nat some line"), MemoryError()])
def test_what_a_library_raises_in_a_run_is_an_error_of_ours(
    name: str, engine: Engine, frames: np.ndarray, error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = engine.infer(frames)
    with monkeypatch.context() as patch:
        break_library(name, engine, error, patch)
        with pytest.raises(DeviceError, match=r"refused to run: (bad allocation|MemoryError)") as caught:
            engine.infer(frames)
    assert caught.value.hint
    assert "\n" not in caught.value.what
    np.testing.assert_array_equal(engine.infer(frames).anomaly_map, before.anomaly_map)  # as good as before


@every_runtime
@pytest.mark.parametrize("error", [RuntimeError("bad allocation"), MemoryError()])
def test_what_a_library_raises_while_it_builds_or_loads_is_an_error_of_ours(
    runtime: Runtime, graph: bytes, error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = runtime.key("fp32", hashlib.sha256(graph).hexdigest())
    monkeypatch.setattr(runtime, "_build", fail(error))
    monkeypatch.setattr(runtime, "_load", fail(error))
    with pytest.raises(DeviceError, match=r"refused to build the engine: (bad allocation|MemoryError)"):
        runtime.build(graph, "fp32")
    with pytest.raises(DeviceError, match=r"refused to load the engine: (bad allocation|MemoryError)"):
        runtime.load(graph, key, {})


@of_several_threads
def test_threads_wait_for_each_other_and_each_gets_its_own_maps(
    engine: Any, frames: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = [engine.infer(frames[k : k + 1]).anomaly_map for k in range(3)]
    infer, together = engine._infer, threading.Barrier(3)
    inside: list[int] = []
    wrong: list[object] = []

    def watched(batch: np.ndarray) -> Any:
        inside.append(1)
        time.sleep(0.001)  # long enough for another thread to come in, if one can
        if len(inside) > 1:
            wrong.append("two threads at once")
        maps = infer(batch)
        inside.pop()
        return maps

    def use(k: int) -> None:
        together.wait()
        for _ in range(10):
            try:
                maps = engine.infer(frames[k : k + 1])
            except EdgerdError as error:
                wrong.append(error)
            else:
                if not np.array_equal(maps.anomaly_map, expected[k]):
                    wrong.append(f"thread {k} got other maps")

    monkeypatch.setattr(engine, "_infer", watched)
    threads = [threading.Thread(target=use, args=(k,)) for k in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


@of_several_threads
def test_a_run_that_is_under_way_ends_before_the_engine_closes(
    engine: Any, frames: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    is_running, may_end = threading.Event(), threading.Event()
    infer, order = engine._infer, []

    def slow(batch: np.ndarray) -> Any:
        is_running.set()
        may_end.wait(10)
        maps = infer(batch)
        order.append("ran")
        return maps

    monkeypatch.setattr(engine, "_infer", slow)
    run = threading.Thread(target=lambda: engine.infer(frames))
    run.start()
    is_running.wait(10)
    threading.Timer(0.1, may_end.set).start()
    engine.close()
    order.append("closed")
    run.join()
    assert order == ["ran", "closed"]


@every_runtime
def test_a_closed_engine_says_so_whatever_it_is_given(engine: Engine, frames: np.ndarray) -> None:
    engine.close()
    engine.close()
    for given in (frames, frames.astype(np.float32)):
        with pytest.raises(EdgerdError, match="closed") as caught:
            engine.infer(given)
        assert caught.value.hint


def graph_that_fails_on_bright_frames() -> bytes:
    """It looks up each pixel's value in a table of 200: what is brighter lies outside of it."""
    nodes = [
        helper.make_node("Cast", ["frame"], ["index"], to=TensorProto.INT64),
        helper.make_node("Gather", ["table", "index"], ["looked_up"]),
        helper.make_node("ReduceMean", ["looked_up", "channel"], ["anomaly_map"], keepdims=0),
        helper.make_node("ReduceMax", ["anomaly_map", "area"], ["score"], keepdims=0),
    ]
    made = helper.make_graph(
        nodes,
        "table",
        [helper.make_tensor_value_info("frame", TensorProto.UINT8, ["batch", HEIGHT, WIDTH, 3])],
        [
            helper.make_tensor_value_info("anomaly_map", TensorProto.FLOAT, ["batch", HEIGHT, WIDTH]),
            helper.make_tensor_value_info("score", TensorProto.FLOAT, ["batch"]),
        ],
        [
            numpy_helper.from_array(np.linspace(0, 1, 200, dtype=np.float32), "table"),
            numpy_helper.from_array(np.array([3]), "channel"),
            numpy_helper.from_array(np.array([1, 2]), "area"),
        ],
    )
    return bytes(helper.make_model(made, opset_imports=[helper.make_opsetid("", 19)], ir_version=9).SerializeToString())


def test_a_run_that_onnx_runtime_refuses() -> None:
    graph = graph_that_fails_on_bright_frames()
    onnx.checker.check_model(onnx.load_from_string(graph))
    runtime = load_runtime("onnxruntime")
    engine = runtime.load(graph, runtime.key("fp32", "0" * 64), {}, threads=1)
    dark = np.full((1, HEIGHT, WIDTH, 3), 10, np.uint8)
    assert engine.infer(dark).score[0] > 0
    with pytest.raises(DeviceError, match=r"ONNX Runtime refused to run: .*Gather") as caught:
        engine.infer(dark + 240)
    assert caught.value.hint
    assert "\n" not in caught.value.what
    assert engine.infer(dark).score[0] > 0  # the engine is as good as before
    engine.close()


def test_errors_of_ours_and_bugs_pass() -> None:
    for error in (DeviceError("ours"), ZeroDivisionError("a bug")):
        with pytest.raises(type(error)) as caught, library_errors("A library", "run"):
            raise error
        assert caught.value is error
