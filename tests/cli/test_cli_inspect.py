"""`edgerd inspect`: each picture has its verdict, whatever the others are."""

from __future__ import annotations

import json
import math
import os
import shutil

import cv2
import numpy as np
import pytest


@pytest.fixture
def pictures(parts):
    return [parts / "test" / "good" / "000.png", parts / "test" / "missing_hole" / "000.png"]


def test_verdicts_on_the_screen_and_in_json(edgerd, bundle, pictures, tmp_path):
    file = tmp_path / "verdicts.json"
    result = edgerd("inspect", bundle.path, *pictures, "--threshold", 0.001, "--json", file)
    assert result.exit_code == 0, result.err
    records = json.loads(file.read_text())["pictures"]
    assert [record["path"] for record in records] == [str(picture) for picture in pictures]
    for record in records:
        assert record.keys() == {"path", "score", "threshold", "verdict", "reason", "regions"}
        assert record["verdict"] == "NG"
        assert record["threshold"] == 0.001
        assert 0.001 < record["score"] < 6
        assert record["regions"][0].keys() == {"x", "y", "width", "height", "area_px", "peak"}
        assert math.isclose(record["regions"][0]["peak"], record["score"], rel_tol=1e-6)
        first, n = record["regions"][0], len(record["regions"])
        centre = f"{first['x'] + first['width'] // 2},{first['y'] + first['height'] // 2}"
        where = f"at {centre} ({n} regions)" if n > 1 else f"at {centre}"
        assert f"NG           {record['score']:.4f}   {record['path']}  {where}\n" in result.out
    assert edgerd("inspect", bundle.path, pictures[0], "--threshold", 6).out.splitlines()[-1].startswith("OK ")


def test_the_bundles_own_threshold(edgerd, bundle, pictures):
    result = edgerd("inspect", bundle.path, pictures[0])
    assert f"NG is a score above {bundle.manifest.threshold.value:.4f}." in result.out


def test_json_on_stdout_is_alone_there(edgerd, bundle, pictures):
    result = edgerd("inspect", bundle.path, *pictures, "--json", "-")
    assert len(json.loads(result.out)["pictures"]) == 2
    assert "000.png" in result.err


def test_an_unreadable_picture_is_named_and_the_others_are_judged(edgerd, bundle, pictures, tmp_path):
    broken = tmp_path / "kaputt.png"
    broken.write_bytes(pictures[0].read_bytes()[:200])
    missing, file = tmp_path / "none.png", tmp_path / "verdicts.json"
    result = edgerd("inspect", bundle.path, pictures[0], broken, missing, pictures[1], "--json", file)
    assert result.exit_code == 2
    assert f"{broken} is damaged" in result.err
    assert f"{missing} cannot be read" in result.err
    assert "2 of 4 pictures could not be judged" in result.err
    content = json.loads(file.read_text())
    assert [record["path"] for record in content["pictures"]] == [str(picture) for picture in pictures]
    assert content["n_left_out"] == 2


def test_a_folder_is_pointed_to_run(edgerd, bundle, parts):
    result = edgerd("inspect", bundle.path, parts / "test" / "good")
    assert result.exit_code == 2
    assert f"edgerd run --camera {parts / 'test' / 'good'} --bundle {bundle.path}" in result.err


def test_a_black_picture_has_no_decision(edgerd, bundle, tmp_path):
    cv2.imwrite(str(tmp_path / "black.png"), np.zeros((96, 96, 3), np.uint8))
    result = edgerd("inspect", bundle.path, tmp_path / "black.png", "--heatmaps", tmp_path / "maps")
    assert result.exit_code == 0
    assert "NO_DECISION  black frame" in result.out
    (file,) = (tmp_path / "maps").iterdir()
    assert (cv2.imread(str(file)) > 0).any()  # the picture says so, too


def test_heatmaps_are_pictures_of_the_same_size(edgerd, bundle, pictures, tmp_path):
    result = edgerd("inspect", bundle.path, *pictures, "--heatmaps", tmp_path / "Wärme" / "bilder")
    assert result.exit_code == 0, result.err
    assert f"2 heatmaps in {tmp_path / 'Wärme' / 'bilder'}\n" in result.out
    files = sorted((tmp_path / "Wärme" / "bilder").iterdir())
    assert [file.name for file in files] == ["good_000.png", "missing_hole_000.png"]
    for file in files:
        assert cv2.imdecode(np.frombuffer(file.read_bytes(), np.uint8), cv2.IMREAD_COLOR).shape == (96, 96, 3)


def test_no_heatmap_replaces_another(edgerd, bundle, pictures, tmp_path):
    """Neither those of one command, nor those of a command for each folder."""
    same = [shutil.copy(pictures[0], tmp_path / name) for name in ("a.png", "A.jpg.png", "a.b.png")]
    other = tmp_path / "x" / tmp_path.name
    other.mkdir(parents=True)
    same.append(shutil.copy(pictures[0], other / "a.png"))
    maps = tmp_path / "maps"
    assert edgerd("inspect", bundle.path, *same, "--heatmaps", maps).exit_code == 0
    assert len(list(maps.iterdir())) == 4
    for picture in pictures:
        edgerd("inspect", bundle.path, picture, "--heatmaps", maps)
    assert len(list(maps.iterdir())) == 6


def test_the_same_command_again_replaces_its_heatmaps(edgerd, bundle, pictures, tmp_path):
    for _ in range(2):
        edgerd("inspect", bundle.path, *pictures, "--heatmaps", tmp_path / "maps")
    assert len(list((tmp_path / "maps").iterdir())) == 2


@pytest.mark.parametrize("threshold", ["nan", "inf", "high"])
def test_a_threshold_that_is_none(edgerd, bundle, pictures, threshold):
    assert edgerd("inspect", bundle.path, pictures[0], "--threshold", threshold).exit_code == 2


def test_options_may_stand_anywhere(edgerd, bundle, pictures, tmp_path):
    file = tmp_path / "v.json"
    assert edgerd("inspect", "--json", file, bundle.path, "--threads", 1, *pictures).exit_code == 0
    assert len(json.loads(file.read_text())["pictures"]) == 2


def test_a_file_name_that_is_not_utf_8_is_printed_with_its_escape(edgerd_process, bundle, pictures, tmp_path):
    odd = shutil.copy(pictures[0], tmp_path / os.fsdecode(b"pr\xfcfung.png"))
    process = edgerd_process("inspect", bundle.path, odd)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    assert r"pr\udcfcfung.png" in out
