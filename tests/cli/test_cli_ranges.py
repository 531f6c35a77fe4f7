"""`--ranges DIR`: other range pictures in the bundle with what is built from them, or nothing at all."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from edgerd.building.typed_graph import typed_graph
from edgerd.bundle.bundle import Bundle
from edgerd.calibration.new_ranges import engines_of_older_graphs
from edgerd.data.pictures import load_bundle_pictures, read_picture, write_png
from edgerd.data.samples import write_dataset
from edgerd.precision.ranges import RANGES_FILE, Ranges
from edgerd.runtimes import load_runtime

INT8 = ("--runtime", "onnxruntime", "--precision", "int8")
needs_int8 = pytest.mark.skipif(
    "int8" not in load_runtime("onnxruntime").probe().precisions, reason="this CPU has no fast INT8"
)


@pytest.fixture(scope="module")
def _more(tmp_path_factory) -> Path:
    root = write_dataset(
        tmp_path_factory.mktemp("more"), "ring", n_train=12, n_test_good=1, n_per_defect=1, size=96, seed=7
    )
    return root / "train" / "good"


@pytest.fixture
def good(_more, tmp_path) -> Path:
    """12 good parts that the bundle does not know."""
    return shutil.copytree(_more, tmp_path / "set")


def state(bundle: Bundle) -> dict[str, bytes]:
    return {str(file): file.read_bytes() for file in bundle.path.rglob("*") if file.is_file()}


@needs_int8
def test_an_engine_from_other_pictures_and_the_pictures_themselves(edgerd, bundle, good):
    first = edgerd("build-engine", bundle.path, *INT8)
    assert first.exit_code == 0, first.err
    result = edgerd("build-engine", bundle.path, *INT8, "--ranges", good)
    assert result.exit_code == 0, result.err
    assert "INT8 ranges are found from 12 of its 12 pictures." in result.out
    assert "Left out" not in result.out  # the graph of that name is there again
    built = Bundle.open(bundle.path)
    assert built.verify()
    assert len(built.manifest.ranges) == 12
    ranges = Ranges.model_validate_json(built.read(RANGES_FILE))
    assert ranges.n_pictures == 12
    own = {
        picture.tobytes() for picture in load_bundle_pictures(built, built.manifest.ranges, built.manifest.preprocess)
    }
    theirs = {cv2.resize(read_picture(f), (64, 64), interpolation=cv2.INTER_AREA).tobytes() for f in good.iterdir()}
    assert own == theirs
    (engine,) = built.manifest.engines
    assert engine.default
    assert engine.key.graph_sha256 == built.manifest.files[engine.graph].sha256


@needs_int8
def test_other_engines_go_on_and_are_named(edgerd, bundle, good):
    pytest.importorskip("openvino")
    assert edgerd("build-engine", bundle.path, *INT8).exit_code == 0
    result = edgerd("build-engine", bundle.path, "--runtime", "openvino", "--precision", "int8", "--ranges", good)
    if result.exit_code == 6:
        pytest.skip("OpenVINO has no INT8 here")
    assert result.exit_code == 0, result.err
    assert "Left out, since they were made from the old range pictures: graph.int8." in result.out
    assert "onnxruntime int8 was built from an older graph and goes on with it" in result.err
    assert "--runtime onnxruntime --precision int8" in result.err
    assert engines_of_older_graphs(Bundle.open(bundle.path).manifest) == ("onnxruntime int8",)
    picture = next(good.iterdir())
    judged = edgerd("inspect", bundle.path, picture, "--runtime", "onnxruntime", "--precision", "int8")
    assert judged.exit_code == 0, judged.err
    again = edgerd("build-engine", bundle.path, *INT8)
    assert again.exit_code == 0, again.err
    assert not [name for name in Bundle.open(bundle.path).manifest.files if "older" in name]


@needs_int8
def test_a_refused_engine_changes_nothing(edgerd, bundle, good):
    before = state(bundle)
    result = edgerd("build-engine", bundle.path, *INT8, "--ranges", good, "--max-map-error", 0)
    assert result.exit_code == 5
    assert state(bundle) == before


@needs_int8
def test_what_is_odd_about_the_pictures_is_said(edgerd, bundle, good):
    picture = read_picture(good / "000.png")
    write_png(good / "large.png", cv2.resize(picture, (192, 192), interpolation=cv2.INTER_CUBIC))
    picture[24:72, 24:72] = np.random.default_rng(0).integers(0, 255, (48, 48, 3), np.uint8)
    write_png(good / "spoiled.png", picture)
    held_out = load_bundle_pictures(bundle, bundle.manifest.holdout[:1], bundle.manifest.preprocess)
    write_png(good / "known.png", held_out[0, 0])
    result = edgerd("build-engine", bundle.path, *INT8, "--ranges", good)
    assert result.exit_code == 0, result.err
    assert "1 of 15 pictures have scores above the threshold" in result.err
    assert "spoiled.png" in result.err
    assert "1 pictures are not 96x96 as the other 13 are" in result.err
    assert "large.png (192x192)" in result.err
    assert "1 of 15 pictures are left out: gate and threshold are judged on them" in result.err
    assert len(Bundle.open(bundle.path).manifest.ranges) == 13


@needs_int8
def test_a_preset_says_how_many_pictures(edgerd, bundle, good, tmp_path):
    preset = tmp_path / "few.toml"
    preset.write_text("n_pictures = 8\n")
    result = edgerd("build-engine", bundle.path, *INT8, "--ranges", good, "--preset", preset)
    assert result.exit_code == 0, result.err
    assert "found from 8 of its 12 pictures" in result.out
    assert len(Bundle.open(bundle.path).manifest.ranges) == 8


@pytest.mark.parametrize("command", [("build-engine", *INT8), ("quantize",)], ids=lambda words: words[0])
@pytest.mark.parametrize(
    ("n_pictures", "said"),
    [(0, "There are no pictures in"), (1, "There is only one picture in"), (5, "of which 5 can be used")],
)
def test_too_few_pictures(edgerd, bundle, good, command, n_pictures, said):
    for file in sorted(good.iterdir())[n_pictures:]:
        file.unlink()
    before = state(bundle)
    name, *options = command
    result = edgerd(name, bundle.path, *options, "--ranges", good)
    assert result.exit_code == 2
    assert said in result.err
    assert state(bundle) == before


def test_a_folder_that_is_not_there(edgerd, bundle, tmp_path):
    result = edgerd("build-engine", bundle.path, *INT8, "--ranges", tmp_path / "nowhere")
    assert result.exit_code == 2
    assert "nowhere" in result.err


def test_fp32_has_no_ranges(edgerd, bundle, good):
    result = edgerd("build-engine", bundle.path, "--precision", "fp32", "--ranges", good)
    assert result.exit_code == 2
    assert "--precision int8 or auto" in result.err


def test_quantize_writes_the_graphs_of_the_new_pictures(edgerd, bundle, good, monkeypatch):
    def one_graph(bundle, preset):
        return typed_graph(bundle, "int8", "u8s8", preset).new_files

    monkeypatch.setattr("edgerd.building.quantize.graphs_for_devices", one_graph)
    result = edgerd("quantize", bundle.path, "--ranges", good)
    assert result.exit_code == 0, result.err
    quantized = Bundle.open(bundle.path)
    assert Ranges.model_validate_json(quantized.read(RANGES_FILE)).n_pictures == len(quantized.manifest.ranges) == 12
    assert "graph.int8.u8s8.onnx" in quantized.manifest.files


def test_quantize_without_modelopt_changes_nothing(edgerd, bundle, good, monkeypatch):
    for name in ("modelopt", "modelopt.onnx", "modelopt.onnx.autocast"):
        monkeypatch.setitem(sys.modules, name, None)
    before = state(bundle)
    assert edgerd("quantize", bundle.path, "--ranges", good).exit_code == 6
    assert state(bundle) == before
