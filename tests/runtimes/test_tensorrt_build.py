"""Building TensorRT engines over the emulated GPU: options, progress, cancelling, what a build says."""

import json
import os
import signal
import threading

import numpy as np
import onnx
import pytest
from emulation.driver import LOST, NO_DEVICE

from edgerd.errors import BundleDamagedError, DeviceError, InputError, MissingDependencyError

pytestmark = pytest.mark.emulated


def settings_of(plan):
    """What the emulated builder was told."""
    text = plan.split(b"\n", 1)[1]
    return json.loads(text[16 : 16 + int.from_bytes(text[:8], "little")])


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


# progress


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


# dry run


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


# what cannot be done


def test_every_node_that_tensorrt_cannot_parse_is_named(tensorrt, graph):
    model = onnx.load_from_string(graph)
    model.opset_import.append(onnx.helper.make_opsetid("com.example", 1))
    for node in model.graph.node[3:5]:
        node.domain = "com.example"
    with pytest.raises(BundleDamagedError) as caught:
        tensorrt().build(model.SerializeToString(), "fp32")
    names = [f"node {index} {model.graph.node[index].name!r}" for index in (3, 4)]
    assert "(2 errors)" in caught.value.what
    assert all(name in caught.value.what for name in names)


@pytest.mark.parametrize("content", [b"", b"no ONNX"])
def test_what_is_no_graph_is_refused(tensorrt, content):
    with pytest.raises(BundleDamagedError, match="cannot be read by TensorRT"):
        tensorrt().build(content, "fp32")


def test_another_kind_of_graph_is_refused(tensorrt):
    value = [onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, [1]) for name in "xy"]
    other = onnx.helper.make_graph([onnx.helper.make_node("Relu", ["x"], ["y"])], "other", value[:1], value[1:])
    model = onnx.helper.make_model(other, opset_imports=[onnx.helper.make_opsetid("", 19)], ir_version=9)
    with pytest.raises(BundleDamagedError, match="not a fused graph"):
        tensorrt().build(model.SerializeToString(), "fp32")


def test_too_little_memory_is_said_before_the_build(tensorrt, graph, emulation):
    emulation.driver.set_memory(emulation.driver.used_bytes + (100 << 20))
    with pytest.raises(DeviceError, match="not have enough memory to build the engine: 100 MiB are free") as caught:
        tensorrt().build(graph, "fp32")
    assert "MiB or more" in caught.value.expected
    emulation.driver.set_memory(emulation.driver.used_bytes + (300 << 20))
    assert tensorrt(workspace_mib=1024).build(graph, "fp32")  # what a layer may take, not what it will


def test_memory_that_runs_out_in_the_build(tensorrt, graph, emulation):
    emulation.settings.build_bytes = 16 << 30
    with pytest.raises(DeviceError, match="not have enough memory to build the engine") as caught:
        tensorrt().build(graph, "fp32")
    assert "--workspace" in caught.value.hint


def test_dla_where_there_is_some_and_where_there_is_none(tensorrt, graph, emulation):
    with pytest.raises(InputError, match="no DLA core 0") as caught:
        tensorrt(dla_core=0).build(graph, "fp16")
    assert "Leave --dla-core out" in caught.value.hint
    emulation.settings.dla_cores = 2
    told = settings_of(tensorrt(dla_core=1).build(graph, "fp16")["engine.plan"])["settings"]
    assert (told["DLA_core"], told["default_device_type"]) == (1, int(emulation.trt.DeviceType.DLA))
    assert told["flags"] == ["GPU_FALLBACK"]
    assert any("DLA core 1: takes" in line for line in tensorrt(dla_core=1).dry_run(graph, "fp16"))
    with pytest.raises(InputError, match="no DLA core 2"):
        tensorrt(dla_core=2).build(graph, "fp16")


def test_fp32_is_nothing_for_a_dla(tensorrt, graph, emulation):
    emulation.settings.dla_cores = 1
    assert tensorrt(dla_core=0).probe().precisions == ("fp16", "int8")
    with pytest.raises(InputError, match="does not compute in fp32") as caught:
        tensorrt(dla_core=0).build(graph, "fp32")
    assert "fp16 or int8" in caught.value.expected


def test_a_version_compatible_engine_keeps_its_weights(tensorrt, graph):
    with pytest.raises(InputError, match="do not go together"):
        tensorrt(version_compatible=True, strip=True).build(graph, "fp16")


def test_a_dla_takes_no_free_batch(tensorrt, graph, emulation):
    emulation.settings.dla_cores = 1
    with pytest.raises(InputError, match="not 1 to 4") as caught:
        tensorrt(dla_core=0, profile=(1, 2, 4)).build(graph, "fp16")
    assert "--profile 4" in caught.value.hint
    assert tensorrt(dla_core=0, profile=(4, 4, 4)).build(graph, "fp16")


def test_an_older_gpu_builds_no_hardware_compatible_engine(tensorrt, graph, emulation):
    emulation.driver.set_device("T4", sm=(7, 5))
    for attempt in (tensorrt(hardware_compatible=True).build, tensorrt(hardware_compatible=True).dry_run):
        with pytest.raises(InputError, match=r"from Ampere on; this one is sm_75"):
            attempt(graph, "fp16")


class Refuses:
    """A configuration that logs what it does not take, and goes on."""

    def __init__(self, config, log):
        vars(self).update(config=config, log=log)

    def __getattr__(self, name):
        return getattr(self.config, name)

    def __setattr__(self, name, value):
        if name == "hardware_compatibility_level":
            self.log.errors.append("hardware compatibility is not supported on this platform")


def test_an_option_that_tensorrt_only_complains_of_is_refused(graph, emulation):
    from types import SimpleNamespace

    from edgerd.runtimes.tensorrt.build import configured
    from edgerd.runtimes.tensorrt.log import Log
    from edgerd.runtimes.tensorrt.network import parsed
    from edgerd.runtimes.tensorrt.options import BuildOptions

    log = Log()
    network = parsed(graph, log)
    config = Refuses(network.builder.create_builder_config(), log)
    refusing = network._replace(builder=SimpleNamespace(create_builder_config=lambda: config))
    with pytest.raises(InputError, match=r"refuses --hardware-compatible: .*not supported on this platform"):
        configured(refusing, BuildOptions(hardware_compatible=True), log)


def test_a_build_that_is_refused_names_the_flags(tensorrt, graph, emulation):
    model = onnx.load_from_string(graph)
    model.graph.node.append(onnx.helper.make_node("Shape", ["frame"], ["shape"]))
    unbuildable = model.SerializeToString()
    with pytest.raises(DeviceError, match=r"refused to build the engine: .*only go into a Cast") as caught:
        tensorrt(strip=True, opt_level=2).build(unbuildable, "fp32")
    assert "Leave out --opt-level 2 --strip one at a time" in caught.value.hint
    with pytest.raises(DeviceError) as caught:
        tensorrt().build(unbuildable, "fp32")
    assert caught.value.hint == "edgerd doctor"


def test_no_permission(tensorrt, graph, emulation, monkeypatch, tmp_path):
    from edgerd.cuda import driver

    (tmp_path / "nvidiactl").touch()
    monkeypatch.setattr(driver, "_DEV", tmp_path)
    monkeypatch.setattr(driver.os, "access", lambda file, mode: False)
    emulation.driver.fail("cuInit", LOST)
    probe = tensorrt().probe()
    assert not probe.usable
    assert "nvidiactl cannot be opened" in probe.reason
    assert "usermod" in probe.fix
    emulation.driver.fail("cuInit", LOST, times=9)
    with pytest.raises(MissingDependencyError, match="nvidiactl cannot be opened"):
        tensorrt().build(graph, "fp32")


@pytest.mark.parametrize("attempt", ["build", "key"])
def test_no_driver(tensorrt, graph, graph_sha256, emulation, attempt):
    emulation.driver.fail("cuInit", NO_DEVICE, times=9)
    runtime = tensorrt()
    probe = runtime.probe()
    assert not probe.usable
    assert probe.version == emulation.trt.__version__
    assert "finds no GPU" in probe.reason
    assert "nvidia-smi" in probe.fix
    with pytest.raises(MissingDependencyError, match=r"finds no GPU"):
        runtime.build(graph, "fp32") if attempt == "build" else runtime.key("fp32", graph_sha256)


def test_a_tensorrt_of_before_typed_networks_is_too_old(tensorrt, graph, monkeypatch):
    import sys
    from types import SimpleNamespace

    old = SimpleNamespace(__version__="8.6.2", NetworkDefinitionCreationFlag=SimpleNamespace(EXPLICIT_BATCH=0))
    monkeypatch.setitem(sys.modules, "tensorrt", old)
    probe = tensorrt().probe()
    assert not probe.usable
    assert "TensorRT 8.6.2 is too old" in probe.reason
    assert "JetPack 6.1" in probe.fix
    with pytest.raises(MissingDependencyError, match="too old"):
        tensorrt().build(graph, "fp32")


def test_what_ended_a_build_is_told_though_it_passed_over_many_kernels(emulation):
    from edgerd.runtimes.tensorrt.log import Log, refusal

    log, error = Log(), emulation.trt.ILogger.ERROR
    for number in range(200):
        log.log(error, f"Skipping tactic {number} due to insufficient memory: OutOfMemory")
    log.log(error, "Could not find any implementation for node up_2")
    told = refusal(log.take(), "build the engine")
    assert told.what.startswith("TensorRT refused to build the engine: ")
    assert told.what.endswith("Could not find any implementation for node up_2.")
    assert "memory ran out" in told.hint
    assert len(told.what) < 400
    log.log(error, "OutOfMemory (Requested size was 1 byte.)")
    assert "does not have enough memory" in refusal(log.take(), "build the engine").what


def test_without_tensorrt_it_says_where_to_get_it(tensorrt, graph, monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "tensorrt", None)
    probe = tensorrt().probe()
    assert (probe.version, probe.usable) == (None, False)
    with pytest.raises(MissingDependencyError, match="tensorrt cannot be imported") as caught:
        tensorrt().build(graph, "fp32")
    assert "JetPack" in caught.value.hint
    assert "edgerd[tensorrt]" in caught.value.hint
