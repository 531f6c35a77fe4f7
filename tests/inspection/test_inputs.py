"""What people have becomes a frame, and what is no picture is refused with the advice that fits."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from edgerd.data.pictures import write_png
from edgerd.errors import InputError, PictureError, SpecError
from edgerd.inspection.inputs import frame_from
from edgerd.types import Frame, PixelFormat

BGR = np.random.default_rng(0).integers(0, 256, (12, 16, 3), np.uint8)
GREY = BGR[..., 1].copy()


@pytest.fixture(scope="module")
def torch():
    return pytest.importorskip("torch", exc_type=ImportError)


@pytest.fixture(scope="module")
def pil():
    return pytest.importorskip("PIL.Image")


def test_a_frame_of_a_camera_is_taken_without_a_copy():
    assert frame_from(BGR).data is BGR
    frame = Frame(GREY, PixelFormat.GREY, number=3)
    assert frame_from(frame) is frame


@given(
    arrays.arrays(np.uint8, arrays.array_shapes(min_dims=2, max_dims=2, max_side=9)),
    st.sampled_from([1, -1]),
    st.sampled_from([1, -1]),
)
def test_every_array_of_grey_levels_is_grey_however_it_lies_in_memory(grey, vertical, horizontal):
    view = grey[::vertical, ::horizontal]
    for picture in (view, view[..., None], np.asfortranarray(view)):
        frame = frame_from(picture)
        assert frame.pixel_format is PixelFormat.GREY
        np.testing.assert_array_equal(frame.data, view)


@pytest.mark.parametrize("of", [str, Path])
def test_a_path_is_read_as_in_training(tmp_path, of):
    file = tmp_path / "part ü.png"
    write_png(file, BGR)
    frame = frame_from(of(file))
    np.testing.assert_array_equal(frame.data, BGR)
    assert frame.source == str(file)
    with pytest.raises(PictureError, match=r"missing\.png"):
        frame_from(of(tmp_path / "missing.png"))


def test_a_pil_picture_is_rgb(pil):
    frame = frame_from(pil.fromarray(BGR[..., ::-1]))
    np.testing.assert_array_equal(frame.data, BGR)
    grey = frame_from(pil.fromarray(GREY))
    assert grey.pixel_format is PixelFormat.GREY
    np.testing.assert_array_equal(grey.data, GREY)


def test_a_pil_picture_of_a_file_is_the_file(pil, tmp_path):
    file = tmp_path / "part.png"
    cv2.imwrite(str(file), BGR)
    with pil.open(file) as picture:
        np.testing.assert_array_equal(frame_from(picture).data, frame_from(file).data)


@pytest.mark.parametrize(
    ("mode", "hint"),
    [
        ("RGBA", "drops the transparency"),
        ("LA", "drops the transparency"),
        ("P", 'picture.convert("RGB")'),
        ("1", 'picture.convert("RGB")'),
        ("CMYK", 'picture.convert("RGB")'),
        ("I;16", "16 bits"),
        ("F", "16 bits"),
    ],
)
def test_a_pil_picture_of_another_mode_is_refused(pil, mode, hint):
    with pytest.raises(SpecError, match=mode) as error:
        frame_from(pil.new(mode, (4, 3)))
    assert hint in error.value.hint


def test_a_pil_picture_that_is_stored_turned_is_refused(pil, tmp_path):
    exif = pil.Exif()
    exif[274] = 6
    pil.fromarray(BGR).save(tmp_path / "phone.jpg", exif=exif)
    with pil.open(tmp_path / "phone.jpg") as picture, pytest.raises(SpecError, match="orientation is 6") as error:
        frame_from(picture)
    assert "exif_transpose" in error.value.hint


def test_a_tensor_is_rgb_whichever_way_its_channels_lie(torch):
    rgb = torch.from_numpy(BGR[..., ::-1].copy())
    for tensor in (rgb, rgb.permute(2, 0, 1), rgb.permute(2, 0, 1).contiguous()):
        frame = frame_from(tensor)
        assert frame.pixel_format is PixelFormat.BGR
        np.testing.assert_array_equal(frame.data, BGR)


def test_a_tensor_of_one_channel_is_grey(torch):
    tensor = torch.from_numpy(GREY)
    for each in (tensor, tensor[None], tensor[..., None]):
        frame = frame_from(each)
        assert frame.pixel_format is PixelFormat.GREY
        np.testing.assert_array_equal(frame.data, GREY)


@pytest.mark.parametrize(
    ("make", "what", "hint"),
    [
        (lambda t: t.rand(3, 8, 9), "torch.float32 tensor", "(picture * 255).round().to(torch.uint8)"),
        (lambda t: t.rand(3, 8, 9, requires_grad=True), "torch.float32 tensor", "(picture * 255).round()"),
        (lambda t: t.rand(3, 8, 9).bfloat16(), "torch.bfloat16 tensor", "(picture * 255).round()"),
        (lambda t: t.linspace(-2, 2, 216).reshape(3, 8, 9), "from -2 to 2", "Undo the normalisation"),
        (lambda t: t.zeros(2, 3, 8, 9, dtype=t.uint8), "batch of 2", "one by one"),
        (lambda t: t.zeros(4, 8, 9, dtype=t.uint8), "fourth channel", "BGRA2BGR"),
        (lambda t: t.zeros(5, 8, 9, dtype=t.uint8), "(5, 8, 9)", "three colours"),
        (lambda t: t.zeros(3, 0, 9, dtype=t.uint8), "empty", "cropped"),
    ],
)
def test_another_tensor_is_refused(torch, make, what, hint):
    with pytest.raises(SpecError) as error:
        frame_from(make(torch))
    assert what in error.value.what
    assert hint in error.value.hint


@pytest.mark.parametrize(
    ("picture", "what", "hint"),
    [
        (BGR / np.float32(255), "float32 array has values from 0", "(picture * 255).round().astype(np.uint8)"),
        (BGR.astype(float), "float64 array", "picture.round().astype(np.uint8)"),
        (BGR / 64 - 2, "float64 array", "Undo the normalisation"),
        (np.full((4, 4, 3), np.nan), "nan", "not finite"),
        (BGR.astype(np.int64), "int64 array", "picture.astype(np.uint8)"),
        (BGR.astype(np.uint16) * 257, "uint16 array", "(picture / 257).round().astype(np.uint8)"),
        (np.full((4, 4), 1e9), "float64 array", "white is 255"),
        (GREY > 127, "bool array", "(picture * 255)"),
        (np.array([["a"]]), "does not hold grey levels", "np.asarray"),
        (np.array(None), "does not hold grey levels", "np.asarray"),
        (BGR[None], "batch of 1", "one by one"),
        (np.dstack([BGR, GREY]), "fourth channel", "COLOR_BGRA2BGR"),
        (BGR.transpose(2, 0, 1), "channels come first", "np.transpose(frame, (1, 2, 0))"),
        (BGR[..., :2], "(12, 16, 2)", "PixelFormat.YUYV"),
        (np.zeros(100, np.uint8), "(100,)", "cv2.imdecode"),
        (np.zeros((), np.uint8), "()", "three colours"),
        (BGR[:0], "empty", "cropped"),
        (np.zeros((0, 4), np.float32), "empty", "cropped"),
    ],
)
def test_another_array_is_refused(picture, what, hint):
    with pytest.raises(SpecError) as error:
        frame_from(picture)
    assert what in error.value.what
    assert hint in error.value.hint


@pytest.mark.parametrize(
    ("value", "what", "hint"),
    [
        (None, "None was given", "cap.read()"),
        ((False, None), "A flag and a picture", "apart: ok, frame = cap.read()"),
        ((True, BGR), "A flag and a picture", "apart: ok, frame = cap.read()"),
        ([BGR, BGR], "(list)", "one by one"),
        (iter([BGR]), "(list_iterator)", "one by one"),
        (b"\x89PNG", "(bytes)", "cv2.imdecode"),
        (SimpleNamespace(__array__=lambda: BGR), "type SimpleNamespace", "np.asarray"),
        (7, "type int", "cv2.imread"),
    ],
)
def test_what_is_no_picture_is_refused(value, what, hint):
    with pytest.raises(PictureError) as error:
        frame_from(value)
    assert what in error.value.what
    assert hint in error.value.hint


@given(
    arrays.arrays(
        st.sampled_from([np.uint8, np.uint16, np.float32, np.bool_]),
        arrays.array_shapes(min_dims=0, max_dims=5, min_side=0, max_side=5),
    )
)
def test_any_array_is_a_whole_frame_or_an_error_with_a_hint(array):
    try:
        frame = frame_from(array)
    except InputError as error:
        told = error.expected and error.hint
    else:
        told = frame.data.dtype == np.uint8 and frame.data.size == array.size
        told = told and frame.data.shape == frame.pixel_format.shape(*frame.data.shape[:2])
    assert told
