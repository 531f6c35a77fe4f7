"""Sample parts: the same everywhere, each defect visible and exactly where its mask says."""

from __future__ import annotations

import hashlib
import json
from itertools import islice

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgerd.data.dataset import Dataset
from edgerd.data.pictures import read_mask, read_picture
from edgerd.data.samples import KINDS, defects_of, line, line_parts, render, write_dataset, write_video
from edgerd.data.samples.part import UNITS
from edgerd.data.samples.seeds import Stream, part_seed
from edgerd.errors import DatasetError, InputError, SpecError, StorageError

EVERY_DEFECT = [(kind, defect) for kind in KINDS for defect in defects_of(kind)]

# In units, beyond the mask: edges too faint for it, and the blur of the lens.
MARGIN = 6.0


def test_at_least_three_kinds_with_five_defects_each():
    assert len(KINDS) >= 3
    assert all(len(defects_of(kind)) >= 5 for kind in KINDS)


@pytest.mark.parametrize("kind", KINDS)
def test_good_part_is_a_picture_without_mask(kind):
    part = render(kind, seed=3)
    assert part.picture.shape == (256, 256, 3)
    assert part.picture.dtype == np.uint8
    assert part.mask.shape == (256, 256)
    assert part.mask.dtype == np.bool_
    assert not part.mask.any()
    assert (part.kind, part.defect, part.seed) == (kind, None, 3)


@given(st.sampled_from(EVERY_DEFECT), st.integers(0, 2**40), st.sampled_from([128, 256, 320]))
@settings(max_examples=60, deadline=None)
def test_mask_is_what_the_defect_changed(kind_and_defect, seed, size):
    kind, defect = kind_and_defect
    good, bad = render(kind, seed, size=size), render(kind, seed, defect, size)
    change = cv2.absdiff(good.picture, bad.picture).max(axis=-1)
    assert bad.mask.any()
    # A person sees it ...
    assert change[bad.mask].mean() >= 8
    assert (change[bad.mask] > 0).mean() >= 0.9
    # ... and there is nothing else to see.
    reach = round(MARGIN * size / UNITS) + 1
    around = cv2.dilate(bad.mask.astype(np.uint8), np.ones((2 * reach + 1, 2 * reach + 1), np.uint8))
    assert not change[around == 0].any()


@pytest.mark.parametrize(("kind", "defect"), EVERY_DEFECT)
def test_every_defect_is_small_but_visible_at_256_px(kind, defect):
    shares = [render(kind, seed, defect).mask.mean() for seed in range(12)]
    assert min(shares) >= 0.0005
    assert max(shares) <= 0.05
    assert max(shares) > min(shares)


@pytest.mark.parametrize("kind", KINDS)
def test_good_parts_differ_yet_look_alike(kind):
    pictures = [render(kind, seed).picture for seed in range(12)]
    assert len({picture.tobytes() for picture in pictures}) == len(pictures)
    levels = [picture.mean() for picture in pictures]
    assert 0 < np.ptp(levels) < 0.25 * np.mean(levels)
    assert all(np.percentile(picture, 99) < 255 for picture in pictures)


@pytest.mark.parametrize("kind", KINDS)
def test_defect_leaves_no_trace_in_the_next_good_part(kind):
    before = render(kind, 5).picture
    for defect in defects_of(kind):
        render(kind, 5, defect)
    assert np.array_equal(render(kind, 5).picture, before)


@pytest.mark.parametrize(
    ("kind", "digest"),
    [("ring", "db121db2ee595b71"), ("weave", "69cd58f4d40b36cc"), ("label", "780385f7b94da891")],
)
def test_pictures_are_the_same_on_every_machine(kind, digest):
    """Checked with OpenCV 4.9, 4.12 and 5.0, NumPy 1.26, 2.2 and 2.4, with and without vector instructions."""
    together = hashlib.sha256()
    for defect in (None, *defects_of(kind)):
        part = render(kind, 7, defect)
        together.update(part.picture.tobytes() + part.mask.tobytes())
    assert together.hexdigest()[:16] == digest


def test_unknown_kind_offers_the_nearest():
    with pytest.raises(InputError, match="Did you mean 'ring'"):
        render("rings", 0)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        (("ring", 0, "pulled_thread"), InputError, "one of scratch, dent"),
        (("ring", -1), InputError, "seed is -1"),
        (("ring", 0, None, 63), SpecError, "64 to 1024"),
        (("ring", 0, None, 1025), SpecError, "64 to 1024"),
    ],
)
def test_what_cannot_be_rendered_is_said(arguments, error, message):
    with pytest.raises(error, match=message):
        render(*arguments)


@pytest.mark.parametrize("kind", KINDS)
def test_dataset_opens_as_a_data_set(kind, tmp_path):
    root = write_dataset(tmp_path / "parts", kind, n_train=9, n_test_good=2, n_per_defect=1, size=96)
    dataset = Dataset.open(root)
    assert len(dataset.train_good) == 9
    assert {picture.defect for picture in dataset.test} == {"good", *defects_of(kind)}
    for picture in dataset.test:
        assert picture.is_defective == (picture.mask_path is not None)
        if picture.mask_path is not None:
            assert read_mask(picture.mask_path).any()
            assert read_mask(picture.mask_path).shape == read_picture(picture.path).shape[:2]


def test_dataset_of_another_seed_has_other_parts(tmp_path):
    sizes = {"n_train": 8, "n_test_good": 1, "n_per_defect": 1, "size": 64}
    first = write_dataset(tmp_path / "0", "ring", seed=0, **sizes)
    same = write_dataset(tmp_path / "0 again", "ring", seed=0, **sizes)
    other = write_dataset(tmp_path / "1", "ring", seed=1, **sizes)
    names = sorted(path.relative_to(first) for path in first.rglob("*.png"))
    assert len(names) == 8 + 1 + 2 * len(defects_of("ring"))
    assert all((first / name).read_bytes() == (same / name).read_bytes() for name in names)
    contents = [(root / name).read_bytes() for root in (first, other) for name in names]
    assert len(set(contents)) == len(contents)


def test_dataset_does_not_mix_with_what_is_there(tmp_path):
    (tmp_path / "mine.png").write_bytes(b"")
    with pytest.raises(DatasetError, match="not empty"):
        write_dataset(tmp_path, "ring")


parts_of_streams = st.tuples(st.sampled_from(Stream), st.integers(0, 2**64 - 1), st.integers(0, 2**32 - 1))


@given(parts_of_streams, parts_of_streams)
def test_no_two_parts_share_a_seed(one, other):
    assert (part_seed(*one) == part_seed(*other)) == (one == other)
    assert part_seed(*one) >= 2**96


def test_line_has_the_defective_parts_it_was_told():
    parts = list(line_parts("ring", 12, {1, 4, 5, 9}, size=64))
    assert [line_part.index for line_part in parts] == list(range(12))
    assert [line_part.index for line_part in parts if line_part.part.defect] == [1, 4, 5, 9]
    assert len({line_part.part.defect for line_part in parts}) == 5


@pytest.mark.parametrize(("probability", "n_defective"), [(0.0, 0), (1.0, 30)])
def test_line_has_no_defects_or_only_defects(probability, n_defective):
    parts = line_parts("ring", 30, probability, size=64)
    assert sum(line_part.part.defect is not None for line_part in parts) == n_defective


def test_endless_line_gives_the_same_parts_again_and_shows_every_defect():
    first, second = (list(islice(line_parts("label", None, 0.4, seed=2, size=64), 40)) for _ in range(2))
    assert all(np.array_equal(a.part.picture, b.part.picture) for a, b in zip(first, second, strict=True))
    assert {line_part.part.defect for line_part in first} == {None, *defects_of("label")}


@pytest.mark.parametrize(
    "arguments",
    [("ring", 5, {5}), ("ring", 5, {-1}), ("ring", 5, 1.5), ("ring", 5, float("nan")), ("ring", 5, 0.0, -1)],
)
def test_line_that_cannot_be_is_refused_at_once(arguments):
    with pytest.raises(InputError):
        line_parts(*arguments)


def _frames(path):
    video = cv2.VideoCapture(str(path))
    frames = []
    while True:
        there, frame = video.read()
        if not there:
            video.release()
            return frames
        frames.append(frame)


def test_video_is_one_still_picture_per_part(tmp_path):
    path = tmp_path / "new folder" / "line.avi"
    records = write_video(path, "ring", n_parts=14, n_defective=4, seed=6, size=128)
    frames = _frames(path)
    assert len(frames) == len(records) == 14
    assert sum(record.defect is not None for record in records) == 4
    defective = {record.part for record in records if record.defect}
    for frame, line_part in zip(frames, line_parts("ring", 14, defective, seed=6, size=128), strict=True):
        assert np.array_equal(frame, line_part.part.picture)


def test_video_comes_with_what_is_in_each_frame(tmp_path):
    records = write_video(tmp_path / "line.avi", "weave", n_parts=6, n_defective=2, size=64)
    about = json.loads((tmp_path / "line.avi.json").read_text())
    assert about["frames"] == [{"frame": r.frame, "part": r.part, "defect": r.defect} for r in records]
    assert (about["kind"], about["fps"], about["size"]) == ("weave", 10, 64)


def test_video_without_ffmpeg_is_nearly_the_same(tmp_path, monkeypatch):
    monkeypatch.setattr(line, "_CODECS", line._CODECS[1:])
    write_video(tmp_path / "line.avi", "ring", n_parts=5, n_defective=0, size=128)
    frames = _frames(tmp_path / "line.avi")
    assert len(frames) == 5
    for frame, line_part in zip(frames, line_parts("ring", 5, 0.0, size=128), strict=True):
        assert cv2.absdiff(frame, line_part.part.picture).mean() < 3


@pytest.mark.parametrize(
    ("name", "options", "error"),
    [
        ("line.mp4", {}, InputError),
        ("line.avi", {"n_parts": 3, "n_defective": 4}, InputError),
        ("line.avi", {"n_parts": 0, "n_defective": 0}, InputError),
        ("line.avi", {"size": 255}, SpecError),
        ("a file/line.avi", {}, StorageError),
    ],
)
def test_video_that_cannot_be_written_is_said(tmp_path, name, options, error):
    (tmp_path / "a file").write_bytes(b"")
    with pytest.raises(error):
        write_video(tmp_path / name, "ring", **options)
    assert not (tmp_path / "line.avi").exists()
