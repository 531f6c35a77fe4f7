"""`calibration/`: the scripts that a person types, their exit codes and what they print."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import cv2
import numpy as np
import pytest

from edgerd.data.pictures import read_picture, write_png
from edgerd.data.samples import write_dataset

CALIBRATION = Path(__file__).parents[1] / "calibration"


def script(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"calibration_{name}", CALIBRATION / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def good(tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("parts")
    write_dataset(root, "ring", n_train=30, n_test_good=1, n_per_defect=1, size=96, seed=7)
    return root / "train" / "good"


def test_collect_then_judge(bundle, good, tmp_path, capsys):
    folder, plot = tmp_path / "set", tmp_path / "judged.png"
    assert script("collect").main([str(bundle.path), str(good), "-o", str(folder), "--pictures", "24"]) == 0
    printed = capsys.readouterr().out
    assert f"24 pictures in {folder}, of 30 frames seen." in printed
    assert f"Next: python calibration/judge.py {bundle.path} {folder}" in printed
    code = script("judge").main([str(bundle.path), str(folder), "--plot", str(plot)])
    printed = capsys.readouterr().out
    assert (code, printed.splitlines()[-1]) in ((0, "Verdict: enough"), (5, "Verdict: more pictures needed"))
    assert "24 pictures, held against 10 other good ones:" in printed
    assert cv2.imread(str(plot)).shape == (400, 1680, 3)


def test_judge_without_a_folder_judges_the_bundles_own_pictures(bundle, tmp_path):
    command = [sys.executable, CALIBRATION / "judge.py", bundle.path, "--plot", tmp_path / "judged.png"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines()[-1] == "Verdict: enough"


def test_judge_names_a_defect_and_fails(bundle, good, tmp_path, capsys):
    for file in sorted(good.iterdir())[:12]:
        write_png(tmp_path / "set" / file.name, read_picture(file))
    spoiled = read_picture(good / "000.png")
    spoiled[24:72, 24:72] = np.random.default_rng(0).integers(0, 255, (48, 48, 3), np.uint8)
    write_png(tmp_path / "set" / "spoiled.png", spoiled)
    plot = str(tmp_path / "judged.png")
    assert script("judge").main([str(bundle.path), str(tmp_path / "set"), "--plot", plot]) == 5
    printed = capsys.readouterr().out
    assert "1 of 13 pictures have scores above the threshold" in printed
    assert "spoiled.png" in printed
    assert printed.splitlines()[-1] == "Verdict: these pictures are suspects"


def test_a_bundle_that_cannot_be_used_exits_with_3(bundle, good, tmp_path, capsys):
    bare = bundle.save_with(bundle.manifest.model_copy(update={"ranges": (), "holdout": ()}))
    for arguments in ([], [str(good)]):
        assert script("judge").main([str(bare.path), *arguments, "--plot", str(tmp_path / "judged.png")]) == 3
        assert "without --no-pictures" in capsys.readouterr().err
    assert "3: the bundle cannot" in script("judge").__doc__


def test_what_cannot_be_used_exits_with_2_and_says_what_to_do(bundle, tmp_path, capsys):
    (tmp_path / "empty").mkdir()
    assert script("judge").main([str(bundle.path), str(tmp_path / "empty")]) == 2
    assert "There are no pictures in" in capsys.readouterr().err
    assert script("collect").main([str(bundle.path), str(tmp_path / "empty"), "-o", str(tmp_path / "set")]) == 2
    assert "There are no pictures at" in capsys.readouterr().err
    assert not (tmp_path / "judged.png").exists()
