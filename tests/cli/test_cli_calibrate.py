"""`edgerd calibrate`: an honest threshold, from pictures that training never saw."""

from __future__ import annotations

import re

import cv2
import numpy as np
import pytest

from edgerd.bundle.bundle import Bundle
from edgerd.data.samples import write_dataset


@pytest.fixture
def more_parts(tmp_path):
    return write_dataset(tmp_path / "more", "ring", n_train=12, n_test_good=1, n_per_defect=1, size=96, seed=7)


def threshold_of(bundle):
    return Bundle.open(bundle.path).manifest.threshold


def test_too_few_pictures_are_extrapolated_and_say_how_many_settle_it(edgerd, bundle):
    result = edgerd("calibrate", bundle.path)
    assert result.exit_code == 0
    assert "extrapolated: 10 good pictures are too few to settle a false-alarm rate of 1 %" in result.out
    wanted = f"edgerd calibrate {bundle.path} MORE_PICTURES, or --from-camera URI --minutes M"
    assert f"89 more good pictures would settle it: {wanted}" in result.out
    assert threshold_of(bundle).extrapolated


def test_a_settled_rate_comes_with_its_interval(edgerd, bundle):
    result = edgerd("calibrate", bundle.path, "--false-alarm-rate", 0.1)
    assert result.exit_code == 0
    assert "number 10 of the 10 good pictures" in result.out
    assert "(90 % interval" in result.out
    assert not threshold_of(bundle).extrapolated


def test_other_good_pictures(edgerd, bundle, more_parts):
    result = edgerd("calibrate", bundle.path, more_parts, "--false-alarm-rate", 0.2)
    assert result.exit_code == 0, result.err
    assert threshold_of(bundle).n_good == 22
    assert f"12 good pictures added; they stay in {bundle.path}." in result.out
    assert edgerd("calibrate", bundle.path, "--false-alarm-rate", 0.1).exit_code == 0
    assert (threshold_of(bundle).n_good, threshold_of(bundle).false_alarm_rate) == (22, 0.1)


def test_good_pictures_that_were_added_by_mistake_are_forgotten(edgerd, bundle, more_parts):
    before = threshold_of(bundle)
    edgerd("calibrate", bundle.path, more_parts)
    assert threshold_of(bundle) != before
    assert edgerd("calibrate", bundle.path, "--replace").exit_code == 0
    assert threshold_of(bundle) == before


@pytest.mark.parametrize("folder", [".", "train/good"])
def test_the_training_pictures_are_refused_under_any_name(edgerd, bundle, parts, folder):
    result = edgerd("calibrate", bundle.path, parts / folder)
    assert result.exit_code == 2
    assert "holds pictures this bundle was trained on" in result.err


def test_a_folder_above_the_good_pictures_has_an_error_with_the_command(edgerd, bundle, parts, tmp_path):
    (tmp_path / "pictures").mkdir()
    (tmp_path / "pictures" / "test").symlink_to(parts / "test")
    (tmp_path / "pictures" / "good").symlink_to(parts / "train" / "good")
    result = edgerd("calibrate", bundle.path, tmp_path / "pictures")
    assert result.exit_code == 2
    assert "there are pictures in good, " in result.err
    assert f"edgerd calibrate {bundle.path} DIR, where DIR is the folder of good parts" in result.err


def test_training_pictures_among_others_are_left_out(edgerd, bundle, parts, more_parts):
    for index in range(12):
        content = (parts / "train" / "good" / f"{index:03d}.png").read_bytes()
        (more_parts / "train" / "good" / f"copy{index}.png").write_bytes(content)
    result = edgerd("calibrate", bundle.path, more_parts)
    assert result.exit_code == 0, result.err
    known = re.search(r"left out: (\d+) of 24 pictures in .*, training saw them", result.out)
    held_out = re.search(r"(\d+) of 24 pictures in .* are in .* already", result.out)
    assert int(known[1]) + int(held_out[1] if held_out else 0) == 12
    assert threshold_of(bundle).n_good == 22


def test_too_few_pictures_to_say_anything(edgerd, bundle, more_parts):
    for index in range(5, 12):
        (more_parts / "train" / "good" / f"{index:03d}.png").unlink()
    bundle.save_with(bundle.manifest.model_copy(update={"holdout": ()}))
    result = edgerd("calibrate", bundle.path, more_parts)
    assert result.exit_code == 2
    assert "5 good pictures are too few" in result.err
    assert "8 at least" in result.err


def test_from_a_camera(edgerd, bundle):
    uri = "sample://ring?n=40&seed=5&size=96"
    result = edgerd("calibrate", bundle.path, "--from-camera", uri, "--false-alarm-rate", 0.1)
    assert result.exit_code == 0, result.err
    assert "10 of 15 pictures" in result.out
    assert threshold_of(bundle).n_good == 25


def test_a_live_camera_is_watched_for_the_minutes_given(edgerd, bundle):
    uri = "sample://ring?seed=5&size=96&live=1&fps=100"
    options = ("--false-alarm-rate", 0.1, "--minutes", 0.03)
    result = edgerd("calibrate", bundle.path, "--from-camera", uri, *options)
    assert result.exit_code == 0, result.err
    assert 18 <= threshold_of(bundle).n_good <= 25


def test_frames_that_a_run_would_not_judge_are_left_out(edgerd, bundle, more_parts):
    good = more_parts / "train" / "good"
    (good / "000.png").write_bytes(b"not a picture")
    cv2.imwrite(str(good / "001.png"), np.zeros((96, 96, 3), np.uint8))
    result = edgerd("calibrate", bundle.path, "--from-camera", good, "--false-alarm-rate", 0.1)
    assert result.exit_code == 0, result.err
    assert f"left out: {good / '000.png'}" in result.out
    assert threshold_of(bundle).n_good == 20


def test_training_pictures_are_no_camera_either(edgerd, bundle, parts):
    assert edgerd("calibrate", bundle.path, "--from-camera", parts / "train" / "good").exit_code == 2


def test_a_camera_that_sees_one_thing_only(edgerd, bundle):
    result = edgerd("calibrate", bundle.path, "--from-camera", "sample://ring?n=30&pool=2&size=96")
    assert result.exit_code == 4
    assert "gave 2 different pictures" in result.err


def test_a_camera_that_is_not_there(edgerd, bundle):
    before = threshold_of(bundle)
    assert edgerd("calibrate", bundle.path, "--from-camera", "nothing.mp4").exit_code == 4
    assert threshold_of(bundle) == before


def test_folder_and_camera_exclude_each_other(edgerd, bundle, parts):
    result = edgerd("calibrate", bundle.path, parts, "--from-camera", "0")
    assert result.exit_code == 2
    assert "cannot be used together" in result.err


@pytest.mark.parametrize("rate", [0, 1, 1.5, "many"])
def test_rates_that_make_no_sense(edgerd, bundle, rate):
    assert edgerd("calibrate", bundle.path, "--false-alarm-rate", rate).exit_code == 2


def test_the_false_alarm_rate_stays_until_another_one_is_given(edgerd, bundle, more_parts):
    edgerd("calibrate", bundle.path, "--false-alarm-rate", 0.05)
    assert edgerd("calibrate", bundle.path, more_parts).exit_code == 0
    assert (threshold_of(bundle).false_alarm_rate, threshold_of(bundle).n_good) == (0.05, 22)


def test_what_thresholds_would_find_of_a_few_defects_and_cost(edgerd, bundle, parts):
    before = (bundle.path / "bundle.json").read_bytes()
    result = edgerd("calibrate", bundle.path, "--defects", parts / "test")
    assert result.exit_code == 0, result.err
    n = len([*(parts / "test").glob("[!g]*/*.png")])
    rows = re.findall(rf"([\d.]+) %  +([\d.]+)  +(\d+) of {n}  +([\d.]+) in 1000", result.out)
    assert [float(rate) for rate, *_ in rows] == [0.1, 0.5, 1, 2, 5]
    found = [int(n_found) for *_, n_found, _ in rows]
    assert found == sorted(found)
    assert "Scores and thresholds are those of FP32:" in result.out
    assert result.out.count("the bundle's") >= 1
    missed = re.search(rf"(\d+) of {n} missed at the bundle's threshold for FP32, ", result.out)
    assert int(missed[1]) == n - found[2]
    assert result.out.count(str(parts / "test")) == n - found[2]
    assert (bundle.path / "bundle.json").read_bytes() == before


def test_defects_are_looked_at_with_the_threshold_that_was_just_found(edgerd, bundle, parts):
    result = edgerd("calibrate", bundle.path, "--defects", parts / "test", "--false-alarm-rate", 0.3)
    assert result.exit_code == 0, result.err
    assert threshold_of(bundle).false_alarm_rate == 0.3
    assert re.search(r"30 %  .*the bundle's", result.out)


@pytest.mark.parametrize("options", [(), ("--defects", "test")])
def test_the_default_engines_own_threshold_is_said_beside_fp32s(edgerd, bundle, parts, options):
    assert "default engine" not in edgerd("calibrate", bundle.path).out
    built = edgerd("build-engine", bundle.path, "--runtime", "onnxruntime", "--precision", "fp32")
    assert built.exit_code == 0, built.err
    result = edgerd("calibrate", bundle.path, *(parts / one if one == "test" else one for one in options))
    assert result.exit_code == 0, result.err
    (engine,) = Bundle.open(bundle.path).manifest.engines
    assert f"This is FP32's threshold. The default engine, {engine.name}, has its own" in result.out
    assert f"rounding moves scores: {engine.threshold.value:.4f}." in result.out
    assert (
        f"NG is a score above {engine.threshold.value:.4f}"
        in edgerd("inspect", bundle.path, parts / "test" / "good" / "000.png").out
    )


def test_pasted_defects_in_other_pictures_are_not_compared_with_those_before(edgerd, bundle, more_parts):
    assert "do not compare" not in edgerd("calibrate", bundle.path).out
    before = Bundle.open(bundle.path).manifest.rough_recall
    result = edgerd("calibrate", bundle.path, more_parts)
    assert result.exit_code == 0, result.err
    assert f"Before it was {before.found} of {before.n}, pasted into other good pictures: now they are" in result.out
    assert "do not compare" not in edgerd("calibrate", bundle.path, "--false-alarm-rate", 0.2).out


def test_a_folder_without_defects(edgerd, bundle, parts, tmp_path):
    assert edgerd("calibrate", bundle.path, "--defects", parts / "train").exit_code == 2
    assert edgerd("calibrate", bundle.path, "--defects", tmp_path / "none").exit_code == 2
