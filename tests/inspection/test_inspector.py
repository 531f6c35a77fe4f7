"""The obvious object: a bundle goes in, frames go in, inspections come out."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import pytest
from inspection_parts import BLACK, DEFECTIVE, GOOD, THRESHOLD, make_bundle, picture

from edgerd.bundle.manifest import PictureLimits, PreprocessSpec, RegionSpec, ThresholdRecord, TileSpec
from edgerd.errors import BundleError, InputError, SpecError
from edgerd.inspection import inspector as inspector_module
from edgerd.inspection.inspector import Inspector
from edgerd.runtimes.fake import FakeEngine
from edgerd.runtimes.protocol import Maps
from edgerd.types import Frame, PixelFormat, UInt8Array, Verdict


def test_good_part(inspector: Inspector) -> None:
    inspection = inspector.inspect(GOOD)
    assert inspection.verdict is Verdict.OK
    assert inspection.score == 0
    assert inspection.threshold == THRESHOLD
    assert inspection.regions == ()
    assert inspection.anomaly_map is not None
    assert inspection.anomaly_map.shape == (1, 32, 32)
    assert inspection.reason == ""


def test_defective_part_has_a_region_where_the_defect_is(inspector: Inspector) -> None:
    inspection = inspector.inspect(DEFECTIVE)
    assert inspection.verdict is Verdict.NG
    assert inspection.score == 0.5
    (region,) = inspection.regions
    assert region.peak == 0.5
    # The spot is 32 x 24 at (16, 12); the map has half the resolution across and two thirds down.
    assert region.box.x == pytest.approx(16, abs=2)
    assert region.box.y == pytest.approx(12, abs=2)
    assert region.box.width == pytest.approx(32, abs=4)
    assert region.box.height == pytest.approx(24, abs=4)
    assert region.area_px == pytest.approx(32 * 24, rel=0.15)


def test_score_at_the_threshold_is_good() -> None:
    assert Inspector(make_bundle(), FakeEngine(), threshold=0.5).inspect(DEFECTIVE).verdict is Verdict.OK


def test_cameras_beside_one_another_have_thresholds_of_their_own_and_one_engine(inspector: Inspector) -> None:
    strict = inspector.beside(threshold=0.6)
    assert [each.inspect(DEFECTIVE).verdict for each in (inspector, strict)] == [Verdict.NG, Verdict.OK]
    assert strict.inspect(DEFECTIVE).threshold == strict.threshold == 0.6
    assert strict.no_decision("lost").threshold == 0.6
    assert inspector.beside().threshold == THRESHOLD
    with pytest.raises(InputError, match="find every part"):
        inspector.beside(threshold=-1)
    strict.close()
    assert inspector.inspect(DEFECTIVE).verdict is Verdict.NG


def test_frame_time_covers_the_engine(inspector: Inspector) -> None:
    inspection = inspector.inspect(GOOD)
    assert inspection.engine_ms is not None
    assert 0 < inspection.engine_ms < inspection.frame_ms


@pytest.mark.parametrize(
    ("frame", "reason"),
    [
        (BLACK, "black frame"),
        (np.full_like(GOOD, 20), "too dark: mean grey level 20, good ones have 40 to 240"),
        (np.full_like(GOOD, 255), "too bright: mean grey level 255, good ones have 40 to 240"),
        (np.full_like(GOOD, 100), "no contrast: grey levels vary by 0.0, in good ones by 5.0 at least"),
    ],
)
def test_frame_unlike_any_good_one_is_not_judged(frame: UInt8Array, reason: str) -> None:
    limits = PictureLimits(mean_low=40, mean_high=240, contrast_low=5)
    inspector = Inspector(make_bundle(limits=limits), FakeEngine(), THRESHOLD)
    inspection = inspector.inspect(frame)
    assert inspection.verdict is Verdict.NO_DECISION
    assert inspection.reason == reason
    assert inspection.score is None
    assert inspection.anomaly_map is None
    assert inspection.engine_ms is None


def test_dark_part_on_a_line_of_dark_parts_is_judged() -> None:
    limits = PictureLimits(mean_low=2, mean_high=240, contrast_low=0)
    inspector = Inspector(make_bundle(limits=limits), FakeEngine(), THRESHOLD)
    assert inspector.inspect(np.full_like(GOOD, 3)).verdict is Verdict.NG
    assert inspector.inspect(np.full_like(GOOD, 1)).reason == "black frame"


@pytest.mark.parametrize("value", [math.nan, math.inf])
@pytest.mark.parametrize("where", ["score", "anomaly_map"])
def test_values_that_are_not_finite_are_no_verdict(value: float, where: str) -> None:
    class BrokenEngine(FakeEngine):
        def infer(self, frames: UInt8Array) -> Maps:
            maps = super().infer(frames)
            getattr(maps, where).flat[-1] = value
            return maps

    inspection = Inspector(make_bundle(), BrokenEngine(), THRESHOLD).inspect(DEFECTIVE)
    assert inspection.verdict is Verdict.NO_DECISION
    assert inspection.reason == "score is not finite"


def test_other_pixel_formats(inspector: Inspector) -> None:
    grey = DEFECTIVE[..., 0]
    assert inspector.inspect(grey).score == 0.5
    assert inspector.inspect(Frame(grey, PixelFormat.GREY)).score == 0.5
    yuyv = np.full((48, 64, 2), 128, np.uint8)
    assert inspector.inspect(Frame(yuyv, PixelFormat.YUYV)).verdict is Verdict.OK


@pytest.mark.parametrize("frame", [GOOD.astype(np.float32), GOOD[..., :2], np.zeros((0, 0, 3), np.uint8)])
def test_array_of_another_kind_is_refused(inspector: Inspector, frame: UInt8Array) -> None:
    with pytest.raises(SpecError):
        inspector.inspect(frame)


def test_the_worst_tile_decides_and_its_region_is_in_frame_pixels() -> None:
    spec = PreprocessSpec(
        height=32, width=32, region=RegionSpec(x=20, y=10, width=80, height=40), tiles=TileSpec(rows=1, columns=2)
    )
    inspector = Inspector(make_bundle(spec), FakeEngine(), THRESHOLD)
    frame = np.full((100, 200, 3), 128, np.uint8)
    frame[20:30, 75:95] = 192
    inspection = inspector.inspect(frame)
    assert inspection.score == 0.5
    (region,) = inspection.regions
    assert (region.box.x, region.box.y) == pytest.approx((75, 20), abs=2)
    assert (region.box.width, region.box.height) == pytest.approx((20, 10), abs=3)
    frame[20:30, 75:95] = 128
    frame[0:9, :] = 192
    assert inspector.inspect(frame).verdict is Verdict.OK


def test_threshold_must_be_a_number() -> None:
    with pytest.raises(InputError, match="threshold nan"):
        Inspector(make_bundle(), FakeEngine(), math.nan)


class _Opened(NamedTuple):
    engine: FakeEngine
    threshold: ThresholdRecord | None
    why: str


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> _Opened:
    record = ThresholdRecord(
        value=0.5, false_alarm_rate=0.1, n_good=20, rank=19, extrapolated=False, largest_score=0.6, usual_score=0.4,
        realised_rate_90=(0.0, 0.2), n_more_needed=0,
    )  # fmt: skip
    opened = _Opened(FakeEngine(), record, "fp32 on fake: the only one")
    monkeypatch.setattr(inspector_module, "open_engine", lambda *_, **__: opened)
    return opened


def test_open_takes_the_engines_own_threshold(opened: _Opened) -> None:
    with Inspector.open(make_bundle()) as inspector:
        assert inspector.threshold == 0.5
        assert inspector.why == opened.why
        assert inspector.inspect(DEFECTIVE).usual_score == 0.4
        with inspector.beside(0.7) as other:
            other.adjust(threshold=0.8)
            assert other.inspect(DEFECTIVE).usual_score == 0.4
    assert opened.engine.is_closed


def test_open_takes_another_threshold_if_asked(opened: _Opened) -> None:
    assert Inspector.open(make_bundle(), threshold=0.7).threshold == 0.7


@pytest.mark.parametrize(("threshold", "what"), [(80.0, "find no part"), (6.5, "find no part"), (-0.5, "every part")])
def test_open_refuses_a_threshold_that_tells_nothing_apart(opened: _Opened, threshold: float, what: str) -> None:
    with pytest.raises(InputError, match=what):
        Inspector.open(make_bundle(), threshold=threshold)
    assert opened.engine.is_closed


def test_open_without_a_threshold_says_how_to_get_one(opened: _Opened, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inspector_module, "open_engine", lambda *_, **__: opened._replace(threshold=None))
    with pytest.raises(BundleError, match=r"edgerd calibrate line\.bundle"):
        Inspector.open(make_bundle())
    assert opened.engine.is_closed
    assert Inspector.open(make_bundle(), threshold=0.7).threshold == 0.7


def test_warm_up_runs_the_engine_on_what_a_frame_becomes() -> None:
    shapes = []

    class RecordingEngine(FakeEngine):
        def infer(self, frames: UInt8Array) -> Maps:
            shapes.append(frames.shape)
            return super().infer(frames)

    spec = PreprocessSpec(height=32, width=64, tiles=TileSpec(rows=2, columns=2))
    Inspector(make_bundle(spec), RecordingEngine(), THRESHOLD).warm_up()
    assert set(shapes) == {(4, 32, 64, 3)}


def test_same_frame_same_answer(inspector: Inspector) -> None:
    first, second = inspector.inspect(picture(0.37)), inspector.inspect(picture(0.37))
    assert first.score == second.score
    assert first.regions == second.regions
