"""Building TensorRT engines over the emulated GPU: options, progress, cancelling, what a build says."""

import json
import os
import signal
import threading

import numpy as np
import onnx
import pytest
from built_plans import settings_of

pytestmark = pytest.mark.emulated


def test_the_builder_is_told_what_was_asked(tensorrt, graph, emulation):
    options = {"workspace_mib": 64, "opt_level": 5, "hardware_compatible": True, "version_compatible": True}
    plan = tensorrt(profile=(1, 2, 4), **options).build(graph, "fp32")["engine.plan"]
    told = settings_of(plan)
    trt = emulation.trt
    assert told["settings"]["pools"] == {str(int(trt.MemoryPoolType.WORKSPACE)): 64 << 20}
    assert told["settings"]["builder_optimization_level"] == 5
    assert told["settings"]["hardware_compatibility_level"] == int(trt.HardwareCompatibilityLevel.AMPERE_PLUS)
    assert told["settings"]["flags"] == ["VERSION_COMPATIBLE"]
    assert [shape[0] for shape in told["profiles"][0]["frame"]] == [1, 2, 4]
    assert told["settings"]["network_flags"] == 1 << int(trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED)


def test_tf32_is_off_and_the_batch_is_one_if_nothing_is_said(tensorrt, graph):
    told = settings_of(tensorrt().build(graph, "fp32")["engine.plan"])
    assert told["settings"]["flags"] == []
    assert [shape[0] for shape in told["profiles"][0]["frame"]] == [1, 1, 1]


def test_a_stripped_engine_is_small_and_gets_its_weights_from_the_graph(tensorrt, loaded, graph, frames):
    whole = tensorrt().build(graph, "fp32")["engine.plan"]
    stripped = tensorrt(strip=True).build(graph, "fp32")["engine.plan"]
    assert len(stripped) < 0.5 * len(whole)
    np.testing.assert_array_equal(loaded(strip=True).infer(frames).score, loaded().infer(frames).score)


def test_a_version_compatible_engine_may_bring_its_runtime(loaded, frames):
    assert loaded(version_compatible=True).infer(frames).score.shape == (3,)


def test_layers_are_reported_with_their_times(tensorrt, graph, said):
    files = tensorrt().build(graph, "fp32")
    layers = json.loads(files["build.json"])["layers"]["layers"]
    assert [layer["name"] for layer in layers] == [node.name for node in onnx.load_from_string(graph).graph.node]
    assert all(layer["ms"] > 0 for layer in layers)
    assert any(line.strip().startswith(f"{len(layers)} layers: ") for line in said)


def test_layers_have_their_types_though_the_batch_is_free(tensorrt, graph):
    layers = json.loads(tensorrt(profile=(1, 2, 4)).build(graph, "fp32")["build.json"])["layers"]["layers"]
    types = {found for layer in layers for found in (*layer["inputs"], *layer["outputs"])}
    assert "fp32" in types
    assert "?" not in types


def test_progress_has_phase_steps_and_time(tensorrt, graph, emulation):
    told = []
    emulation.settings.build_step_s = 0.001
    tensorrt(on_progress=told.append).build(graph, "fp32")
    steps = [progress for progress in told if progress.phase == "Timing graph nodes"]
    assert (steps[0].step, steps[-1].step) == (0, steps[-1].n_steps)
    assert [progress.elapsed_s for progress in told] == sorted(progress.elapsed_s for progress in told)


def test_ctrl_c_stops_the_build_and_keeps_what_was_timed(tensorrt, graph, tensorrt_cache, emulation, frames):
    emulation.settings.build_step_s = 0.02
    n_steps = []

    def press(progress):
        n_steps.append(progress.step)
        if progress.step == 5:
            os.kill(os.getpid(), signal.SIGINT)

    used = emulation.driver.used_bytes
    with pytest.raises(KeyboardInterrupt):
        tensorrt(on_progress=press).build(graph, "fp32")
    assert 5 <= max(n_steps) < 20
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("tensorrt")]
    assert emulation.driver.used_bytes == used
    assert list(tensorrt_cache.glob("*.timing"))
    assert not (tensorrt_cache / "engines").exists()
    assert tensorrt().build(graph, "fp32")


def test_ctrl_c_pressed_again_waits_for_the_builder(tensorrt, graph, tensorrt_cache, emulation):
    emulation.settings.build_step_s = 0.1
    phases = []

    def press(progress):
        phases.append(progress.phase)
        if progress.step == 2:
            os.kill(os.getpid(), signal.SIGINT)
        if progress.phase.startswith("stopping"):
            threading.Timer(0.02, os.kill, (os.getpid(), signal.SIGINT)).start()

    with pytest.raises(KeyboardInterrupt):
        tensorrt(on_progress=press).build(graph, "fp32")
    assert phases[-1].startswith("stopping")
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("tensorrt")]
    assert list(tensorrt_cache.glob("*.timing"))


def test_a_dry_run_says_what_would_be_built_and_builds_nothing(tensorrt, graph, tensorrt_cache, emulation):
    emulation.driver.set_device("Orin NX", sm=(8, 7))
    lines = tensorrt(profile=(1, 2, 4), opt_level=4).dry_run(graph, "fp16")
    text = "\n".join(lines)
    assert f"TensorRT {emulation.trt.__version__} on Orin NX (sm_87)" in text
    assert "tiles in one run: 1:2:4" in text
    assert "--opt-level 4" in text
    assert "MiB free" in text
    assert "it would be built" in text
    assert not tensorrt_cache.exists()
    tensorrt().build(graph, "fp16")
    assert "was built before" in "\n".join(tensorrt().dry_run(graph, "fp16"))


def test_a_device_describes_itself_for_another_machine(tensorrt, emulation):
    from edgerd.building.target import Target, tomllib

    emulation.driver.set_device("Orin NX", sm=(8, 7))
    emulation.settings.dla_cores = 2
    target = Target.model_validate(tomllib.loads("\n".join(tensorrt().target_lines())))
    assert (target.compute_capability, target.tensorrt) == ("8.7", emulation.trt.__version__)
    assert target.name.startswith("Orin NX")
    assert (target.dla_cores, target.memory_gb) == (2, pytest.approx(8.6))
