"""Names of files and folders: safe, in the order of time, and never chosen by a message."""

from __future__ import annotations

import math
import re
from dataclasses import replace
from pathlib import Path

import pytest
from archive_parts import NG, NO_DECISION, archive, part, pictures
from hypothesis import example, given
from hypothesis import strategies as st

from edgerd.line.archive.names import folder_name, is_ok, is_stage, new_stem, product_folder, stage_of, stem_of
from edgerd.types import Verdict

TEXTS = st.text(st.characters(codec=None), max_size=100)
SAFE = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*")


@pytest.mark.parametrize("name", ["cam", "line-1.left", "A", "_", "0", "x" * 64])
def test_names_of_a_recipe_stay_what_they_are(name: str) -> None:
    assert folder_name(name) == name


@pytest.mark.parametrize(
    ("name", "folder"),
    [
        ("rtsp://10.0.0.5/stream?x=1", "rtsp_10_0_0_5_stream_x_1-"),
        ("../../etc/passwd", "etc_passwd-"),
        ("..", "unnamed-"),
        (".hidden", "hidden-"),
        ("Kamera Süd", "Kamera_S_d-"),
        ("CON", "CON-"),
        ("nul.png", "nul_png-"),
        ("ends with a dot.", "ends_with_a_dot-"),
        ("", "unnamed-"),
        ("a\0b", "a_b-"),
        ("\ud800", "unnamed-"),
    ],
)
def test_other_names_are_made_safe_and_can_be_recognised(name: str, folder: str) -> None:
    assert re.fullmatch(re.escape(folder) + "[0-9a-f]{8}", folder_name(name))


@given(TEXTS, TEXTS)
@example("a/b", "a_b")
@example("a" * 70, "a" * 71)
def test_every_text_has_a_safe_folder_of_its_own(first: str, second: str) -> None:
    folder = folder_name(first)
    assert SAFE.fullmatch(folder)
    assert len(folder) <= 64
    assert not folder.endswith(".")
    assert (folder == folder_name(second)) == (first == second)


@given(TEXTS, TEXTS)
def test_no_message_can_choose_a_path(camera: str, product: str) -> None:
    folder = product_folder(part(NG, camera=camera, product=product).verdict)
    assert len(folder.parts) == 2
    assert all(map(SAFE.fullmatch, folder.parts))


TIMES = st.floats(0, 4e9)


@given(TIMES, TIMES, st.sampled_from(Verdict), st.sampled_from(Verdict))
def test_names_sort_by_time(first_s: float, second_s: float, one: Verdict, other: Verdict) -> None:
    first_s, second_s = sorted((first_s, second_s))
    first, second = (
        new_stem(part(one, captured_at=first_s).verdict),
        new_stem(part(other, captured_at=second_s).verdict),
    )
    assert first.split("_")[0] <= second.split("_")[0]
    if second_s - first_s > 2e-6:
        assert first < second


@given(st.sampled_from(Verdict), st.integers(0, 10**12), TIMES)
def test_a_name_is_known_again_with_its_verdict(verdict: Verdict, number: int, time_s: float) -> None:
    stem = new_stem(replace(part(verdict, captured_at=time_s).verdict, frame=number))
    for suffix in (".png", ".jpg", ".json"):
        assert stem_of(stem + suffix) == stem
        assert is_stage(stage_of(Path(stem + suffix)).name)
        assert stem_of(stage_of(Path(stem + suffix)).name) is None
    assert is_ok(stem) == (verdict is Verdict.OK)


@pytest.mark.parametrize("captured_at", [-1.0, math.nan, math.inf, 1e18])
def test_a_clock_of_a_camera_that_is_no_clock_gives_way_to_the_time_of_the_verdict(captured_at: float) -> None:
    broken = replace(part(NG).verdict, frame=1, captured_at=captured_at)
    assert new_stem(broken).startswith("20260105T080000-100000Z_ng_000001_")


def test_frames_of_one_moment_do_not_collide(tmp_path: Path) -> None:
    kept = archive(tmp_path)
    for camera in ("a", "b", "a", "b", "a"):
        kept.take(part(NO_DECISION, 7, captured_at=5.0, camera=camera))
    assert len(pictures(tmp_path)) == 5


@pytest.mark.parametrize("camera", ["../up", "/etc", 'a/b\\c:d*?<>|"', "\n", "é" * 100, "-rf", "C:"])
def test_odd_names_of_cameras_and_products_are_archived_below_the_folder(tmp_path: Path, camera: str) -> None:
    folder = tmp_path / "archive"
    archive(folder).take(part(NG, camera=camera, product=camera))
    assert len(pictures(folder)) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["archive"]
