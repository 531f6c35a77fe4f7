"""JPEG files whose container is complete, but whose picture data is not."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from edgerd.data.jpeg import picture_data_fault
from edgerd.data.pictures import read_picture
from edgerd.errors import PictureError

NOISE = np.random.default_rng(0).integers(0, 256, (77, 93, 3), np.uint8)


def saved(mode: str = "RGB", picture: np.ndarray = NOISE, **options: object) -> bytes:
    file = io.BytesIO()
    Image.fromarray(picture).convert(mode).save(file, "JPEG", **options)
    return file.getvalue()


def picture_data(content: bytes) -> int:
    """The position at which the scan data begins."""
    return content.index(b"\xff\xda") + 14


@settings(deadline=None)
@given(st.data(), st.sampled_from([{}, {"quality": 95}, {"subsampling": 0}, {"restart_marker_blocks": 3}]))
def test_a_jpeg_cut_and_ended_again_is_damaged(data: st.DataObject, options: dict[str, object]) -> None:
    """A recorder that was stopped leaves such files, with an end marker. A cut in the last few blocks is not found."""
    content = saved(**options)
    cut = data.draw(st.integers(picture_data(content), len(content) * 9 // 10))
    assert picture_data_fault(content[:cut] + b"\xff\xd9")


def test_a_damaged_picture_is_named(tmp_path: Path) -> None:
    content = saved()
    (tmp_path / "part.jpg").write_bytes(content[: len(content) * 2 // 3] + b"\xff\xd9")
    with pytest.raises(PictureError, match=r"part\.jpg is damaged or was cut short: a part of its picture data"):
        read_picture(tmp_path / "part.jpg")


@pytest.mark.parametrize("mode", ["L", "RGB", "CMYK", "YCbCr"])
@pytest.mark.parametrize(
    "options",
    [
        {}, {"progressive": True}, {"subsampling": 0}, {"subsampling": 1}, {"optimize": True}, {"quality": 1},
        {"quality": 100}, {"restart_marker_blocks": 3}, {"icc_profile": bytes(200_000)},
        {"comment": b"x\xff\xd9\xff\xc9y"},
    ],
)  # fmt: skip
def test_whole_jpegs_of_every_kind_are_whole(mode: str, options: dict[str, object]) -> None:
    assert picture_data_fault(saved(mode, **options)) == ""


@pytest.mark.parametrize("size", [(1, 1), (8, 8), (3000, 3)])
def test_whole_jpegs_of_every_size_are_whole(size: tuple[int, int]) -> None:
    assert picture_data_fault(saved(picture=np.zeros((*size, 3), np.uint8))) == ""


@given(st.binary(max_size=200))
def test_of_anything_else_nothing_is_said(content: bytes) -> None:
    assert picture_data_fault(content) == "" or content.startswith(b"\xff\xd8")
