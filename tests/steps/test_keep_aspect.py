"""A wide part from pictures to verdicts, with `--keep-aspect`: its defect is found where it is; padding never is."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

import edgerd
from edgerd.acceptance.evaluate import evaluate
from edgerd.acceptance.gate_pictures import gate_pictures
from edgerd.data.aspect import inside_box
from edgerd.data.dataset import Dataset
from edgerd.data.pictures import load_bundle_pictures, read_picture, write_png
from edgerd.data.preprocess import prepare, tile_boxes
from edgerd.data.samples import write_dataset
from edgerd.inspection.self_test import self_test
from edgerd.runtimes.choose import open_engine
from edgerd.types import Verdict

pytest.importorskip("torch", reason="what trains the bundle is not installed", exc_type=ImportError)

HEIGHT, WIDTH = 96, 192
SIDE = 192
"""Of the graph, px: with `letterbox` a pixel of the map is one of the picture."""
DEFECT = 18
"""Side of the defect, px."""
IN_THE_CENTRE, AT_THE_EDGE = (88, 40), (8, 60)


@pytest.fixture(scope="module")
def wide_parts(tmp_path_factory):
    """Rings in the middle of pictures of 192x96 px, some px to the left or the right."""
    square = write_dataset(tmp_path_factory.mktemp("square") / "parts", "ring", 16, 3, 1, size=HEIGHT)
    wide = square.with_name("wide")
    rng = np.random.default_rng(0)
    for file in sorted(square.glob("*/*/*.png")):
        left = (WIDTH - HEIGHT) // 2 + int(rng.integers(-4, 5))
        picture = cv2.imread(str(file), cv2.IMREAD_UNCHANGED)
        border = cv2.BORDER_CONSTANT if "ground_truth" in file.parts else cv2.BORDER_REPLICATE
        target = wide / file.relative_to(square)
        target.parent.mkdir(parents=True, exist_ok=True)
        write_png(target, cv2.copyMakeBorder(picture, 0, 0, left, WIDTH - HEIGHT - left, border))
    return wide


@pytest.fixture(scope="module", params=["crop", "letterbox"])
def bundle(request, wide_parts, tmp_path_factory):
    folder = tmp_path_factory.mktemp(request.param)
    options = {"method": "prototypes", "image_size": SIDE, "threads": 1, "say": print}
    run = edgerd.train(wide_parts, folder / "run", keep_aspect=request.param, **options)
    return edgerd.export(run, folder / "bundle", false_alarm_rate=0.1)


@pytest.fixture
def inspector(bundle):
    with edgerd.Inspector.open(bundle) as opened:
        yield opened


def good_pictures(wide_parts):
    return [read_picture(file) for file in sorted((wide_parts / "test" / "good").iterdir())]


def spoilt(picture, place):
    x, y = place
    picture = picture.copy()
    picture[y : y + DEFECT, x : x + DEFECT] = (200, 0, 200)
    return picture


def test_a_defect_is_found_where_it_was_pasted(inspector, wide_parts):
    for picture in good_pictures(wide_parts):
        found = inspector.inspect(spoilt(picture, IN_THE_CENTRE))
        assert found.verdict is Verdict.NG
        box = found.regions[0].box
        for low, side, wanted in zip((box.x, box.y), (box.width, box.height), IN_THE_CENTRE, strict=True):
            assert abs(low + side / 2 - wanted - DEFECT / 2) <= DEFECT / 2
            assert side <= 4 * DEFECT


def test_what_crop_cuts_off_is_not_inspected_and_letterbox_inspects_all(inspector, wide_parts):
    (picture, *_) = good_pictures(wide_parts)
    before, after = inspector.inspect(picture), inspector.inspect(spoilt(picture, AT_THE_EDGE))
    if inspector.spec.aspect == "crop":
        assert after.score == before.score
        return
    assert after.verdict is Verdict.NG
    box = after.regions[0].box
    assert abs(box.x + box.width / 2 - AT_THE_EDGE[0] - DEFECT / 2) <= DEFECT / 2
    assert abs(box.y + box.height / 2 - AT_THE_EDGE[1] - DEFECT / 2) <= DEFECT / 2


@pytest.mark.parametrize("size", [(192, 96), (96, 192), (96, 96), (300, 40)])
def test_padding_never_alerts(inspector, wide_parts, size):
    """Of whatever shape a picture is: the engine's map is 0 outside of it, and so no region lies there."""
    spec = inspector.spec
    picture = spoilt(cv2.resize(good_pictures(wide_parts)[0], size), (10, 10))
    inside = inside_box(tile_boxes(size[1], size[0], spec)[0], spec)
    maps = inspector.engine.infer(prepare(picture, spec))
    outside = np.ones(maps.anomaly_map.shape, bool)
    outside[:, inside.y : inside.y + inside.height, inside.x : inside.x + inside.width] = False
    assert not maps.anomaly_map[outside].any()
    found = inspector.inspect(picture)
    assert found.score == float(maps.score.max())
    for region in found.regions:
        assert 0 <= region.box.x < region.box.x + region.box.width <= size[0]
        assert 0 <= region.box.y < region.box.y + region.box.height <= size[1]


def test_good_parts_are_ok(inspector, wide_parts):
    verdicts = [inspector.inspect(picture).verdict for picture in good_pictures(wide_parts)]
    assert verdicts.count(Verdict.OK) >= len(verdicts) - 1


def test_gate_self_test_and_evaluation_go_by_the_same_spec(bundle, inspector, wide_parts):
    spec, manifest = bundle.manifest.preprocess, bundle.manifest
    built = edgerd.build_engine(bundle, runtime="onnxruntime", precision="fp32", say=print)
    assert built.manifest.engines[0].gate.passed
    assert self_test(inspector) is None
    files = {picture.tobytes() for picture in load_bundle_pictures(bundle, manifest.ranges, spec)}
    trained_on = {prepare(read_picture(file), spec).tobytes() for file in (wide_parts / "train" / "good").iterdir()}
    assert files <= trained_on
    pictures = gate_pictures(bundle, wide_parts)
    assert pictures.padded == (spec.aspect == "letterbox")
    with open_engine(bundle) as opened:
        evaluation = evaluate(bundle, opened, Dataset.open(wide_parts))
    shape = (1, SIDE // 2, SIDE) if spec.aspect == "letterbox" else (1, SIDE, SIDE)
    assert {one.shape for one in evaluation.maps} == {shape}
    assert {mask.shape for mask in evaluation.masks if mask is not None} == {shape}
    assert evaluation.metrics.pixel_auroc > 0.8
    assert not evaluation.warnings
