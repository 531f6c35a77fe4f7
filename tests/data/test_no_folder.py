"""What is said of a path that is no folder of pictures: what it is, and a command that works."""

from __future__ import annotations

import shlex
import zipfile

import numpy as np
import pytest

from edgerd.data.dataset import Dataset
from edgerd.data.pictures import write_png
from edgerd.errors import DatasetError

openers = pytest.mark.parametrize("open_dataset", [Dataset.open, Dataset.open_good, Dataset.open_labelled])
ODD = "teile [neu] a's"


def refused(open_dataset, path):
    with pytest.raises(DatasetError) as caught:
        open_dataset(path)
    return caught.value


@openers
@pytest.mark.parametrize("suffix", [".mp4", ".AVI", ".mkv"])
def test_a_video(tmp_path, open_dataset, suffix):
    video = tmp_path / f"{ODD}{suffix}"
    video.write_bytes(b"video")
    error = refused(open_dataset, video)
    assert error.what == f"{video} is a video."
    assert shlex.split(error.hint.partition(" takes ")[0]) == ["edgerd", "frames", str(video), "-o", "DIR"]


@openers
def test_one_picture(tmp_path, open_dataset):
    (tmp_path / ODD).mkdir()
    picture = tmp_path / ODD / "part.png"
    write_png(picture, np.zeros((8, 8, 3), np.uint8))
    error = refused(open_dataset, picture)
    assert error.what == f"{picture} is one picture."
    assert shlex.quote(str(tmp_path / ODD)) in error.hint
    assert f"edgerd inspect BUNDLE {shlex.quote(str(picture))}" in error.hint


@openers
def test_an_archive(tmp_path, open_dataset):
    with zipfile.ZipFile(tmp_path / "parts.zip", "w") as archive:
        archive.writestr("0.png", b"")
    error = refused(open_dataset, tmp_path / "parts.zip")
    assert error.what.endswith("parts.zip is an archive.")
    assert f"unzip {tmp_path / 'parts.zip'} -d DIR" in error.hint


@openers
def test_a_file_of_another_kind(tmp_path, open_dataset):
    (tmp_path / "list.txt").write_text("a.png")
    assert refused(open_dataset, tmp_path / "list.txt").what.endswith("list.txt is a file, not a folder.")


@openers
@pytest.mark.parametrize("typed", ["rtsp://operator:secret@10.0.0.3/live", "rtsp:/operator:secret@10.0.0.3/live"])
def test_the_address_of_a_camera(tmp_path, open_dataset, typed):
    error = refused(open_dataset, tmp_path.__class__(typed))
    assert "rtsp://operator:***@10.0.0.3/live is the address of a camera." in error.what
    assert "edgerd frames 'rtsp://operator:***@10.0.0.3/live' -o DIR" in error.hint
    assert "secret" not in str(error)


@openers
def test_a_device(tmp_path, open_dataset):
    error = refused(open_dataset, tmp_path.__class__("/dev/null"))
    assert "is a device" in error.what
    assert "edgerd frames /dev/null -o DIR" in error.hint


@openers
def test_nothing(tmp_path, open_dataset):
    assert refused(open_dataset, tmp_path / "none").what == f"There is no folder at {tmp_path / 'none'}."


def test_a_folder_with_nothing_but_a_video(tmp_path):
    (tmp_path / "line.mp4").write_bytes(b"video")
    error = refused(Dataset.open_good, tmp_path)
    assert f"edgerd frames {tmp_path / 'line.mp4'} -o DIR" in error.hint
