"""Frames of every pixel format become BGR, as ITU-R BT.601 and BT.709 define it."""

import cv2
import numpy as np
import pytest
from prepared_parts import noise, spec_of

from edgerd.data.preprocess import (
    bgr_from_frame,
)
from edgerd.errors import SpecError
from edgerd.types import Frame, PixelFormat


class TestColour:
    def test_bgr_is_passed_on_without_a_copy(self):
        data = noise(10, 12, 3)
        assert bgr_from_frame(Frame(data), spec_of()) is data

    def test_grey_is_repeated(self):
        data = noise(10, 12)
        bgr = bgr_from_frame(Frame(data, PixelFormat.GREY), spec_of())
        assert all(np.array_equal(bgr[..., channel], data) for channel in range(3))

    @pytest.mark.parametrize("standard", ["bt601", "bt709"])
    @pytest.mark.parametrize("colour_range", ["limited", "full"])
    @pytest.mark.parametrize("pixel_format", [PixelFormat.NV12, PixelFormat.YUYV])
    def test_yuv_is_within_1_of_the_standard(self, standard, colour_range, pixel_format):
        height, width = 130, 256  # not a multiple of the strips it is converted in
        luma = noise(height, width, seed=1)
        rows = height // 2 if pixel_format is PixelFormat.NV12 else height
        u, v = noise(rows, width // 2, seed=2), noise(rows, width // 2, seed=3)
        if pixel_format is PixelFormat.NV12:
            data = np.concatenate([luma, np.stack([u, v], axis=-1).reshape(rows, width)])
        else:
            data = np.stack([luma, np.stack([u, v], axis=-1).reshape(height, width)], axis=-1)
        spec = spec_of(colour_standard=standard, colour_range=colour_range)
        bgr = bgr_from_frame(Frame(data, pixel_format), spec)
        expected = reference_bgr(luma, u, v, standard, colour_range)
        error = np.abs(bgr - expected)
        assert error.max() < 1.0  # before rounding
        assert error.mean() < 0.3

    def test_black_white_and_grey_are_exact(self):
        for colour_range, levels in (("limited", (16, 235)), ("full", (0, 255))):
            for level, expected in zip(levels, (0, 255), strict=True):
                data = np.full((6, 4), 128, np.uint8)
                data[:4] = level
                frame = Frame(data, PixelFormat.NV12)
                assert (bgr_from_frame(frame, spec_of(colour_range=colour_range)) == expected).all()

    def test_bt601_limited_is_what_opencv_has(self):
        data = noise(96, 64)
        data[:64] = data[:64].clip(16, 235)  # below, OpenCV takes 16
        ours = bgr_from_frame(Frame(data, PixelFormat.NV12), spec_of())
        assert np.abs(ours.astype(int) - cv2.cvtColor(data, cv2.COLOR_YUV2BGR_NV12)).max() <= 2

    @pytest.mark.parametrize(
        ("pixel_format", "data"),
        [
            (PixelFormat.BGR, noise(4, 4)),
            (PixelFormat.BGR, noise(4, 4, 4)),
            (PixelFormat.BGR, noise(0, 4, 3)),
            (PixelFormat.BGR, noise(4, 4, 3).astype(np.float32)),
            (PixelFormat.GREY, noise(4, 4, 3)),
            (PixelFormat.NV12, noise(4, 4)),
            (PixelFormat.NV12, noise(6, 3)),
            (PixelFormat.YUYV, noise(4, 3, 2)),
            (PixelFormat.YUYV, noise(4, 4, 3)),
        ],
    )
    def test_data_that_is_not_of_its_format(self, pixel_format, data):
        with pytest.raises(SpecError, match=pixel_format.value):
            bgr_from_frame(Frame(data, pixel_format), spec_of())


def reference_bgr(luma, u, v, standard, colour_range):
    """ITU-R BT.601 and BT.709 written out pixel by pixel, before rounding."""
    kr, kb = (0.299, 0.114) if standard == "bt601" else (0.2126, 0.0722)
    y, cb, cr = (
        luma.astype(float),
        *(np.kron(c.astype(float), np.ones((luma.shape[0] // c.shape[0], 2))) for c in (u, v)),
    )
    if colour_range == "limited":
        y, cb, cr = (y - 16) / 219, (cb - 128) / 224, (cr - 128) / 224
    else:
        y, cb, cr = y / 255, (cb - 128) / 255, (cr - 128) / 255
    red = y + 2 * (1 - kr) * cr
    blue = y + 2 * (1 - kb) * cb
    green = (y - kr * red - kb * blue) / (1 - kr - kb)
    return np.clip(np.stack([blue, green, red], axis=-1) * 255, 0, 255)
