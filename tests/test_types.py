"""The values that travel through edgerd."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgerd.data.preprocess import check_layout
from edgerd.types import Frame, PixelFormat

halves = st.integers(1, 2000)


@pytest.mark.parametrize("pixel_format", PixelFormat)
@given(half_height=halves, half_width=halves)
def test_a_size_comes_back_from_the_shape_of_its_data(pixel_format, half_height, half_width):
    size = 2 * half_height, 2 * half_width
    assert pixel_format.size(pixel_format.shape(*size)) == size


@pytest.mark.parametrize("pixel_format", PixelFormat)
def test_data_of_that_shape_is_a_frame(pixel_format):
    check_layout(Frame(np.zeros(pixel_format.shape(6, 4), np.uint8), pixel_format))
