"""Engines and timings that are kept, and those that cannot be used."""

import hashlib
import json
from types import SimpleNamespace

import pytest

from edgerd.errors import BundleDamagedError, DeviceError, EngineMismatchError, InputError, StorageError

pytestmark = pytest.mark.emulated


@pytest.fixture
def n_timed(graph, monkeypatch):
    """How many layers a build has to time: the emulated builder sleeps for each."""
    from emulation import builder

    def build(runtime):
        slept = []
        with monkeypatch.context() as patch:
            patch.setattr(builder, "time", SimpleNamespace(sleep=slept.append))
            runtime.build(graph, "fp32")
        return len(slept)

    return build


def entry(tensorrt_cache):
    (folder,) = (tensorrt_cache / "engines").glob("[!.]*")
    return folder


# engines


def test_the_same_engine_is_not_built_twice(tensorrt, graph, said, emulation):
    first = tensorrt().build(graph, "fp32")
    said.clear()
    emulation.driver.clear()
    assert tensorrt().build(graph, "fp32") == first
    assert "Using the engine that was built before" in said[0]
    assert not emulation.driver.counts(device=True)["engine"]


@pytest.mark.parametrize("change", ["options", "precision", "device", "graph"])
def test_another_one_is(tensorrt, graph, said, emulation, change):
    tensorrt().build(graph, "fp32")
    said.clear()
    if change == "device":
        emulation.driver.set_device("Another", sm=(9, 0))
    options = {"opt_level": 2} if change == "options" else {}
    other = graph + b"" if change != "graph" else _renamed(graph)
    tensorrt(**options).build(other, "fp16" if change == "precision" else "fp32")
    assert "built in" in said[0]


def _renamed(graph):
    import onnx

    model = onnx.load_from_string(graph)
    model.graph.name = "another"
    return model.SerializeToString()


def test_an_engine_of_another_tensorrt_is_explained_and_replaced(tensorrt, graph, said, tensorrt_cache):
    tensorrt().build(graph, "fp32")
    file = entry(tensorrt_cache) / "entry.json"
    content = json.loads(file.read_text())
    here = content["key"]["engine"]["runtime_version"]
    content["key"]["engine"]["runtime_version"] = "9.9.0"
    file.write_text(json.dumps(content))
    said.clear()
    tensorrt().build(graph, "fp32")
    assert said[0].startswith("The cached engine is of TensorRT 9.9.0 (")
    assert f"here is TensorRT {here} (" in said[0]
    assert "It is built again." in said[0]
    said.clear()
    tensorrt().build(graph, "fp32")
    assert "built before" in said[0]


@pytest.mark.parametrize("what", ["library", "edgerd"])
def test_an_engine_of_another_library_or_edgerd_makes_way(tensorrt, graph, said, tensorrt_cache, what):
    tensorrt().build(graph, "fp32")
    file = entry(tensorrt_cache) / "entry.json"
    content = json.loads(file.read_text())
    assert content["key"][what][0].isdigit()
    content["key"][what] = "0.0.1"
    file.write_text(json.dumps(content))
    said.clear()
    tensorrt().build(graph, "fp32")
    assert "0.0.1" in said[0]
    assert any("built in" in line for line in said)


@pytest.mark.parametrize("change", ["plan", "record", "options"])
def test_a_cached_engine_that_does_not_load_is_built_again(tensorrt, graph, said, tensorrt_cache, change):
    """Its hashes are right, as they are of an engine that another machine with the same home folder put there."""
    first = tensorrt().build(graph, "fp32")
    folder = entry(tensorrt_cache)
    content = {
        "plan": ("engine.plan", first["engine.plan"].replace(b" sm_", b" sn_", 1)),
        "record": ("build.json", b'{"of": "a later edgerd"}'),
        "options": (
            "build.json",
            first["build.json"].replace(b'"version_compatible": false', b'"version_compatible": true'),
        ),
    }
    name, changed = content[change]
    assert changed != first[name]
    (folder / name).write_bytes(changed)
    kept = json.loads((folder / "entry.json").read_text())
    kept["files"][name] = hashlib.sha256(changed).hexdigest()
    (folder / "entry.json").write_text(json.dumps(kept))
    said.clear()
    assert tensorrt().build(graph, "fp32")["engine.plan"] == first["engine.plan"]
    assert any("cannot be used, and is built again" in line for line in said)
    said.clear()
    tensorrt().build(graph, "fp32")
    assert "built before" in said[0]


@pytest.mark.parametrize("damage", ["truncated", "junk", "gone"])
def test_a_damaged_entry_is_built_again(tensorrt, graph, said, tensorrt_cache, damage):
    first = tensorrt().build(graph, "fp32")
    folder = entry(tensorrt_cache)
    if damage == "truncated":
        (folder / "engine.plan").write_bytes(first["engine.plan"][:-1])
    elif damage == "junk":
        (folder / "entry.json").write_text("{}")
    else:
        (folder / "engine.plan").unlink()
    said.clear()
    assert tensorrt().build(graph, "fp32")["engine.plan"] == first["engine.plan"]
    assert any("built in" in line for line in said)


def test_a_cache_that_cannot_be_written_is_said_and_does_no_harm(tensorrt, graph, said, tensorrt_cache):
    tensorrt_cache.parent.mkdir(parents=True)
    tensorrt_cache.write_text("a file where the folder should be")
    assert tensorrt().build(graph, "fp32")
    text = "\n".join(said)
    assert "not kept for the next build" in text
    assert text.count("cannot be written") == 2


def test_only_the_last_engines_are_kept(tensorrt, graph, tensorrt_cache, monkeypatch):
    from edgerd.runtimes.tensorrt import engine_cache

    monkeypatch.setattr(engine_cache, "_N_KEPT", 2)
    for level in range(4):
        tensorrt(opt_level=level).build(graph, "fp32")
    kept = [json.loads(file.read_text()) for file in (tensorrt_cache / "engines").glob("*/entry.json")]
    assert {entry["key"]["options"]["opt_level"] for entry in kept} == {2, 3}


# timings


def test_timings_save_the_next_build_time(tensorrt, n_timed, emulation, tensorrt_cache):
    assert n_timed(tensorrt()) > 10
    assert n_timed(tensorrt(opt_level=4)) == 0
    (file,) = tensorrt_cache.glob("*.timing")
    assert emulation.trt.__version__ in file.name


def test_a_named_timing_file(tensorrt, n_timed, tmp_path):
    file = tmp_path / "shared" / "timings"
    assert n_timed(tensorrt(timing_cache=file)) > 10
    assert file.stat().st_size
    assert n_timed(tensorrt(timing_cache=file, opt_level=4)) == 0
    assert n_timed(tensorrt(opt_level=3, strip=True)) > 10


def test_timings_that_are_damaged_are_made_again(tensorrt, graph, said, tensorrt_cache):
    tensorrt().build(graph, "fp32")
    (file,) = tensorrt_cache.glob("*.timing")
    file.write_bytes(b"junk")
    tensorrt(opt_level=1).build(graph, "fp32")
    assert f"{file} is damaged, or of another GPU or TensorRT; kernels are timed again." in said
    assert file.stat().st_size > 10


@pytest.mark.parametrize("content", ["a picture", "another device's"])
def test_a_named_file_that_holds_something_else_is_left_as_it_is(tensorrt, graph, emulation, tmp_path, content):
    file = tmp_path / "timings"
    if content == "a picture":
        file.write_bytes(b"of great worth")
    else:
        tensorrt(timing_cache=file).build(graph, "fp32")
        emulation.driver.set_device("Another", sm=(9, 0))
    before = file.read_bytes()
    with pytest.raises(InputError, match=r"holds no timings of this GPU(.|\n)*--timing-cache"):
        tensorrt(timing_cache=file, opt_level=1).build(graph, "fp32")
    assert file.read_bytes() == before


def test_a_named_timing_file_that_cannot_be_written_is_refused_before_the_build(tensorrt, graph, tmp_path, emulation):
    (tmp_path / "file").write_text("")
    emulation.driver.clear()
    with pytest.raises(StorageError, match=r"could not be written(.|\n)*--timing-cache"):
        tensorrt(timing_cache=tmp_path / "file" / "timings").build(graph, "fp32")
    assert not emulation.driver.counts(device=True)["engine"]


def test_a_named_timing_file_that_cannot_be_read_is_left_as_it_is(tensorrt, graph, tmp_path, emulation, monkeypatch):
    from pathlib import Path

    file, read = tmp_path / "timings", Path.read_bytes
    file.write_bytes(b"of a whole fleet")

    def refuse(path):
        if path == file:
            raise PermissionError(13, "Permission denied")
        return read(path)

    monkeypatch.setattr(Path, "read_bytes", refuse)
    with pytest.raises(StorageError, match=r"timings could not be read: Permission denied(.|\n)*--timing-cache"):
        tensorrt(timing_cache=file).build(graph, "fp32")
    assert read(file) == b"of a whole fleet"


# plans that do not fit


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


# keys that fit more than one machine


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
