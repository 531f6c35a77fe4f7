"""TensorRT on the command line, over the emulated GPU."""

import json
import os
import re
import signal

import numpy as np
import onnx
import pytest

from edgerd.bundle.bundle import Bundle
from edgerd.bundle.manifest import TileSpec
from edgerd.precision.tensorrt import GRAPH_FILES

pytestmark = [pytest.mark.emulated(once=True), pytest.mark.usefixtures("emulation", "private_cache")]


@pytest.fixture
def with_graphs(bundle):
    """A bundle with typed graphs, as a workstation makes them; what is in them is the FP32 graph."""
    graph = bundle.read("graph.fp32.onnx")
    return bundle.save_with(bundle.manifest, dict.fromkeys(GRAPH_FILES.values(), graph))


@pytest.fixture
def device(monkeypatch):
    """Neither torch nor what makes typed graphs."""
    import sys

    there = [name for name in sys.modules if name.partition(".")[0] in ("torch", "modelopt")]
    for name in {"torch", "modelopt", "modelopt.onnx", *there}:
        monkeypatch.setitem(sys.modules, name, None)


@pytest.mark.emulated
def test_the_whole_way_on_a_device(edgerd, with_graphs, parts, device, tmp_path):
    path = with_graphs.path
    built = edgerd("build-engine", path, "--runtime", "tensorrt", "--precision", "int8")
    assert built.exit_code == 0, built.err
    assert "TensorRT int8: built in " in built.out
    assert "convolutions are not INT8" in built.out
    assert "tensorrt int8" in built.out
    (record,) = Bundle.open(path).manifest.engines
    assert record.graph == GRAPH_FILES["int8"]
    assert {file.rsplit("/")[-1] for file in record.files} == {"engine.plan", "build.json"}

    figures = {}
    for runtime, precision in (("tensorrt", "int8"), ("onnxruntime", "fp32")):
        options = ("--runtime", runtime, "--precision", precision)
        evaluated = edgerd("evaluate", path, parts, *options, "--json", tmp_path / "e.json")
        assert evaluated.exit_code == 0, evaluated.err
        figures[runtime] = json.loads((tmp_path / "e.json").read_text())
    assert figures["tensorrt"]["image_auroc"] == figures["onnxruntime"]["image_auroc"]
    assert figures["tensorrt"]["runtime"] == "tensorrt"

    picture = next((parts / "test" / "good").glob("*.png"))
    assert "NG" in edgerd("inspect", path, *sorted((parts / "test").glob("*/*.png"))).out
    assert edgerd("inspect", path, picture).exit_code == 0
    assert "tensorrt int8" in edgerd("bench", path, "--frame-size", "96x96", "--max-frames", 2).out


def test_the_graphs_of_quantize_are_built_and_pass_the_gate(edgerd, bundle):
    pytest.importorskip("modelopt", reason="edgerd[quantize] is not installed")
    assert edgerd("quantize", bundle.path).exit_code == 0
    for precision in ("fp16", "int8"):
        built = edgerd("build-engine", bundle.path, "--runtime", "tensorrt", "--precision", precision)
        assert built.exit_code == 0, built.err
        (layers,) = [line for line in built.out.splitlines() if " layers: " in line]
        assert f" {precision}" in layers
        assert " fp32" in layers  # the head
    n_convolutions = sum(
        node.op_type.startswith("Conv") for node in onnx.load(bundle.path / GRAPH_FILES["int8"]).graph.node
    )
    (flagged,) = re.findall(r"(\d+) convolutions are not INT8", built.out)
    assert 0 < int(flagged) < n_convolutions / 2


def test_all_tiles_of_a_frame_are_one_run(edgerd, bundle, emulation, tmp_path):
    spec = bundle.manifest.preprocess.model_copy(update={"tiles": TileSpec(rows=1, columns=2)})
    path = bundle.save_with(bundle.manifest.model_copy(update={"preprocess": spec})).path
    built = edgerd("build-engine", path, "--runtime", "tensorrt", "--precision", "fp32", "--force")
    assert built.exit_code == 0, built.err
    (record,) = Bundle.open(path).manifest.engines
    build = next(path / file for file in record.files if file.endswith("build.json"))
    assert json.loads(build.read_text())["options"]["profile"] == [1, 2, 2]
    lines = {}
    for runtime in ("tensorrt", "onnxruntime"):
        file = tmp_path / f"{runtime}.jsonl"
        camera = ("--camera", "sample://ring?n=4&size=160", "--bundle", path, "--verdicts", file)
        emulation.driver.clear()
        assert edgerd("run", *camera, "--runtime", runtime, "--precision", "fp32").exit_code == 0
        lines[runtime] = [json.loads(line)["score"] for line in file.read_text().splitlines()]
    np.testing.assert_allclose(lines["tensorrt"], lines["onnxruntime"], atol=1e-3)
    assert len(lines["tensorrt"]) == 4


def test_fp32_without_a_build(edgerd, bundle, parts, tmp_path):
    picture = next((parts / "test" / "good").glob("*.png"))
    found = []
    for runtime in ("tensorrt", "onnxruntime"):
        options = ("--runtime", runtime, "--precision", "fp32", "--json", tmp_path / "i.json")
        assert edgerd("inspect", bundle.path, picture, *options).exit_code == 0
        found.append(json.loads((tmp_path / "i.json").read_text()))
    scores = [one["pictures"][0]["score"] for one in found]
    np.testing.assert_allclose(scores[0], scores[1], atol=1e-4)


def test_auto_takes_fp16_where_its_graph_is_in_the_bundle(edgerd, with_graphs, device):
    tried = edgerd("build-engine", with_graphs.path, "--runtime", "tensorrt")
    assert tried.exit_code == 0, tried.err
    assert "tensorrt fp16: " in tried.out


def test_auto_leaves_fp16_out_where_its_graph_cannot_be_had(edgerd, bundle, device):
    tried = edgerd("build-engine", bundle.path, "--runtime", "tensorrt")
    assert tried.exit_code == 0, tried.err
    assert "tensorrt fp16 is left out: " in tried.out
    assert "tensorrt fp32: " in tried.out


def test_an_engine_of_another_gpu_is_not_opened(edgerd, with_graphs, parts, emulation):
    path = with_graphs.path
    assert edgerd("build-engine", path, "--runtime", "tensorrt", "--precision", "fp16").exit_code == 0
    emulation.driver.set_device("Another GPU", sm=(9, 0))
    picture = next((parts / "test" / "good").glob("*.png"))
    refused = edgerd("inspect", path, picture, "--runtime", "tensorrt", "--precision", "fp16")
    assert refused.exit_code == 3
    assert "(here Another GPU, 8 SMs)" in refused.err
    assert f"edgerd build-engine {path} --runtime tensorrt --precision fp16" in refused.err
    falls_back = edgerd("inspect", path, picture)
    assert "onnxruntime fp32: instead of the default engine" in falls_back.out


@pytest.mark.parametrize("damage", ["truncated", "manifest"])
def test_a_damaged_engine_is_not_opened(edgerd, with_graphs, parts, damage, emulation):
    path = with_graphs.path
    assert edgerd("build-engine", path, "--runtime", "tensorrt", "--precision", "fp32").exit_code == 0
    plan = path / "engines" / "tensorrt-fp32" / "engine.plan"
    if damage == "truncated":
        plan.write_bytes(plan.read_bytes()[:-5])
    else:
        manifest = path / "bundle.json"
        manifest.write_text(manifest.read_text().replace('"tensorrt"', '"tensorrt" ', 1))
    used = emulation.driver.used_bytes
    refused = edgerd("inspect", path, next((parts / "test" / "good").glob("*.png")))
    assert refused.exit_code == 3
    assert "was changed" in refused.err
    assert ("Next: edgerd build-engine" in refused.err) is (damage == "truncated")
    assert emulation.driver.used_bytes == used


# without building


def test_a_dry_run(edgerd, with_graphs):
    before = (with_graphs.path / "bundle.json").read_bytes()
    result = edgerd("build-engine", with_graphs.path, "--runtime", "tensorrt", "--dry-run", "--opt-level", 2)
    assert result.exit_code == 0, result.err
    assert "tensorrt fp16: from graph.fp16.trt.onnx, from the bundle" in result.out
    assert "--opt-level 2" in result.out
    assert result.out.splitlines()[-1] == "Nothing was built."
    assert (with_graphs.path / "bundle.json").read_bytes() == before


def test_ctrl_c(edgerd, with_graphs, emulation, monkeypatch):
    from edgerd.runtimes.tensorrt import build

    def press_in_the_middle(monitor, phase, step):
        if step == 5:
            os.kill(os.getpid(), signal.SIGINT)

    monkeypatch.setattr(build._Monitor, "_tell", press_in_the_middle)
    emulation.settings.build_step_s = 0.02
    before = (with_graphs.path / "bundle.json").read_bytes()
    result = edgerd("build-engine", with_graphs.path, "--runtime", "tensorrt", "--precision", "fp16")
    assert result.exit_code == 130
    assert (with_graphs.path / "bundle.json").read_bytes() == before


def test_ctrl_c_is_answered_at_once_though_the_build_stops_later(edgerd, with_graphs, emulation, monkeypatch):
    from edgerd.cli.build_progress import BuildDisplay

    shown = BuildDisplay.update

    def press_in_the_middle(display, progress):
        shown(display, progress)
        if progress.step == 2:
            os.kill(os.getpid(), signal.SIGINT)

    monkeypatch.setattr(BuildDisplay, "update", press_in_the_middle)
    emulation.settings.build_step_s = 0.1
    result = edgerd("build-engine", with_graphs.path, "--runtime", "tensorrt", "--precision", "fp16")
    assert result.exit_code == 130
    first, *_, last = [line for line in result.err.splitlines() if line.startswith("TensorRT: ")]
    assert " 0 of " in first
    assert last.startswith("TensorRT: stopping after this step, ")


@pytest.mark.parametrize("switch", ["--version-compatible", "--strip"])  # not both
def test_every_option_in_a_dry_run(edgerd, with_graphs, emulation, tmp_path, switch):
    emulation.settings.dla_cores = 1
    file = tmp_path / "timings"
    options = {
        "--workspace": 512,
        "--opt-level": 4,
        "--dla-core": 0,
        "--profile": "1:1:1",
        "--hardware-compatible": None,
        switch: None,
    }
    words = [word for name, value in options.items() for word in (name, value) if word is not None]
    common = ("build-engine", with_graphs.path, "--runtime", "tensorrt", "--precision", "fp16")
    result = edgerd(*common, "--dry-run", *words, "--timing-cache", file)
    assert result.exit_code == 0, result.err
    flags = next(line for line in result.out.splitlines() if "flags: " in line)
    for name, value in options.items():
        if name == "--profile":  # as usual
            continue
        assert (name if value is None else f"{name} {value}") in flags
    assert result.out.count('compute_capability = "') == 1
    assert f"timing cache: {file} (empty)" in result.out
    assert "DLA core 0" in result.out
    assert not file.exists()


def test_timings_are_kept_in_the_file_that_was_named(edgerd, with_graphs, tmp_path):
    file = tmp_path / "timings"
    options = ("--runtime", "tensorrt", "--precision", "fp16", "--timing-cache", file)
    assert edgerd("build-engine", with_graphs.path, *options).exit_code == 0
    assert file.stat().st_size > 0
    again = edgerd("build-engine", with_graphs.path, *options)
    assert f"{file} was neither read nor written" in again.out
    assert not list((tmp_path / "cache").glob("**/*.timing*"))


def test_options_of_tensorrt_for_another_runtime(edgerd, bundle):
    result = edgerd("build-engine", bundle.path, "--runtime", "onnxruntime", "--strip")
    assert result.exit_code == 2
    assert "--strip is for TensorRT" in result.err


def test_auto_on_a_dla_tries_what_a_dla_computes(edgerd, with_graphs, device, emulation):
    emulation.settings.dla_cores = 1
    built = edgerd("build-engine", with_graphs.path, "--runtime", "tensorrt", "--dla-core", 0)
    assert built.exit_code == 0, built.err
    assert "tensorrt fp16: " in built.out
    assert "tensorrt fp32" not in built.out


@pytest.mark.parametrize(
    "options",
    [
        ("--profile", "3:2:1"),
        ("--profile", "2:2:4"),
        ("--dla-core", "0", "--precision", "fp16"),
        ("--dla-core", "0", "--precision", "fp32"),
        ("--dla-core", "0", "--profile", "1:2:2"),
    ],
)
def test_options_that_cannot_be(edgerd, with_graphs, options):
    assert edgerd("build-engine", with_graphs.path, "--runtime", "tensorrt", *options).exit_code == 2
