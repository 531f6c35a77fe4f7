"""One inspector for several threads and for asyncio, the same on every runtime of a CPU; pictures in every form."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from grey_bundle import CPU_RUNTIMES, save_grey_bundle
from inspection_parts import BLACK, DEFECTIVE, GOOD, picture

from edgerd.bundle.manifest import TileSpec
from edgerd.data.pictures import write_png
from edgerd.errors import DeviceError, EdgerdError, PictureError
from edgerd.inspection.inspector import Inspector
from edgerd.types import Verdict

FRAMES = [picture(step / 40, height=48 + 16 * (step % 3)) for step in range(40)]
"""Of several sizes and scores: an answer that went to another thread would show."""


@pytest.fixture(params=CPU_RUNTIMES)
def inspector(request, tmp_path):
    bundle = save_grey_bundle(tmp_path / "bundle", tiles=TileSpec(rows=1, columns=2))
    with Inspector.open(bundle, runtime=request.param, threads=1) as inspector:
        yield inspector


def found(inspections):
    return [
        (each.verdict, each.score, each.regions, None if each.anomaly_map is None else each.anomaly_map.tobytes())
        for each in inspections
    ]


def test_threads_get_the_answers_to_their_own_frames(inspector):
    alone = found(map(inspector.inspect, FRAMES))
    assert {verdict for verdict, *_ in alone} == {Verdict.OK, Verdict.NG}
    with ThreadPoolExecutor(4) as threads:
        assert found(threads.map(inspector.inspect, FRAMES)) == alone


def test_the_threshold_may_be_changed_while_threads_inspect(inspector):
    with ThreadPoolExecutor(4) as threads:
        inspections = threads.map(inspector.inspect, [DEFECTIVE] * 40)
        for threshold in (0.3, 0.6):
            inspector.adjust(threshold=threshold)
        for each in inspections:
            assert each.threshold in (0.25, 0.3, 0.6)
            assert each.verdict == ("NG" if each.score > each.threshold else "OK")
    assert inspector.inspect(DEFECTIVE).verdict is Verdict.OK


def test_asyncio_goes_on_while_a_thread_inspects(inspector):
    async def judge():
        return await asyncio.gather(*(asyncio.to_thread(inspector.inspect, frame) for frame in FRAMES))

    assert found(asyncio.run(judge())) == found(map(inspector.inspect, FRAMES))


def test_threads_that_come_after_close_are_told(inspector):
    inspector.close()
    with ThreadPoolExecutor(2) as threads:
        for each in [threads.submit(inspector.inspect, GOOD) for _ in range(4)]:
            with pytest.raises(EdgerdError, match="closed"):
                each.result()


@pytest.mark.emulated(once=True)
def test_on_a_gpu_another_thread_is_refused(on_gpu):
    inspector = on_gpu()
    with ThreadPoolExecutor(1) as threads, pytest.raises(DeviceError, match="another thread"):
        threads.submit(inspector.inspect, GOOD).result()
    assert inspector.inspect(GOOD).verdict is Verdict.OK


@pytest.mark.parametrize("form", ["array", "path", "PIL", "tensor"])
def test_a_picture_gets_the_same_score_whichever_way_it_comes(inspector, tmp_path, form):
    frame = np.random.default_rng(0).integers(0, 256, (50, 70, 3), np.uint8)
    if form == "array":
        given = frame[..., ::-1][..., ::-1]
    elif form == "path":
        given = tmp_path / "part.png"
        write_png(given, frame)
    elif form == "PIL":
        given = pytest.importorskip("PIL.Image").fromarray(frame[..., ::-1])
    else:
        torch = pytest.importorskip("torch", exc_type=ImportError)
        given = torch.from_numpy(frame[..., ::-1].copy()).permute(2, 0, 1)
    assert found([inspector.inspect(given)]) == found([inspector.inspect(frame)])


def test_a_camera_that_gave_no_frame_is_named(inspector):
    with pytest.raises(PictureError, match="None was given"):
        inspector.inspect(None)
    with pytest.raises(PictureError, match="missing"):
        inspector.inspect(Path("missing.png"))


@pytest.mark.parametrize("frame", [DEFECTIVE, GOOD, GOOD[..., 0], BLACK], ids=["NG", "OK", "grey", "black"])
def test_what_was_found_is_drawn_over_a_copy_of_the_frame(inspector, frame):
    before = frame.copy()
    drawn = inspector.overlay(frame, inspector.inspect(frame))
    assert drawn.shape == (*frame.shape[:2], 3)
    assert not np.shares_memory(drawn, frame)
    np.testing.assert_array_equal(frame, before)


def test_a_defect_is_drawn_where_it_is(inspector):
    drawn = inspector.overlay(DEFECTIVE, inspector.inspect(DEFECTIVE))
    blue, _, red = (drawn[16:32, 20:44, channel].astype(int).mean() for channel in range(3))
    assert red > blue  # the colour of what is above the threshold; the frame itself is grey
