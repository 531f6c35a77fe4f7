"""`edgerd train`: the pictures that it is given, and what it says of them."""

from __future__ import annotations

import json
import re
import shutil

import cv2
import numpy as np
import pytest
from train_parts import RD4AD


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


def test_a_defect_among_the_good_pictures_that_was_missed_is_named(train, own_parts):
    spoilt = own_parts / "train" / "good" / "020.png"
    picture = cv2.imread(str(own_parts / "test" / "missing_hole" / "000.png"))
    picture[0, 0] += 1  # not the same picture
    cv2.imwrite(str(spoilt), picture)
    result = train(own_parts, "--method", "prototypes", "--image-size", 64, method=(), steps=None)
    assert result.exit_code == 0, result.err
    assert re.search(rf"{spoilt} scores \d\.\d\d, far above the others", result.err.replace("\n", " "))


def test_a_folder_without_pictures(train, tmp_path):
    (tmp_path / "empty").mkdir()
    result = train(tmp_path / "empty")
    assert result.exit_code == 2
    assert "There are no pictures in" in result.err
    assert train(tmp_path / "nowhere").exit_code == 2


def test_one_picture(train, parts, tmp_path):
    folder = tmp_path / "one"
    folder.mkdir()
    shutil.copy(parts / "train" / "good" / "000.png", folder)
    result = train(folder)
    assert result.exit_code == 2
    assert "only one picture" in result.err


def test_too_few_pictures_say_how_many_there_must_be(train, parts, tmp_path):
    folder = tmp_path / "ten"
    folder.mkdir()
    for index in range(10):
        shutil.copy(parts / "train" / "good" / f"{index:03d}.png", folder)
    result = train(folder, method=RD4AD)
    assert result.exit_code == 2
    assert "16 at least" in result.err
    assert not (tmp_path / "run").exists()


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


def test_strict_stops_at_a_truncated_picture(train, own_parts, tmp_path):
    broken = own_parts / "train" / "good" / "020.png"
    broken.write_bytes(broken.read_bytes()[:500])
    result = train(own_parts, "--strict")
    assert result.exit_code == 2
    assert str(broken) in result.err
    assert not (tmp_path / "run").exists()


def test_a_defect_among_the_good_pictures_is_named(train, own_parts):
    twin = own_parts / "train" / "good" / "zzz.png"
    shutil.copy(own_parts / "test" / "scratch" / "000.png", twin)
    result = train(own_parts)
    assert result.exit_code == 2
    assert f"{twin} is the same picture as" in result.err


def test_pictures_are_looked_for_before_weights_are_fetched(edgerd, tmp_path, monkeypatch):
    monkeypatch.setattr("edgerd.models.weights.load_teacher", lambda *args: pytest.fail("weights were fetched"))
    result = edgerd("train", tmp_path / "nowhere", "-o", tmp_path / "run", "--teacher", "resnet18")
    assert result.exit_code == 2
    assert "There is no folder" in result.err


def test_the_folder_above_good_and_test_has_an_error_with_the_command(edgerd, own_parts, tmp_path):
    (own_parts / "train" / "good").rename(own_parts / "good")
    (own_parts / "train").rmdir()
    result = edgerd("train", own_parts, "-o", tmp_path / "run")
    assert result.exit_code == 2
    assert "there are pictures in good, " in result.err
    assert f"edgerd train {own_parts / 'good'} -o {tmp_path / 'run'}\n" in result.err


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
