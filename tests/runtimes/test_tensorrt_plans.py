"""Plans that do not fit, or are damaged, are refused; those that fit more than one machine are taken."""

import hashlib

import pytest

from edgerd.errors import BundleDamagedError, DeviceError, EngineMismatchError

pytestmark = pytest.mark.emulated


@pytest.fixture
def load(tensorrt, graph, graph_sha256):
    """Loads files under a key, both as changed by a test."""

    def load(change_files=lambda files: None, **change_key):
        runtime = tensorrt()
        files = runtime.build(graph, "fp32")
        change_files(files)
        return runtime.load(graph, runtime.key("fp32", graph_sha256).model_copy(update=change_key), files)

    return load


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"device": "NVIDIA L4"}, "device NVIDIA L4 [(]here"),
        ({"features": ("sm_75", "linux x86_64 discrete")}, "features sm_75 linux x86_64 discrete [(]here"),
        ({"runtime_version": "9.0"}, "runtime version 9.0 [(]here"),
        ({"graph_sha256": "0" * 64}, "graph sha256 000"),
    ],
)
def test_an_engine_of_another_kind_is_refused_before_it_is_read(load, emulation, change, text):
    used = emulation.driver.used_bytes
    with pytest.raises(EngineMismatchError, match=text) as caught:
        load(lambda files: files.update({"engine.plan": b"never looked at"}), **change)
    assert "edgerd build-engine --runtime tensorrt" in caught.value.hint
    assert emulation.driver.used_bytes == used


@pytest.mark.parametrize("cut", [0, 5, 100, -1])
def test_a_truncated_plan(load, cut):
    with pytest.raises(BundleDamagedError, match=r"engine.plan cannot be read"):
        load(lambda files: files.update({"engine.plan": files["engine.plan"][:cut]}))


@pytest.mark.parametrize("content", [b"", b"{", b'{"options": {}}'])
def test_a_damaged_record(load, content):
    with pytest.raises(BundleDamagedError, match=r"build.json cannot be read"):
        load(lambda files: files.update({"build.json": content}))


def test_files_that_are_missing(load):
    for name in ("engine.plan", "build.json"):
        with pytest.raises(BundleDamagedError, match=name):
            load(lambda files, name=name: files.pop(name))


def test_tensorrt_itself_finds_a_plan_of_another_device(load, emulation):
    def swap(files):
        files["engine.plan"] = files["engine.plan"].replace(b" sm_", b" sn_", 1)

    with pytest.raises(EngineMismatchError, match="incompatible device"):
        load(swap)


@pytest.mark.parametrize(
    ("reason", "error"),
    [
        (
            "Serialization assertion stdVersionRead == kSERIALIZATION_VERSION failed.Version tag does not match.",
            "other",
        ),
        ("Serialization assertion failed.Platform specific tag mismatch detected.", "other"),
        ("The engine plan file is generated on an incompatible device, please rebuild.", "other"),
        ("Serialization assertion magicTagRead == kMAGIC_TAG failed.Magic tag does not match", "damaged"),
    ],
)
def test_what_tensorrt_says_of_a_plan(emulation, reason, error):
    from edgerd.runtimes.tensorrt.log import Complaint
    from edgerd.runtimes.tensorrt.plan import _undeserialisable

    kind = {"other": EngineMismatchError, "damaged": BundleDamagedError}[error]
    assert type(_undeserialisable(Complaint((reason,)))) is kind


def test_a_runtime_that_does_not_start(graph, emulation):
    from emulation.driver import NO_DEVICE

    from edgerd.runtimes.tensorrt.log import Log
    from edgerd.runtimes.tensorrt.options import BuildOptions
    from edgerd.runtimes.tensorrt.plan import engine_from

    emulation.driver.fail("cuInit", NO_DEVICE, times=9)
    with pytest.raises(DeviceError, match="TensorRT does not start: CUDA initialization failure") as caught:
        engine_from(b"a plan", graph, BuildOptions(), Log())
    assert caught.value.hint == "edgerd doctor"


def test_no_memory_to_load(load, emulation):
    def fill(files):
        emulation.driver.set_memory(emulation.driver.used_bytes + 1000)

    with pytest.raises(DeviceError, match="not have enough memory to load the engine"):
        load(fill)


def test_a_stripped_plan_and_another_graph(tensorrt, graph, graph_sha256):
    from runtime_graphs import small_fused_graph

    runtime = tensorrt(strip=True)
    files = runtime.build(graph, "fp32")
    other = small_fused_graph(head="brow/")
    key = runtime.key("fp32", hashlib.sha256(other).hexdigest())
    with pytest.raises(BundleDamagedError, match="cannot be given the graph's weights"):
        runtime.load(other, key, files)


def test_a_compatible_engine_runs_on_later_gpus_and_versions(tensorrt, graph, graph_sha256, frames, emulation):
    emulation.driver.set_device("A2", sm=(8, 6))
    runtime = tensorrt(hardware_compatible=True, version_compatible=True)
    key, files = runtime.key("fp32", graph_sha256), runtime.build(graph, "fp32")
    assert (key.device, key.features[0]) == ("any", "sm_80 or later")
    older = key.model_copy(update={"runtime_version": "10.0.1 or later"})
    emulation.driver.set_device("H200", sm=(9, 0))
    engine = tensorrt().load(graph, older, files)
    assert engine.infer(frames).score.shape == (3,)
    engine.close()
    newer = key.model_copy(update={"runtime_version": "99.0 or later"})
    with pytest.raises(EngineMismatchError, match=r"runtime version 99.0 or later"):
        tensorrt().load(graph, newer, files)
    elsewhere = key.model_copy(update={"features": ("sm_80 or later", "linux aarch64 integrated")})
    with pytest.raises(EngineMismatchError, match=r"features sm_80 or later linux aarch64 integrated [(]here sm_90 "):
        tensorrt().load(graph, elsewhere, files)
    emulation.driver.set_device("T4", sm=(7, 5))
    with pytest.raises(EngineMismatchError, match=r"features sm_80 or later .* [(]here sm_75 "):
        tensorrt().load(graph, key, files)
