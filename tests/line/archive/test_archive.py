"""What is kept of a part, where, and that it is all there or not at all."""

from __future__ import annotations

import json
import random
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from archive_parts import NG, NO_DECISION, OK, QUOTA, SPEC, archive, bgr, files, frames, part, pictures
from hypothesis import given, settings
from hypothesis import strategies as st

from edgerd.bundle.manifest import PreprocessSpec, TileSpec
from edgerd.data.pictures import read_picture
from edgerd.data.preprocess import bgr_from_frame, tile_boxes
from edgerd.errors import SpecError, StorageError
from edgerd.line.archive import Archive
from edgerd.line.observer import Observer
from edgerd.types import Frame, PixelFormat, UInt8Array, Verdict


def test_a_part_is_kept_with_picture_heatmap_and_record(tmp_path: Path) -> None:
    kept = part(NG, 42, product="nut")
    archive(tmp_path).take(kept)
    (picture,) = pictures(tmp_path)
    stem = picture.stem
    assert stem.startswith("20260105T080042-000000Z_ng_000042_")
    assert files(tmp_path) == [
        f"cam/nut/heatmaps/{stem}.jpg",
        f"cam/nut/records/{stem}.json",
        f"cam/nut/test/ng/{stem}.png",
    ]
    assert np.array_equal(read_picture(picture), kept.frame.data)
    assert json.loads((tmp_path / f"cam/nut/records/{stem}.json").read_text()) == kept.verdict.to_json()
    assert read_picture(tmp_path / f"cam/nut/heatmaps/{stem}.jpg").shape == (12, 16, 3)


@pytest.mark.parametrize(("verdict", "folder"), [(OK, "train/good"), (NG, "test/ng"), (NO_DECISION, "no_decision")])
def test_the_folder_says_what_the_machine_said(tmp_path: Path, verdict: Verdict, folder: str) -> None:
    archive(tmp_path).take(part(verdict))
    (picture,) = pictures(tmp_path)
    assert picture.parent == tmp_path / "cam/part" / folder


def test_what_was_not_judged_has_no_heatmap(tmp_path: Path) -> None:
    archive(tmp_path).take(part(NO_DECISION))
    assert [Path(file).suffix for file in files(tmp_path)] == [".png", ".json"]


@pytest.mark.parametrize(
    ("pixel_format", "shape"),
    [(PixelFormat.NV12, (18, 16)), (PixelFormat.YUYV, (12, 16, 2)), (PixelFormat.GREY, (12, 16))],
)
def test_a_picture_shows_what_was_judged(tmp_path: Path, pixel_format: PixelFormat, shape: tuple[int, ...]) -> None:
    data = np.random.default_rng(1).integers(0, 256, shape).astype(np.uint8)
    kept = part(NG, data=data, pixel_format=pixel_format)
    archive(tmp_path).take(kept)
    (picture,) = pictures(tmp_path)
    assert np.array_equal(read_picture(picture), bgr_from_frame(kept.frame, SPEC))


def test_the_heatmap_of_a_large_frame_is_small_and_shows_the_defect_in_its_place(tmp_path: Path) -> None:
    large = np.full((1500, 2000, 3), 100, np.uint8)
    kept = part(NG, data=large)
    hot = kept.verdict.inspection.anomaly_map
    assert hot is not None
    hot[:] = 0
    hot[0, 16:, 16:] = 1.0
    archive(tmp_path).take(kept)
    (file,) = tmp_path.rglob("*.jpg")
    heatmap = read_picture(file)
    assert heatmap.shape == (768, 1024, 3)
    changed = np.abs(heatmap.astype(int) - 100).max(axis=2) > 30
    assert changed[450:, 600:].mean() > 0.9
    assert changed[100:300, 100:400].mean() < 0.1


def test_a_heatmap_says_how_the_part_was_judged(tmp_path: Path) -> None:
    colours = {OK: (70, 120, 0), NG: (30, 20, 200)}
    for verdict in colours:
        archive(tmp_path / verdict.value).take(part(verdict, data=np.full((1500, 2000, 3), 100, np.uint8)))
        (file,) = (tmp_path / verdict.value).rglob("*.jpg")
        far = {other: np.abs(read_picture(file).astype(int) - colour).max(axis=2) for other, colour in colours.items()}
        assert [other for other in colours if (far[other] < 12).sum() > 500] == [verdict]


@settings(max_examples=60, deadline=None)
@given(height=st.integers(1, 1200), width=st.integers(1, 1200), rows=st.integers(1, 3), columns=st.integers(1, 3))
def test_every_size_of_frames_and_tiles_has_a_heatmap(height: int, width: int, rows: int, columns: int) -> None:
    spec = PreprocessSpec(height=32, width=32, tiles=TileSpec(rows=rows, columns=columns, overlap=0.1))
    one = part(NG, data=np.zeros((height, width, 3), np.uint8))
    inspection = replace(one.verdict.inspection, anomaly_map=np.ones((rows * columns, 32, 32), np.float32))
    try:
        n_tiles = len(tile_boxes(height, width, spec))
    except SpecError:  # so many tiles do not fit: nothing is judged then
        return
    made = replace(one, spec=spec, verdict=replace(one.verdict, inspection=inspection)).files("name")
    (jpeg,) = (content for path, content in made.items() if path.suffix == ".jpg")
    heatmap = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR)
    assert n_tiles == rows * columns
    assert max(heatmap.shape[:2]) == min(1024, max(height, width))


def test_a_frame_that_is_no_picture_is_said_and_not_half_kept(tmp_path: Path) -> None:
    kept = archive(tmp_path)
    with pytest.raises(StorageError, match="Frame 3 of cam cannot be kept as a picture"):
        kept.take(part(NO_DECISION, 3, data=bgr()[..., :2].copy()))
    assert files(tmp_path) == []
    assert kept.n_bytes == 0


def choose(kept: Archive, verdict: Verdict, number: int = 0) -> bool:
    one = part(verdict, number)
    return kept.choose(one.frame, one.verdict, SPEC) is not None


def test_all_but_ok_parts_are_chosen_and_of_those_the_share(tmp_path: Path) -> None:
    kept = archive(tmp_path, ok_share=0.25)
    assert all(choose(kept, verdict) for verdict in (NG, NO_DECISION) for _ in range(50))
    assert 400 < sum(choose(kept, OK) for _ in range(2000)) < 600
    kept.ok_share = 0.0
    assert not any(choose(kept, OK) for _ in range(100))
    kept.ok_share = 1.0
    assert all(choose(kept, OK) for _ in range(100))


def test_cameras_that_take_turns_have_the_same_share(tmp_path: Path) -> None:
    kept = archive(tmp_path, ok_share=0.5)
    chosen = [choose(kept, OK) for _ in range(2000)]
    assert all(430 < sum(chosen[camera::2]) < 570 for camera in (0, 1))


def test_the_same_generator_chooses_the_same_parts(tmp_path: Path) -> None:
    first, second = (Archive(tmp_path, QUOTA, 0.5, generator=random.Random(3)) for _ in range(2))
    assert [choose(first, OK) for _ in range(50)] == [choose(second, OK) for _ in range(50)]


def test_a_chosen_frame_is_a_copy(tmp_path: Path) -> None:
    one = part(NG)
    before = one.frame.data.copy()
    chosen = archive(tmp_path).choose(one.frame, one.verdict, SPEC)
    one.frame.data[:] = 0
    assert chosen is not None
    assert np.array_equal(chosen.frame.data, before)


def test_where_there_was_no_frame_nothing_is_kept(tmp_path: Path) -> None:
    kept, one = archive(tmp_path), part(NO_DECISION)
    nothing: UInt8Array = np.empty((0, 0, 3), np.uint8)
    assert kept.choose(None, one.verdict, SPEC) is None
    assert kept.choose(Frame(nothing), one.verdict, SPEC) is None


def test_an_observer_hands_parts_over_and_says_what_is_lost(tmp_path: Path) -> None:
    kept = archive(tmp_path)
    observer = Observer("archive", kept.take, noun="picture", capacity=4)
    observer.put(part(NG, 1), may_wait=True)
    observer.put(part(NO_DECISION, 2, data=bgr()[..., :2].copy()), may_wait=True)
    observer.put(part(OK, 3), may_wait=True)
    assert observer.close()
    assert frames(tmp_path) == [1, 3]
    assert observer.loss.startswith("1 picture for the archive were dropped. Frame 2 of cam cannot be kept")
