"""What TensorRT cannot build on the emulated GPU, and what is said of it."""

import onnx
import pytest
from built_plans import settings_of
from emulation.driver import LOST, NO_DEVICE

from edgerd.errors import BundleDamagedError, DeviceError, InputError, MissingDependencyError

pytestmark = pytest.mark.emulated


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
