"""What is said of pictures with another aspect ratio than those that a bundle was trained on."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from inspection_parts import make_bundle

from edgerd.bundle.manifest import PictureSize, PreprocessSpec, RegionSpec
from edgerd.data.shapes import ASPECT_TOLERANCE, ShapeGuard, counted_sizes, warning_of_mixed_shapes


def manifest(*sizes, **spec):
    made = make_bundle(PreprocessSpec(**spec)).manifest
    training = made.training.model_copy(update={"sizes": counted_sizes(sizes)})
    return made.model_copy(update={"training": training})


def warnings(trained, *seen, **spec):
    guard = ShapeGuard(manifest(*trained, **spec))
    for size in seen:
        guard.see(*size)
    return guard.warnings()


def test_numbers_and_what_to_do_are_named():
    (warning,) = warnings([(900, 900)], *[(1280, 720)] * 9, (900, 900), (600, 600), (640, 360))
    assert warning == (
        "10 of 12 pictures (1280x720, 640x360) have another aspect ratio than the pictures that this bundle was "
        "trained on (900x900): they are 1.78 : 1, and not 1.00 : 1, and are stretched to the same 256x256, so that "
        "a part is squeezed to 56% of its width. Good parts may be called NG, and defects missed. Give pictures of "
        "the trained shape, or train again on pictures like these: --region x,y,w,h cuts the part out, --keep-aspect "
        "crop or letterbox does not distort them."
    )


def test_the_other_way_round_the_height_is_squeezed():
    (warning,) = warnings([(1280, 720)], (720, 1280))
    assert "squeezed to 32% of its height" in warning


@given(st.integers(50, 4000), st.integers(50, 4000), st.floats(0.2, 5))
def test_pictures_of_one_ratio_are_not_worth_a_word(width, height, factor):
    size = round(width * factor), round(height * factor)
    if max(1, min(size)) < 100:  # rounding changes the ratio of smaller ones by more than the tolerance
        return
    assert not warnings([(width, height)], size)
    assert warning_of_mixed_shapes(counted_sizes([(width, height), size]), PreprocessSpec()) is None


@pytest.mark.parametrize(("width", "is_warned"), [(1020, False), (1021, True), (981, False), (980, True)])
def test_the_tolerance_is_two_per_cent(width, is_warned):
    assert ASPECT_TOLERANCE == 0.02
    assert bool(warnings([(1000, 1000)], (width, 1000))) is is_warned


def test_any_of_several_trained_ratios_will_do():
    trained = [(640, 480), (640, 480), (1280, 720)]
    assert not warnings(trained, (1920, 1080), (320, 240))
    (warning,) = warnings(trained, (500, 500))
    assert "trained on (640x480, 1280x720): they are 1.00 : 1, and not 1.33 : 1" in warning


@pytest.mark.parametrize(
    "spec", [{"aspect": "crop"}, {"region": RegionSpec(x=0, y=0, width=100, height=50)}], ids=["crop", "region"]
)
def test_what_is_judged_has_the_trained_ratio_whatever_the_frame_has(spec):
    assert not warnings([(900, 900)], (1280, 720), **spec)


def test_padding_that_differs_is_no_distortion():
    (warning,) = warnings([(900, 900)], (1280, 720), aspect="letterbox")
    assert "scaled and padded in another way" in warning
    assert "stretched" not in warning
    assert "--keep-aspect" not in warning


def test_a_bundle_that_does_not_know_says_nothing():
    assert not warnings([], (1280, 720))
    assert ShapeGuard(manifest()).warning_of_camera("left", 1280, 720) is None


def test_a_camera_is_named():
    warning = ShapeGuard(manifest((900, 900))).warning_of_camera("left", 1280, 720)
    assert warning.startswith("The frames of left (1280x720) have another aspect ratio than the pictures")


MIXED = (PictureSize(width=1280, height=720, n=40), PictureSize(width=640, height=480, n=10))


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        ({}, "stretched to 256x256, so that the same part is up to 1.33 times as wide in some as in others"),
        ({"aspect": "crop"}, "Of each the centre is used"),
        ({"aspect": "letterbox"}, "each is scaled and padded for itself"),
        ({"region": RegionSpec(x=1, y=2, width=30, height=40)}, "The region 1,2,30,40 is cut out of each"),
    ],
)
def test_mixed_training_pictures_are_counted_and_what_becomes_of_them_is_said(spec, words):
    warning = warning_of_mixed_shapes(MIXED, PreprocessSpec(**spec))
    assert "The 50 pictures have different aspect ratios: 40 of 1280x720, 10 of 640x480." in warning
    assert words in warning


def test_many_sizes_are_counted_not_listed():
    sizes = counted_sizes([(100 + n, 100) for n in range(50) for _ in range(50 - n)])
    warning = warning_of_mixed_shapes(sizes, PreprocessSpec())
    assert "50 of 100x100, 49 of 101x100, 48 of 102x100, 47 more sizes." in warning


def test_no_sizes_no_word():
    assert warning_of_mixed_shapes((), PreprocessSpec()) is None
