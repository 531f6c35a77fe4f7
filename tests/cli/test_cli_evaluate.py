"""`edgerd evaluate`: figures for people, for programs, and as a page."""

from __future__ import annotations

import html
import json
import re
import shlex
import shutil

import cv2
import numpy as np
import pytest

KEYS = {
    *("image_auroc", "pixel_auroc", "aupro", "pro_per_image", "per_defect", "n_good", "n_defective", "runtime"),
    *("precision", "threshold", "false_alarm_rate", "recall", "n_found", "n_false_alarms"),
}
"""Keys of JSON that users' programs read: they must not change."""


def test_figures_on_the_screen_and_in_json(edgerd, bundle, parts, tmp_path):
    file = tmp_path / "new" / "figures.json"
    result = edgerd("evaluate", bundle.path, parts, "--json", file)
    assert result.exit_code == 0, result.err
    figures = json.loads(file.read_text())
    assert figures.keys() >= KEYS
    assert (figures["runtime"], figures["precision"]) == ("onnxruntime", "fp32")
    assert figures["threshold"] == bundle.manifest.threshold.value
    assert result.out.startswith("onnxruntime fp32: ")
    assert f"image AUROC                        {figures['image_auroc']:.4f}" in result.out
    headline = f"{figures['n_found']} of {figures['n_defective']} defective parts found, "
    assert headline + f"{figures['n_false_alarms']} of {figures['n_good']} good parts called NG" in result.out
    assert result.out.index("defective parts found") < result.out.index("image AUROC")


def test_json_on_stdout_is_alone_there(edgerd, bundle, parts):
    result = edgerd("evaluate", bundle.path, parts, "--json", "-")
    assert json.loads(result.out).keys() >= KEYS
    assert "image AUROC" in result.err


def test_the_report_is_written(edgerd, bundle, parts, tmp_path):
    result = edgerd("evaluate", bundle.path, parts, "--report", tmp_path / "Bericht")
    assert result.exit_code == 0, result.err
    assert f"Report: {tmp_path / 'Bericht' / 'index.html'}" in result.out
    page = (tmp_path / "Bericht" / "index.html").read_text(encoding="utf-8")
    assert not re.search(r"""(src|href)=["'](?!report-pictures/)""", page)


def test_the_commands_in_the_report_can_be_typed(edgerd, bundle, parts, tmp_path):
    own = shutil.copytree(bundle.path, tmp_path / "my bundle")
    edgerd("evaluate", own, parts, "--report", tmp_path / "it's here")
    file = tmp_path / "it's here" / "index.html"
    page = file.read_text(encoding="utf-8")
    file.unlink()
    repeat = shlex.split(html.unescape(re.search(r"<code>(edgerd evaluate .*?)</code>", page)[1]))
    assert edgerd(*repeat[1:]).exit_code == 0
    assert file.is_file()
    start = json.loads(re.search(r'<script type="application/json"[^>]*>(.*?)</script>', page)[1])
    assert start["threshold"] == bundle.manifest.threshold.value
    watch = [str(parts / "test" / "good") if word == "URI" else word for word in shlex.split(start["runOptions"])]
    result = edgerd("run", "--threshold", start["low"], *watch, "--json", tmp_path / "run.json")
    assert result.exit_code == 0, result.err


def test_the_report_compares_with_the_json_of_other_evaluations(edgerd, bundle, parts, tmp_path):
    edgerd("evaluate", bundle.path, parts, "--json", tmp_path / "before.json")
    result = edgerd("evaluate", bundle.path, parts, "--report", tmp_path, "--compare", tmp_path / "before.json")
    assert result.exit_code == 0, result.err
    page = (tmp_path / "index.html").read_text(encoding="utf-8")
    assert "<td>before.json</td><td>onnxruntime fp32</td>" in page
    assert f"--compare {tmp_path / 'before.json'}" in page


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, "No such file"),
        ("{", "Expecting"),
        ("[]", "content: "),
        ('{"n_good": 3}', "image_auroc"),
        (b"\xff", "decode"),
    ],
)
def test_what_is_no_evaluation_is_refused_before_the_work(edgerd, bundle, parts, tmp_path, content, words):
    file = tmp_path / "other.json"
    if content is not None:
        file.write_bytes(content if isinstance(content, bytes) else content.encode())
    result = edgerd("evaluate", bundle.path, parts, "--report", tmp_path / "report", "--compare", file)
    assert result.exit_code == 2
    assert f"{file} cannot be compared with: " in result.err
    assert words in result.err
    assert not result.out


@pytest.mark.parametrize(
    ("change", "words"), [({"n_found": 1000}, "more pictures were counted"), ({"runtime": None}, "runtime is missing")]
)
def test_figures_that_cannot_be_are_refused(edgerd, bundle, parts, tmp_path, change, words):
    file = tmp_path / "other.json"
    edgerd("evaluate", bundle.path, parts, "--json", file)
    figures = json.loads(file.read_text()) | change
    file.write_text(json.dumps({name: value for name, value in figures.items() if name != "runtime" or value}))
    result = edgerd("evaluate", bundle.path, parts, "--report", tmp_path / "report", "--compare", file)
    assert result.exit_code == 2
    assert words in result.err


def test_comparing_needs_a_report(edgerd, bundle, parts, tmp_path):
    result = edgerd("evaluate", bundle.path, parts, "--compare", tmp_path / "other.json")
    assert result.exit_code == 2
    assert "--report DIR" in result.err


def test_without_masks_pixel_figures_are_null(edgerd, bundle, own_parts, tmp_path):
    shutil.rmtree(own_parts / "ground_truth")
    result = edgerd("evaluate", bundle.path, own_parts, "--json", tmp_path / "figures.json")
    for label in ("pixel AUROC", "AUPRO (data set, FPR < 0.3)", "PRO per image (RD4AD's own)"):
        assert f"  {label:34} no masks\n" in result.out
    figures = json.loads((tmp_path / "figures.json").read_text())
    assert figures["image_auroc"] is not None
    assert [figures[key] for key in ("pixel_auroc", "aupro", "pro_per_image")] == [None, None, None]


def test_a_mask_of_the_wrong_size_is_named_with_both_sizes(edgerd, bundle, own_parts):
    mask = own_parts / "ground_truth" / "scratch" / "001_mask.png"
    cv2.imwrite(str(mask), np.zeros((10, 20), np.uint8))
    result = edgerd("evaluate", bundle.path, own_parts)
    assert result.exit_code == 2
    assert str(mask) in result.err
    assert "20x10" in result.err
    assert "96x96" in result.err


def test_a_broken_picture_is_left_out_or_stops_with_strict(edgerd, bundle, own_parts, tmp_path):
    broken = own_parts / "test" / "good" / "002.png"
    broken.write_bytes(broken.read_bytes()[:300])
    result = edgerd("evaluate", bundle.path, own_parts, "--json", tmp_path / "figures.json")
    assert result.exit_code == 0
    assert f"left out {broken}" in result.err
    figures = json.loads((tmp_path / "figures.json").read_text())
    assert (figures["n_good"], figures["n_skipped"]) == (7, 1)
    assert edgerd("evaluate", bundle.path, own_parts, "--strict").exit_code == 2


def test_pictures_without_labels(edgerd, bundle, parts):
    result = edgerd("evaluate", bundle.path, parts / "train" / "good")
    assert result.exit_code == 2
    assert f"edgerd inspect {bundle.path} PICTURE..." in result.err


@pytest.mark.parametrize("part", ["test", "test/scratch"])
def test_a_part_of_a_data_set_has_an_error_that_names_the_whole(edgerd, bundle, parts, part):
    result = edgerd("evaluate", bundle.path, parts / part)
    assert result.exit_code == 2
    assert f"{parts / part} has no test pictures: there are none in {parts / part / 'test'}." in result.err
    assert f"edgerd evaluate {bundle.path} {parts};" in result.err


def test_an_engine_that_was_not_built(edgerd, bundle, parts):
    result = edgerd("evaluate", bundle.path, parts, "--precision", "int8")
    assert result.exit_code == 3
    assert f"edgerd build-engine {bundle.path} --precision int8" in result.err


@pytest.mark.parametrize("option", ["--json", "--report"])
def test_a_file_in_place_of_a_folder(edgerd, bundle, parts, tmp_path, option):
    (tmp_path / "file").write_text("")
    result = edgerd("evaluate", bundle.path, parts, option, tmp_path / "file" / "below")
    assert result.exit_code == 1
    assert "could not be written" in result.err
    assert "image AUROC" in result.out  # nothing that was measured is lost


def test_training_pictures_among_the_test_pictures_are_said_loudly(edgerd, bundle, own_parts, tmp_path):
    good = own_parts / "test" / "good"
    assert "trained on" not in edgerd("evaluate", bundle.path, own_parts).err
    for index in range(3):  # whatever their files are called
        shutil.copy(own_parts / "train" / "good" / f"{index:03d}.png", good / f"new{index}.png")
    result = edgerd("evaluate", bundle.path, own_parts, "--json", tmp_path / "figures.json")
    n_seen = json.loads((tmp_path / "figures.json").read_text())["n_trained_on"]
    assert result.exit_code == 0
    assert 1 <= n_seen <= 3  # those that training held out are none
    assert re.search(rf"warning: {n_seen} of \d+ pictures are among those this bundle was trained on", result.err)


def test_labelled_pictures_alone_are_enough(edgerd, bundle, own_parts):
    with_train = edgerd("evaluate", bundle.path, own_parts)
    shutil.rmtree(own_parts / "train")
    without = edgerd("evaluate", bundle.path, own_parts)
    assert without.exit_code == 0
    assert without.out == with_train.out


def test_what_is_not_used_is_named_once(edgerd, bundle, own_parts):
    deeper = own_parts / "test" / "dent" / "monday"
    deeper.mkdir(parents=True)
    for file in (own_parts / "test" / "scratch").iterdir():
        shutil.copy(file, deeper)
    result = edgerd("evaluate", bundle.path, own_parts)
    assert result.exit_code == 0
    assert result.err.count(f"warning: 2 pictures in {deeper}: not used") == 1


def test_good_pictures_beside_test_are_no_reason_for_a_warning(edgerd, bundle, own_parts):
    (own_parts / "train" / "good").rename(own_parts / "good")
    result = edgerd("evaluate", bundle.path, own_parts)
    assert result.exit_code == 0
    assert f"40 pictures in {own_parts / 'good'}: for training, so not judged" in result.out
    assert "not used" not in result.err


def test_links_that_lead_nowhere_are_left_out_by_name_or_stop_with_strict(edgerd, bundle, own_parts):
    (own_parts / "test" / "good" / "gone.png").symlink_to("/nas/gone.png")
    result = edgerd("evaluate", bundle.path, own_parts)
    assert result.exit_code == 0
    assert "gone.png cannot be read: No such file" in result.err
    assert edgerd("evaluate", bundle.path, own_parts, "--strict").exit_code == 2
