"""Frames that came and are still not worth judging."""

from __future__ import annotations

import numpy as np
import pytest
from inspection_parts import picture

from edgerd.bundle.manifest import PictureLimits
from edgerd.data.prepared import grey_level_statistics
from edgerd.inspection.guards import FrozenGuard, SizeGuard, exposure_reason
from edgerd.types import Frame, PixelFormat


def frames(pictures: list[np.ndarray], fps: float = 10.0) -> list[Frame]:
    return [
        Frame(data.copy(), number=number, captured_monotonic_s=number / fps) for number, data in enumerate(pictures)
    ]


def test_same_picture_for_two_seconds_is_frozen_and_the_next_one_is_not() -> None:
    guard = FrozenGuard()
    reasons = [guard.reason(frame) for frame in frames([picture()] * 23 + [picture(number=1)])]
    assert reasons == [""] * 20 + ["frozen: the same picture for 2 s"] * 3 + [""]


def test_slow_camera_that_repeats_a_picture_is_not_frozen_at_once() -> None:
    guard = FrozenGuard()
    reasons = [guard.reason(frame) for frame in frames([picture()] * 10, fps=1)]
    assert [bool(reason) for reason in reasons] == [False] * 9 + [True]


def test_one_pixel_that_changes_is_a_living_camera() -> None:
    guard = FrozenGuard()
    assert not any(guard.reason(frame) for frame in frames([picture(number=number) for number in range(100)]))


def test_a_camera_that_writes_to_the_same_memory_again_is_living_or_frozen_by_what_it_writes() -> None:
    buffer = picture(height=480, width=640)
    living, frozen = FrozenGuard(), FrozenGuard()
    for number in range(40):
        buffer[401, 403] = number  # no pixel of the sample
        assert not living.reason(Frame(buffer, number=number, captured_monotonic_s=number / 10))
    reasons = [frozen.reason(Frame(buffer, captured_monotonic_s=number / 10)) for number in range(40)]
    assert [bool(reason) for reason in reasons] == [False] * 20 + [True] * 20


def test_the_first_size_is_the_one() -> None:
    guard = SizeGuard()
    small, large = picture(height=48, width=64), picture(height=96, width=128)
    reasons = [guard.reason(frame) for frame in frames([small, large, small])]
    assert reasons == ["", "frame size changed: 128x96, the run began with 64x48", ""]


def test_size_of_a_planar_frame_is_that_of_the_picture() -> None:
    guard = SizeGuard()
    guard.reason(Frame(np.zeros((72, 64), np.uint8), PixelFormat.NV12))
    assert guard.reason(Frame(np.zeros((48, 64, 3), np.uint8))) == ""


@pytest.mark.parametrize("n_tiles", [1, 3])
def test_exposure_is_judged_by_the_statistics_of_all_pixels(n_tiles: int) -> None:
    """Pictures of all kinds, stripes that the rows looked at first miss, limits close to what they have."""
    rng = np.random.default_rng(n_tiles)
    said: list[bool] = []
    for case in range(400):
        colour, amplitude = rng.integers(0, 256, 3), rng.integers(0, 128)
        tiles = np.clip(colour + rng.integers(-amplitude, amplitude + 1, (n_tiles, 34, 30, 3)), 0, 255).astype(np.uint8)
        if case % 3 == 0:
            tiles[:, case % 8 :: 8] = rng.integers(0, 256, 3)
        mean, contrast = grey_level_statistics(tiles)
        limits = PictureLimits(
            mean_low=max(0.0, mean - rng.uniform(-1, 3)),
            mean_high=min(255.0, mean + rng.uniform(-0.5, 3)),
            contrast_low=contrast * rng.uniform(0, 1.1),
        )
        is_well = limits.mean_low <= mean <= limits.mean_high and contrast >= limits.contrast_low
        assert (exposure_reason(tiles, limits) == "") is is_well
        said.append(is_well)
    assert 100 < sum(said) < 300
