"""The real bindings over the stand-ins: build, serialise, read, run."""

import re
from pathlib import Path

import numpy as np
import pytest

from emulation.driver import CAPTURE_UNSUPPORTED, ILLEGAL_ADDRESS
from emulation.models import SIDE, tiny_answer, tiny_frames, tiny_graph

pytestmark = pytest.mark.emulated
README = Path(__file__).parent / "README.md"


def test_the_example_in_the_readme(emulation):
    from edgerd.cuda.context import Context

    (example,) = re.findall(r"```python\n(.*?)```", README.read_text("utf-8"), re.DOTALL)
    names = {"pytest": pytest, "np": np, "Context": Context, "SIDE": SIDE}
    names |= {"tiny_graph": tiny_graph, "tiny_answer": tiny_answer}
    exec(example, names)
    names["test_an_engine_calculates_the_graph"](emulation)


def test_a_captured_step_takes_one_call_per_frame(built, cuda, wired, emulation):
    from edgerd.cuda.context import Context
    from edgerd.cuda.graphs import Step

    gpu = Context()
    context, stream = built(tiny_graph()).create_execution_context(), gpu.stream()
    host, _, enqueue = wired(context, stream)
    step = Step(gpu, stream, enqueue)
    assert step.is_graph, step.reason
    emulation.driver.clear()
    for seed in range(3):
        host["frame"][:] = tiny_frames(seed=seed)
        step.launch()
        gpu.synchronise(stream)
        np.testing.assert_allclose(host["anomaly_map"], tiny_answer(tiny_frames(seed=seed))[0], rtol=1e-5)
    assert emulation.driver.counts() == {"cuGraphLaunch": 3, "cuStreamSynchronize": 3}
    assert emulation.driver.counts(device=True) == {"graph": 3, "copy": 9, "engine": 3}
    step.close()
    gpu.close()


def test_the_first_enqueue_cannot_be_captured(built, cuda, wired, emulation, logger):
    import ctypes

    stream = cuda.Stream()
    _, _, enqueue = wired(built(tiny_graph()).create_execution_context(), stream)
    library, handle, graph = emulation.driver.library, ctypes.c_void_p(stream.handle), ctypes.c_void_p()
    assert library.cuStreamBeginCapture_v2(handle, 1) == 0
    with pytest.raises(cuda.Error):
        assert not enqueue()
    assert library.cuStreamEndCapture(handle, ctypes.byref(graph)) == CAPTURE_UNSUPPORTED + 1
    assert "cannot be captured" in logger.errors[-1]


def test_a_dynamic_batch_follows_the_profile(built, cuda, wired, logger):
    low, best, high = ((n, SIDE, SIDE, 3) for n in (1, 2, 4))
    engine = built(tiny_graph("N"), (low, best, high))
    assert [tuple(shape) for shape in engine.get_tensor_profile_shape("frame", 0)] == [low, best, high]
    assert tuple(engine.get_tensor_shape("score")) == (-1,)
    context, stream = engine.create_execution_context(), cuda.Stream()
    assert not context.set_input_shape("frame", (5, SIDE, SIDE, 3))
    assert "not in the profile" in logger.errors[-1]
    assert context.set_input_shape("frame", (3, SIDE, SIDE, 3))
    assert not context.infer_shapes()
    host, _, enqueue = wired(context, stream)
    host["frame"][:] = tiny_frames(3)
    assert enqueue()
    stream.synchronize()
    np.testing.assert_allclose(host["score"], tiny_answer(tiny_frames(3))[1], rtol=1e-5)


def test_a_missing_address_and_a_wrong_one(built, cuda, wired, logger):
    context, stream = built(tiny_graph()).create_execution_context(), cuda.Stream()
    assert not context.execute_async_v3(stream.handle)
    assert "Address is not set" in logger.errors[-1]
    _, device, enqueue = wired(context, stream)
    context.set_tensor_address("score", int(device["score"]) + (1 << 30))
    assert enqueue()
    with pytest.raises(cuda.Error, match="illegal memory access"):
        stream.synchronize()


def test_an_engine_that_fails_on_the_device(built, cuda, wired, emulation):
    stream = cuda.Stream()
    _, _, enqueue = wired(built(tiny_graph()).create_execution_context(), stream)
    emulation.driver.fail("run:engine", ILLEGAL_ADDRESS)
    assert enqueue()
    with pytest.raises(cuda.Error, match="illegal memory access"):
        stream.synchronize()


def test_ended_objects_free_their_memory(built, emulation):
    import gc

    engine = built(tiny_graph())
    context = engine.create_execution_context()
    assert emulation.driver.live("device memory") >= 2
    before = emulation.driver.used_bytes
    del context
    gc.collect()
    assert emulation.driver.used_bytes == before - emulation.settings.context_bytes
    del engine
    gc.collect()
    assert emulation.driver.used_bytes < before - emulation.settings.context_bytes
