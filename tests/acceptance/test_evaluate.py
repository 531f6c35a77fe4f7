"""evaluate: a bundle on labelled pictures."""

from __future__ import annotations

import json
import re
import shutil

import cv2
import numpy as np
import pytest

from edgerd.acceptance.evaluate import evaluate
from edgerd.acceptance.report import report_of
from edgerd.data.dataset import Dataset
from edgerd.errors import DatasetError, PictureError
from edgerd.runtimes.choose import open_engine

KEYS = {
    *("image_auroc", "pixel_auroc", "aupro", "pro_per_image", "per_defect", "n_good", "n_defective", "runtime"),
    *("precision", "threshold", "false_alarm_rate", "recall"),
}


def test_all_figures_are_there_and_json(bundle, parts):
    with open_engine(bundle) as opened:
        evaluation = evaluate(bundle, opened, Dataset.open(parts))
        figures = json.loads(json.dumps(evaluation.as_json(opened), allow_nan=False))
    assert set(figures) >= KEYS
    assert figures["n_good"] == 8
    assert figures["n_defective"] == sum(part["n"] for part in figures["per_defect"].values())
    assert figures["image_auroc"] > 0.6
    assert figures["pixel_auroc"] > 0.6
    assert figures["threshold"] == bundle.manifest.threshold.value


def test_without_masks_pixel_figures_are_null(bundle, parts, tmp_path):
    data = shutil.copytree(parts, tmp_path / "parts")
    shutil.rmtree(data / "ground_truth")
    with open_engine(bundle) as opened:
        metrics = evaluate(bundle, opened, Dataset.open(data)).metrics
    assert metrics.image_auroc is not None
    assert (metrics.pixel_auroc, metrics.aupro, metrics.pro_per_image) == (None, None, None)


def test_a_mask_of_the_wrong_size_names_both_sizes(bundle, parts, tmp_path):
    data = shutil.copytree(parts, tmp_path / "parts")
    mask = next((data / "ground_truth").glob("*/*.png"))
    cv2.imwrite(str(mask), np.zeros((10, 20), np.uint8))
    with open_engine(bundle) as opened, pytest.raises(PictureError, match=r"20x10 .* 96x96"):
        evaluate(bundle, opened, Dataset.open(data))


def test_a_broken_picture_is_left_out_and_named_or_stops_with_strict(bundle, parts, tmp_path):
    data = shutil.copytree(parts, tmp_path / "parts")
    broken = data / "test" / "good" / sorted((data / "test" / "good").iterdir())[2].name
    broken.write_bytes(broken.read_bytes()[:200])
    with open_engine(bundle) as opened:
        evaluation = evaluate(bundle, opened, Dataset.open(data))
        assert list(evaluation.skipped) == [str(broken)]
        assert evaluation.metrics.n_good == 7
        with pytest.raises(PictureError, match=re.escape(broken.name)):
            evaluate(bundle, opened, Dataset.open(data), strict=True)


def test_a_folder_of_good_pictures_cannot_be_evaluated(bundle, parts):
    with open_engine(bundle) as opened, pytest.raises(DatasetError, match="no test pictures"):
        evaluate(bundle, opened, Dataset.open(parts / "train" / "good"))


def test_the_report_shows_every_picture_from_its_own_folder(bundle, parts, tmp_path):
    with open_engine(bundle) as opened:
        evaluation = evaluate(bundle, opened, Dataset.open(parts))
        page = report_of(evaluation, bundle, opened, parts, tmp_path / "report").read_text()
    linked = re.findall(r"""(?:src|href|data-plain|data-mask)=["']([^"']*)""", page)
    assert len(linked) == 3 * evaluation.metrics.n_good + 4 * evaluation.metrics.n_defective  # the latter with masks
    assert all((tmp_path / "report" / link).is_file() for link in linked)
    assert f"{evaluation.metrics.image_auroc:.4f}" in page
    assert bundle.manifest.id in page
    assert "trained on" not in page
    assert "Left out" not in page
    assert all(f"test/{picture.defect}/{picture.path.name}" in page for picture in evaluation.pictures)


def test_the_report_says_why_its_figures_may_be_doubted(bundle, parts, tmp_path):
    data = shutil.copytree(parts, tmp_path / "parts")
    broken = data / "test" / "good" / "002.png"
    broken.write_bytes(broken.read_bytes()[:200])
    for picture in (data / "train" / "good").iterdir():
        shutil.copy(picture, data / "test" / "good" / f"seen-{picture.name}")
    with open_engine(bundle) as opened:
        evaluation = evaluate(bundle, opened, Dataset.open(data))
        page = report_of(evaluation, bundle, opened, data, tmp_path / "report").read_text()
    assert str(broken) in page
    assert "are among those this bundle was trained on" in page


def test_scores_in_the_report_are_those_that_were_evaluated(bundle, parts, tmp_path):
    with open_engine(bundle) as opened:
        evaluation = evaluate(bundle, opened, Dataset.open(parts))
        page = report_of(evaluation, bundle, opened, parts, tmp_path / "report").read_text()
    assert sorted(map(float, re.findall(r'data-score="([^"]*)"', page))) == sorted(evaluation.scores.tolist())
