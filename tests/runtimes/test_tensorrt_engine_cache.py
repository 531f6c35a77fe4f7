"""Engines that are kept: when one is used again, and when it is built anew."""

import hashlib
import json

import pytest

pytestmark = pytest.mark.emulated


def entry(tensorrt_cache):
    (folder,) = (tensorrt_cache / "engines").glob("[!.]*")
    return folder


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
