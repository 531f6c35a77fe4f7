"""One emulated GPU for several frames at a time and for several cameras: whose turn it is, and whose memory."""

from __future__ import annotations

import itertools

import pytest
from device_calls import GRAPH, live, noise
from inspection_parts import picture

from edgerd.errors import DeviceError, InputError
from edgerd.types import PixelFormat, Verdict

pytestmark = pytest.mark.emulated


def test_in_throughput_the_next_frame_is_sent_before_the_last_one_is_waited_for(emulation, on_gpu):
    inspector = on_gpu(mode="throughput")
    assert inspector.depth == 2
    frames = [noise(seed=seed) for seed in range(6)]
    alone = [inspector.inspect(frame).score for frame in frames]
    emulation.driver.clear()
    scores, under_way = [], []
    for frame in frames:
        under_way.append(inspector.submit(frame))
        if len(under_way) == inspector.depth:
            scores.append(under_way.pop(0).result().score)
    scores += [pending.result().score for pending in under_way]
    assert scores == alone

    calls = [call for call in emulation.driver.calls() if call.name in GRAPH]
    order = "".join("s" if call.name == "cuStreamSynchronize" else "L" for call in calls)
    assert order == "LLsLsLsLsLss"
    launched = [call.stream for call in calls if call.name == "cuGraphLaunch"]
    waited = [call.stream for call in calls if call.name == "cuStreamSynchronize"]
    assert launched == waited
    assert all(a != b for a, b in itertools.pairwise(launched))


def test_a_frame_of_another_size_waits_for_those_under_way(on_gpu):
    inspector = on_gpu(mode="throughput")
    expected = [inspector.inspect(noise(height=height)).score for height in (64, 96)]
    first = inspector.submit(noise())
    second = inspector.submit(noise(height=96))
    assert [first.result().score, second.result().score] == expected


def test_a_frame_that_finds_no_slot_is_refused(on_gpu):
    inspector = on_gpu(slots=2)
    inspector.inspect(noise())
    lent = inspector.buffers.lend()
    lent[...] = noise().data
    assert inspector.inspect(lent).verdict is Verdict.OK  # and is not given back
    inspector.buffers.lend()
    with pytest.raises(DeviceError, match="All 2 slots are in use"):
        inspector.submit(noise())


@pytest.mark.parametrize("mode", ["latency", "throughput"])
@pytest.mark.parametrize("profile", [False, True])
def test_cameras_with_frames_of_other_sizes_share_an_engine_and_nothing_is_captured_again(
    emulation, on_gpu, mode, profile
):
    first = on_gpu(mode=mode, profile=profile)
    alone = on_gpu(mode=mode)
    sizes = (64, 96, 128)
    cameras = [first, *(first.beside() for _ in sizes[1:])]
    rounds = [[noise(height=height, seed=seed) for height in sizes] for seed in range(4)]
    expected = [[alone.inspect(frame).score for frame in frames] for frames in rounds]
    for camera, frame in zip(cameras, rounds[0], strict=True):
        camera.inspect(frame)
    before = live(emulation)
    emulation.driver.clear()
    for frames, scores in zip(rounds, expected, strict=True):
        pending = [camera.submit(frame) for camera, frame in zip(cameras, frames, strict=True)]
        assert [each.result().score for each in reversed(pending)] == scores[::-1]
    assert live(emulation) == before
    n_frames = len(sizes) * len(rounds)
    counts = emulation.driver.counts()
    assert (counts["cuGraphLaunch"], counts["cuStreamSynchronize"]) == (n_frames * (3 if profile else 1), n_frames)
    assert set(counts) == set(GRAPH) | ({"cuEventRecord", "cuEventElapsedTime"} if profile else set())
    for camera in reversed(cameras):
        camera.close()


def test_a_camera_beside_has_its_own_threshold_and_is_closed_alone(emulation, on_gpu):
    first = on_gpu()
    first.inspect(noise())
    before = live(emulation)
    frame = picture(0.5, height=64, width=96)
    strict = first.beside(threshold=0.6)
    assert [each.inspect(frame).verdict for each in (first, strict)] == [Verdict.NG, Verdict.OK]
    with pytest.raises(InputError, match="find no part"):
        first.beside(threshold=61)
    under_way = first.submit(frame)
    strict.close()
    strict.close()
    assert under_way.result().verdict is Verdict.NG
    assert live(emulation) == before
    assert first.inspect(frame).verdict is Verdict.NG


def test_memory_that_a_camera_may_still_write_to_stays(emulation, on_gpu):
    inspector = on_gpu()
    inspector.inspect(noise())
    lent = inspector.buffers.lend()
    inspector.inspect(noise(PixelFormat.GREY))  # slots of another shape
    lent[:] = 7
    inspector.buffers.give_back(lent)
    assert inspector.buffers.lend().shape == (64, 96)
    stuck = inspector.buffers.lend()
    inspector.close()
    stuck[:] = 7
    assert emulation.driver.live("pinned memory") > 0
