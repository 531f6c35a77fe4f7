"""Parts that pass a camera without a trigger: one verdict each, from a frame that shows them well."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgerd.bundle.manifest import PreprocessSpec
from edgerd.line.presence import OnMotion
from edgerd.types import Frame, UInt8Array

SPEC = PreprocessSpec(height=32, width=32)
WIDTH, HEIGHT, PART = 160, 96, 48


def belt(rng: np.random.Generator, light: float = 1.0) -> UInt8Array:
    """A belt with its noise."""
    return np.clip(light * rng.normal(90, 3, (HEIGHT, WIDTH, 3)), 0, 255).astype(np.uint8)


def with_part(picture: UInt8Array, x: int, blur: float = 0.0) -> UInt8Array:
    """A part with stripes at x, which may be outside on either side."""
    stripes = np.where(np.arange(PART) // 4 % 2, 200, 30).astype(np.uint8)
    part = np.repeat(np.tile(stripes, (PART, 1))[..., None], 3, axis=2)
    shown = slice(max(0, -x), min(PART, WIDTH - x))
    picture = picture.copy()
    picture[20 : 20 + PART, max(0, x) : max(0, x) + shown.stop - shown.start] = part[:, shown]
    return np.asarray(cv2.GaussianBlur(picture, (0, 0), blur), np.uint8) if blur else picture


def frames(script: list[tuple[int | None, float]], seed: int = 0, drift: float = 0.0) -> list[Frame]:
    """The belt for a second, then a frame per entry: where the part is (None: nowhere) and how blurred."""
    rng = np.random.default_rng(seed)
    made = []
    for number, (x, blur) in enumerate([(None, 0.0)] * 30 + script):
        picture = belt(rng, 1 + drift * number)
        made.append(Frame(picture if x is None else with_part(picture, x, blur), number=number))
    return [Frame(each.data, number=each.number, captured_monotonic_s=each.number / 30) for each in made]


def judged(picker: OnMotion, script: list[Frame]) -> list[int]:
    picked = [picker.pick(frame) for frame in script]
    last = picker.finish()
    return [each.frame.number for each in [*picked, last] if each and each.frame]


PASSES = [(x, 0.0) for x in range(-40, WIDTH, 20)]
GAP = [(None, 0.0)] * 6


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 5), st.integers(0, 3))
def test_each_part_that_passes_is_judged_once_when_it_is_whole(n_parts: int, seed: int) -> None:
    script = frames([*GAP, *(PASSES + GAP) * n_parts], seed)
    numbers = judged(OnMotion(SPEC), script)
    assert len(numbers) == n_parts
    for number in numbers:
        x = ([(None, 0.0)] * 30 + [*GAP, *(PASSES + GAP) * n_parts])[number][0]
        assert 0 <= x <= WIDTH - PART


def test_the_sharpest_of_its_frames_is_taken() -> None:
    script = frames([(20, 4.0), (40, 2.0), (60, 0.0), (80, 3.0), *GAP])
    assert judged(OnMotion(SPEC), script) == [32]


def test_light_that_changes_slowly_is_no_part() -> None:
    script = frames([(None, 0.0)] * 300 + PASSES + GAP, drift=0.001)
    assert len(judged(OnMotion(SPEC), script)) == 1


def test_a_part_that_stays_is_judged_once() -> None:
    script = frames([(40, 0.0)] * 200 + GAP + PASSES + GAP)
    numbers = judged(OnMotion(SPEC, longest_s=2.0), script)
    assert len(numbers) == 2
    assert 30 <= numbers[0] <= 91


def test_a_part_that_only_damaged_frames_show_is_not_forgotten() -> None:
    picker = OnMotion(SPEC)
    empty = frames([])
    for frame in empty:
        assert picker.pick(frame) is None
    assert picker.pick(Frame(np.empty((0, 0, 3), np.uint8)), "cut off") is None  # the belt is empty: no part is lost
    (first,) = frames([(40, 0.0)])[-1:]
    assert picker.pick(first) is None
    assert picker.pick(Frame(np.empty((0, 0, 3), np.uint8)), "cut off") is None
    picked = [picker.pick(frame) for frame in empty[:2]]
    assert [each.frame.number for each in picked if each and each.frame] == [30]


@pytest.mark.parametrize("n", [0, 14])
def test_a_camera_that_ends_early_gives_nothing(n: int) -> None:
    assert judged(OnMotion(SPEC), frames([])[:n]) == []
