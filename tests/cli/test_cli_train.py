"""`edgerd train`: what it shows, and which pictures it trains on."""

from __future__ import annotations

import json
import re
import shutil

import cv2
import numpy as np
import pytest
from train_options import RD4AD


def log_lines(text):
    return [re.sub(r"\d\.\d{4}  \d+:\d\d", "L  T", line) for line in text.splitlines() if line]


def test_a_log_gets_a_line_per_student_with_loss_and_time_left(train, parts, tmp_path):
    result = train(parts, steps=10)
    assert result.exit_code == 0, result.err
    assert "40 pictures of good parts; all are trained on, and all count for the threshold." in result.out
    assert "Choosing 1000 prototypes for each of 2 maps." in result.out
    assert re.search(r"Trained: 10 steps; last loss \d\.\d{4}\. Next: edgerd export .*run -o BUNDLE", result.out)
    assert log_lines(result.err)[1:] == [
        "student 1 of 3  step 10 of 30  loss L  T left",
        "student 2 of 3  step 20 of 30  loss L  T left",
        "student 3 of 3  step 30 of 30  loss L  T left",
    ]


@pytest.mark.parametrize(("n", "is_warned"), [(40, True), (98, True), (99, False)])
def test_fewer_pictures_than_settle_the_usual_rate_are_said_to_be_few(train, parts, tmp_path, n, is_warned):
    for index in range(n):
        picture = cv2.imread(str(parts / "train" / "good" / f"{index % 40:03d}.png"))
        picture[0, 0] = index
        cv2.imwrite(str(tmp_path / f"{index}.png"), picture)
    result = train(tmp_path, "--method", "prototypes", method=(), steps=None)
    assert result.exit_code == 0, result.err
    warning = f"{n} pictures cannot settle a false-alarm rate of 1 %: that takes 99"
    assert (warning in result.err.replace("\n", " ")) is is_warned


def test_a_log_of_the_papers_method_gets_a_line_per_epoch(train, parts, tmp_path):
    result = train(parts, method=RD4AD, steps=10)
    assert result.exit_code == 0, result.err
    assert "32 pictures to train on, 8 held out" in result.out
    assert re.search(
        r"Trained: 2 epochs, 10 steps; last loss \d\.\d{4}\. Next: edgerd export .*run -o BUNDLE", result.out
    )
    assert log_lines(result.err) == [
        "epoch 1 of 3  step 4 of 10  loss L  T left",
        "epoch 2 of 3  step 8 of 10  loss L  T left",
        "epoch 3 of 3  step 10 of 10  loss L  T left",
    ]


def test_a_terminal_gets_a_bar(train, parts, monkeypatch):
    monkeypatch.setenv("FORCE_COLOR", "1")  # rich takes this for a terminal
    result = train(parts)
    assert "student 3" in result.err  # a fast machine draws nothing before the last
    assert "6/6" in result.err
    assert "step 2 of 6" not in result.err


def test_prototypes_alone_are_chosen_exported_and_shown(train, edgerd, parts, tmp_path):
    result = train(parts, "--method", "prototypes", method=(), steps=None)
    assert result.exit_code == 0, result.err
    assert f"Done. Next: edgerd export {tmp_path / 'run'} -o BUNDLE" in result.out
    exported = edgerd("export", tmp_path / "run", "-o", tmp_path / "bundle")
    assert exported.exit_code == 0, exported.err
    shown = edgerd("show", tmp_path / "bundle")
    assert "lite0, 2000 prototypes" in shown.out
    assert "prototypes, seed 0" in shown.out
    assert edgerd("inspect", tmp_path / "bundle", parts / "test" / "good" / "000.png").exit_code == 0


def test_a_defect_among_the_good_pictures_that_was_missed_is_named(train, own_parts):
    spoilt = own_parts / "train" / "good" / "020.png"
    picture = cv2.imread(str(own_parts / "test" / "missing_hole" / "000.png"))
    picture[0, 0] += 1  # not the same picture
    cv2.imwrite(str(spoilt), picture)
    result = train(own_parts, "--method", "prototypes", "--image-size", 64, method=(), steps=None)
    assert result.exit_code == 0, result.err
    assert re.search(rf"{spoilt} scores \d\.\d\d, far above the others", result.err.replace("\n", " "))


def test_pictures_of_every_kind_and_size_train_together(train, own_parts, tmp_path):
    good = own_parts / "train" / "good"
    colour = cv2.imread(str(good / "000.png"))
    cv2.imwrite(str(good / "000.png"), cv2.cvtColor(colour, cv2.COLOR_BGR2GRAY))
    cv2.imwrite(str(good / "001.png"), cv2.imread(str(good / "001.png")).astype(np.uint16) * 257)
    cv2.imwrite(str(good / "002.png"), cv2.cvtColor(cv2.imread(str(good / "002.png")), cv2.COLOR_BGR2BGRA))
    cv2.imwrite(str(good / "003.png"), cv2.resize(cv2.imread(str(good / "003.png")), (150, 110)))
    cv2.imwrite(str(good / "004.jpg"), cv2.imread(str(good / "004.png")))
    result = train(good)
    assert result.exit_code == 0, result.err
    assert "41 pictures of good parts" in result.out


def test_a_truncated_picture_is_named_left_out_and_counted(train, own_parts, tmp_path):
    broken = own_parts / "train" / "good" / "020.png"
    broken.write_bytes(broken.read_bytes()[:500])
    result = train(own_parts)
    assert result.exit_code == 0
    assert "39 pictures of good parts, 1 left out (--strict stops at the first); all are trained on" in result.out
    assert f"left out {broken}: " in result.err
    assert list(json.loads((tmp_path / "run" / "run.json").read_text())["skipped"]) == [str(broken)]
    assert train(own_parts, "--resume", steps=3).exit_code == 0


def test_region_and_tiles_are_kept_in_the_run(train, parts, tmp_path):
    assert train(parts, "--region", "8,8,80,64", "--tiles", "1x2:0.1").exit_code == 0
    spec = json.loads((tmp_path / "run" / "run.json").read_text())["config"]["preprocess"]
    assert spec["region"] == {"x": 8, "y": 8, "width": 80, "height": 64}
    assert spec["tiles"] == {"rows": 1, "columns": 2, "overlap": 0.1}


def test_what_is_not_used_is_named_once(train, own_parts):
    deeper = own_parts / "train" / "good" / "monday"
    deeper.mkdir()
    shutil.move(own_parts / "train" / "good" / "000.png", deeper)
    (own_parts / "train" / "good" / "001.png").unlink()
    (own_parts / "train" / "good" / "001.png").symlink_to("/nas/001.png")
    result = train(own_parts)
    assert result.exit_code == 0, result.err
    assert result.err.count(f"1 picture in {deeper}: not used") == 1
    assert "001.png cannot be read: No such file" in result.err
    assert "38 pictures of good parts, 1 left out" in result.out
    assert train(own_parts, "--strict", out=own_parts / "strict").exit_code == 2
