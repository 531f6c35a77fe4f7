"""Pictures on disk as a camera."""

from __future__ import annotations

import shlex
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgerd.cameras.files import FilesCamera
from edgerd.cameras.protocol import UnreadablePictureError
from edgerd.errors import DatasetError
from edgerd.paths import natural_key


def levels(camera: FilesCamera) -> list[int]:
    return [int(frame.data[0, 0, 0]) for frame in iter(camera.read, None) if frame]


def test_folder_in_natural_order_as_bgr(picture_folder: Path) -> None:
    camera = FilesCamera(str(picture_folder))
    assert camera.n_frames == 12
    first = camera.read()
    assert first is not None
    assert first.data.shape == (8, 9, 3)
    assert first.source == str(picture_folder / "part1.png")
    assert levels(camera) == [10 * number for number in range(2, 13)]


def test_hidden_files_are_no_parts(picture_folder: Path) -> None:
    (picture_folder / "._part1.png").write_bytes(b"what macOS leaves on a stick")
    assert FilesCamera(str(picture_folder)).n_frames == 12


def test_glob(picture_folder: Path) -> None:
    assert levels(FilesCamera(str(picture_folder / "part1?.png"))) == [100, 110, 120]


def test_glob_through_folders(picture_folder: Path) -> None:
    assert levels(FilesCamera(str(picture_folder.parent / "**" / "part2.*"))) == [20]


@pytest.mark.parametrize("name", ["parts[neu]", "teile *", "a?", "[!x]"])
def test_brackets_in_the_name_of_a_folder_mean_themselves(picture_folder: Path, name: str) -> None:
    folder = picture_folder.rename(picture_folder.parent / name)
    assert levels(FilesCamera(str(folder / "part1?.png"))) == [100, 110, 120]
    assert levels(FilesCamera(str(folder.parent / "**" / "part2.*"))) == [20]
    with pytest.raises(DatasetError) as caught:
        FilesCamera(str(folder.parent))
    advised = shlex.split(str(caught.value.hint).partition("--camera ")[2])
    assert len(levels(FilesCamera(*advised))) == 12


def test_a_link_that_leads_nowhere_is_an_unreadable_picture(picture_folder: Path) -> None:
    (picture_folder / "part13.png").symlink_to("/nas/gone/13.png")
    camera = FilesCamera(str(picture_folder))
    assert camera.n_frames == 13
    for _ in range(12):
        assert camera.read() is not None
    with pytest.raises(UnreadablePictureError, match=r"part13\.png"):
        camera.read()


def test_one_picture(picture_folder: Path) -> None:
    assert levels(FilesCamera(f"files://{picture_folder / 'part3.png'}")) == [30]


def test_folder_does_not_go_into_folders_but_says_how(picture_folder: Path) -> None:
    with pytest.raises(DatasetError, match=r"\*\*"):
        FilesCamera(str(picture_folder.parent))


def test_glob_without_a_match_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="There are no pictures at"):
        FilesCamera(str(tmp_path / "*.png"))


def test_unreadable_picture_counts_as_a_frame_and_the_rest_follows(picture_folder: Path) -> None:
    truncated = picture_folder / "part2.png"
    truncated.write_bytes(truncated.read_bytes()[:-20])
    camera = FilesCamera(str(picture_folder / "part[1-3].png"))
    assert camera.read() is not None
    with pytest.raises(UnreadablePictureError, match=r"part2\.png") as caught:
        camera.read()
    assert caught.value.frame.number == 1
    assert caught.value.frame.source == str(truncated)
    assert caught.value.frame.captured_at > 0
    third = camera.read()
    assert third is not None
    assert third.number == 2
    assert camera.read() is None


def test_picture_that_was_deleted_meanwhile_is_one_unreadable_picture(picture_folder: Path) -> None:
    camera = FilesCamera(str(picture_folder))
    (picture_folder / "part1.png").unlink()
    with pytest.raises(UnreadablePictureError, match=r"part1\.png"):
        camera.read()
    assert levels(camera) == [10 * number for number in range(2, 13)]


def test_pictures_may_have_any_size(tmp_path: Path) -> None:
    for number, size in enumerate([(8, 9), (30, 20)]):
        cv2.imwrite(str(tmp_path / f"{number}.png"), np.zeros((*size, 3), np.uint8))
    camera = FilesCamera(str(tmp_path))
    assert not camera.fixed_size
    assert [frame.data.shape for frame in iter(camera.read, None) if frame] == [(8, 9, 3), (30, 20, 3)]


@given(st.lists(st.text(st.sampled_from("aB0123456789²٣_."), min_size=1), min_size=2))
def test_natural_order_is_total(names: list[str]) -> None:
    keys = [natural_key(Path(name)) for name in names]
    assert sorted(sorted(keys), reverse=True) == sorted(keys, reverse=True)


def test_natural_order_counts() -> None:
    names = ["b1.png", "a10.png", "A2.png", "a2.png", "a02.png"]
    assert [str(path) for path in sorted(map(Path, names), key=natural_key)] == [
        "A2.png", "a02.png", "a2.png", "a10.png", "b1.png"
    ]  # fmt: skip
