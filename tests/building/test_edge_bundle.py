"""The bundle that `edgerd train` makes by default, through everything that builds from it."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from edgerd.acceptance.evaluate import evaluate
from edgerd.building.engine import build_engine
from edgerd.building.quantize import maps_as_written, quantize
from edgerd.building.typed_graph import DEVICE_FLAVOURS
from edgerd.bundle.bundle import Bundle
from edgerd.bundle.manifest import GRAPH_FILE
from edgerd.calibration.calibrate import calibrate
from edgerd.data.dataset import Dataset
from edgerd.data.pictures import read_picture
from edgerd.data.preprocess import prepare
from edgerd.precision.flavours import FLAVOURS
from edgerd.precision.lint import lint
from edgerd.runtimes.choose import open_engine

TENSORRT = ("graph.fp16.trt.onnx", "graph.int8.trt.onnx")
CPU = tuple(f"graph.int8.{flavour}.onnx" for flavour in DEVICE_FLAVOURS)
N_GOOD = 40


def target_of(file: str) -> str:
    return "tensorrt" if file in TENSORRT else FLAVOURS[file.split(".")[2]].target


@pytest.fixture(scope="module")
def quantized(_edge_exported: Path, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """With every typed graph; nothing here writes to it."""
    pytest.importorskip("modelopt", reason="edgerd[quantize] is not installed")
    path = shutil.copytree(_edge_exported, tmp_path_factory.mktemp("edge") / "bundle")
    return quantize(Bundle.open(path)).bundle


def test_it_says_what_it_holds_and_how_its_threshold_was_found(edge_bundle):
    manifest = edge_bundle.manifest
    assert (manifest.training.method, manifest.training.steps) == ("edge", 60)
    assert (manifest.model.teacher, manifest.model.student, manifest.model.prototypes) == ("lite0", "light", 2000)
    assert (manifest.training.n_train, manifest.training.n_holdout, manifest.holdout) == (N_GOOD, 0, ())
    assert (manifest.cross_fit.folds, len(manifest.cross_fit.scores)) == (2, N_GOOD)
    assert manifest.threshold.n_good == N_GOOD
    assert manifest.threshold.value >= max(manifest.cross_fit.scores)
    assert edge_bundle.verify() == len(manifest.files)


def test_it_tells_missing_holes_from_good_parts(edge_bundle, parts):
    """At its own threshold: not one of the good parts that it never saw is called defective."""
    with open_engine(edge_bundle, "onnxruntime", "fp32", threads=1) as opened:
        evaluation = evaluate(edge_bundle, opened, Dataset.open(parts))
    defects = np.array([picture.defect for picture in evaluation.pictures])
    scores, threshold = np.array(evaluation.scores), edge_bundle.manifest.threshold.value
    assert (scores[defects == "good"] <= threshold).all()
    assert (scores[defects == "missing_hole"] > scores[defects == "good"].max()).all()
    assert evaluation.metrics.image_auroc > 0.75


def test_scores_of_new_good_parts_are_like_the_honest_ones(edge_bundle, parts):
    """Else a threshold from cross-fitting would not hold."""
    with open_engine(edge_bundle, "onnxruntime", "fp32", threads=1) as opened:
        evaluation = evaluate(edge_bundle, opened, Dataset.open(parts))
    good = [s for s, picture in zip(evaluation.scores, evaluation.pictures, strict=True) if not picture.is_defective]
    honest = edge_bundle.manifest.cross_fit.scores
    assert np.quantile(honest, 0.02) * 0.9 < np.median(good) < np.quantile(honest, 0.98) * 1.05


@pytest.fixture
def new_pictures(edge_bundle, parts):
    """Good and defective parts, uint8 (n, 1, H, W, 3). Of those that were trained on, every patch may be a prototype:
    its distance is nothing, and all that INT8 gives for it is rounding."""
    files = sorted((parts / "test").glob("*/*.png"))
    return np.stack([prepare(read_picture(file), edge_bundle.manifest.preprocess) for file in files])


def test_calibrated_again_it_has_the_same_threshold(edge_bundle):
    again = calibrate(edge_bundle, 0.01).bundle.manifest.threshold
    assert again == edge_bundle.manifest.threshold
    assert calibrate(edge_bundle, 0.1).bundle.manifest.threshold.extrapolated is False


@pytest.mark.parametrize("file", [*TENSORRT, *CPU])
def test_every_typed_graph_keeps_the_rules_and_the_maps(quantized, new_pictures, file):
    content, pictures = quantized.read(file), new_pictures
    assert lint(content, target_of(file)) == ()
    reference = maps_as_written(quantized.read(GRAPH_FILE), pictures)
    given = maps_as_written(content, pictures)
    largest = max(maps.anomaly_map.max() for maps in reference)
    errors = [np.abs(a.anomaly_map - b.anomaly_map).max() for a, b in zip(given, reference, strict=True)]
    assert max(errors) < (0.01 if "fp16" in file else 0.15) * largest


@pytest.mark.parametrize("file", [*TENSORRT, *CPU])
def test_distances_to_prototypes_and_the_head_are_fp32_in_every_typed_graph(quantized, file):
    """Rounded to 8 bits, the difference of large numbers that a distance is would be nothing but rounding."""
    before, after = (onnx.load_from_string(quantized.read(name)).graph for name in (GRAPH_FILE, file))

    def is_float_part(named):
        return named.name.startswith(("head/", "prototypes/"))

    def float_part(graph):
        return {node.name: node for node in graph.node if is_float_part(node)}

    def constants_of(graph):
        return {constant.name: numpy_helper.to_array(constant) for constant in graph.initializer}

    assert list(float_part(after)) == list(float_part(before))
    kept, wanted = constants_of(after), constants_of(before)
    for name in [c.name for c in before.initializer if c.data_type == onnx.TensorProto.FLOAT and is_float_part(c)]:
        assert kept[name].dtype == np.float32
        np.testing.assert_array_equal(kept[name], wanted[name])
    made_by = {name: node for node in after.node for name in node.output}
    for node in float_part(after).values():
        makers = {made_by[name].op_type for name in node.input if name in made_by}
        assert not makers & {"QuantizeLinear", "DequantizeLinear"}, node.name


@pytest.mark.parametrize("runtime", ["onnxruntime", "openvino"])
def test_engines_are_built_from_it_and_pass_the_gate(edge_bundle, runtime):
    """Compared on pictures that it was trained on: it has no others, and they do for a comparison."""
    built = build_engine(edge_bundle, runtime=runtime, precision="fp32")
    assert built.chosen.gate.passed
    assert built.chosen.gate.n_pictures == len(edge_bundle.manifest.ranges)
    assert built.chosen.threshold.n_good == N_GOOD


@pytest.mark.parametrize("runtime", ["onnxruntime", "openvino"])
def test_an_int8_engine_scores_as_fp32_does(edge_bundle, new_pictures, runtime):
    """Installed by force: of good pictures that are scaled to score 1, a small training leaves no rank to keep."""
    built = build_engine(edge_bundle, runtime=runtime, precision="int8", force=True)
    assert (built.chosen.key.runtime, built.chosen.key.precision) == (runtime, "int8")
    with open_engine(built.bundle, runtime, "int8", threads=1) as opened:
        scores = [float(opened.engine.infer(tiles).score.max()) for tiles in new_pictures]
    expected = [float(maps.score.max()) for maps in maps_as_written(edge_bundle.read(GRAPH_FILE), new_pictures)]
    np.testing.assert_allclose(scores, expected, rtol=0.1)
