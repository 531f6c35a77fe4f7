"""A calibration set from a camera: different good pictures are kept, suspects are put aside."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from edgerd.calibration.collect import COLLECTED_FILE, SUSPECTS_FOLDER, Collected, collect
from edgerd.data.pictures import read_picture, write_png
from edgerd.data.samples import write_dataset
from edgerd.errors import InputError


@pytest.fixture(scope="module")
def line(tmp_path_factory) -> Path:
    """What a line shows: 30 good parts, one in less light, each twice; a defect; a black and a broken picture."""
    root = tmp_path_factory.mktemp("line")
    write_dataset(root / "made", "ring", n_train=15, n_test_good=1, n_per_defect=1, size=96, seed=7)
    for index, file in enumerate(sorted((root / "made" / "train" / "good").iterdir())):
        picture = read_picture(file)
        if index == 3:
            picture = (picture * 0.65).astype(np.uint8)
        for turn in range(2):
            write_png(root / "seen" / f"{15 * turn + index:03}.png", picture)
    spoiled = read_picture(root / "seen" / "000.png")
    spoiled[24:72, 24:72] = np.random.default_rng(0).integers(0, 255, (48, 48, 3), np.uint8)
    write_png(root / "seen" / "900.png", spoiled)
    write_png(root / "seen" / "901.png", np.zeros((96, 96, 3), np.uint8))
    (root / "seen" / "902.png").write_bytes(b"broken")
    return root / "seen"


def test_different_good_pictures_are_kept_and_suspects_put_aside(bundle, line, tmp_path):
    found = collect(bundle, str(line), tmp_path / "set", 10)
    files = {file.name for file in (tmp_path / "set").glob("*.png")}
    assert files == {picture.file for picture in found.pictures}
    sources = [int(Path(picture.source).stem) for picture in found.pictures]
    assert len({source % 15 for source in sources}) == 10  # no part twice
    assert 3 in {source % 15 for source in sources}  # the rare light is there
    (suspect,) = found.suspects
    assert Path(suspect.source).name == "900.png"
    assert (tmp_path / "set" / SUSPECTS_FOLDER / Path(suspect.file).name).is_file()
    assert found.left_out == {"black frame": 1, "unreadable": 1}
    assert found.n_seen == 33
    assert Collected.model_validate_json((tmp_path / "set" / COLLECTED_FILE).read_text()) == found


def test_pictures_that_the_gate_is_judged_on_are_not_taken(bundle, parts, tmp_path):
    found = collect(bundle, str(parts / "train" / "good"), tmp_path / "set", 40)
    assert found.left_out == {"held out for gate and threshold": len(bundle.manifest.holdout)}
    assert found.n_seen == 40


def test_whole_frames_are_written(bundle, line, tmp_path):
    found = collect(bundle, str(line), tmp_path / "set", 8)
    kept = found.pictures[0]
    np.testing.assert_array_equal(read_picture(tmp_path / "set" / kept.file), read_picture(Path(kept.source)))


def test_a_folder_that_holds_something_is_left_alone(bundle, line, tmp_path):
    write_png(tmp_path / "set" / "mine.png", np.zeros((8, 8, 3), np.uint8))
    with pytest.raises(InputError, match="exists already"):
        collect(bundle, str(line), tmp_path / "set", 8)
    assert [file.name for file in (tmp_path / "set").iterdir()] == ["mine.png"]


def test_too_few_different_pictures_are_an_error_and_the_record_stays(bundle, line, tmp_path):
    with pytest.raises(InputError, match=r"gave \d different good pictures"):
        collect(bundle, f"{line}/00[0-4].png", tmp_path / "set", 8)
    assert len(json.loads((tmp_path / "set" / COLLECTED_FILE).read_text())["pictures"]) == 5


def test_fewer_than_ranges_need_cannot_be_asked_for(bundle, line, tmp_path):
    with pytest.raises(InputError, match="2 pictures are too few"):
        collect(bundle, str(line), tmp_path / "set", 2)


def test_a_live_camera_is_watched_for_the_minutes_given(bundle, tmp_path):
    found = collect(bundle, "sample://ring?size=96&seed=3&live=1&fps=60", tmp_path / "set", 8, minutes=0.03)
    assert len(found.pictures) == 8
    assert found.n_seen > 8
