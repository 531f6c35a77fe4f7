"""The loop over the emulated GPU: the same verdicts, alerts and ends as on the CPU."""

from __future__ import annotations

import threading
import time

import numpy as np
import pytest
from device_parts import FillingCamera, alerts, compare_with_the_cpu, gpu_engine, in_format, judged, told
from inspection_parts import BLACK, DEFECTIVE, GOOD, THRESHOLD, make_bundle, picture
from line_parts import run_camera

from edgerd.bundle.manifest import GRAPH_FILE
from edgerd.cameras.fake import FakeCamera
from edgerd.inspection.inspector import Inspector
from edgerd.inspection.slots import address_of
from edgerd.runtimes.fake import FakeEngine
from edgerd.types import Frame, PixelFormat

pytestmark = pytest.mark.emulated(once=True)

MODES = ("latency", "throughput")


def cpu():
    return Inspector(make_bundle(), FakeEngine(), THRESHOLD)


@pytest.mark.parametrize(
    ("pixel_format", "mode"), [*zip(PixelFormat, MODES * 2, strict=True), (PixelFormat.BGR, "throughput")]
)
def test_500_frames_give_the_alerts_of_the_cpu(on_gpu, bundle, pixel_format, mode):
    compare_with_the_cpu(bundle, lambda: gpu_engine(bundle.read(GRAPH_FILE)), pixel_format, mode)


@pytest.mark.parametrize("mode", MODES)
def test_guards_and_sizes_are_those_of_the_cpu(on_gpu, mode):
    larger = picture(0.5, height=96, width=128)
    script = [GOOD, DEFECTIVE, BLACK, larger, DEFECTIVE, GOOD]
    for fixed_size in (True, False):
        here = judged(on_gpu(mode=mode), FakeCamera(script, fixed_size=fixed_size))
        there = judged(cpu(), FakeCamera(script, fixed_size=fixed_size))
        assert told(here[0]) == told(there[0])
        assert alerts(here[1]) == alerts(there[1])
    assert here[2].ng == 3  # of pictures, each may have its size


@pytest.mark.parametrize("mode", MODES)
def test_a_camera_that_changes_its_pixel_format_goes_on(on_gpu, mode):
    script = [Frame(in_format(picture(0.1 * n, number=n), form), form) for n, form in enumerate([*PixelFormat] * 2)]
    here = judged(on_gpu(mode=mode), FakeCamera(script))
    there = judged(cpu(), FakeCamera(script))
    assert told(here[0]) == told(there[0])
    assert [line["score"] for line in here[0]] == pytest.approx([line["score"] for line in there[0]], abs=1e-3)
    assert here[2].no_decision == 0


@pytest.mark.parametrize("mode", MODES)
def test_frozen_camera_is_not_judged_although_its_frames_share_a_few_buffers(on_gpu, mode):
    pictures = [picture(number=number) for number in range(5)] + [GOOD] * 80
    camera = FillingCamera(pictures, live=True)
    lines, _, summary = judged(on_gpu(mode=mode), camera, frames="every")
    assert (summary.ok, summary.no_decision) == (64, 21)
    assert "frozen" in lines[-1]["reason"]
    # Latency: all but the first, whose size was not known yet, and the one that was read meanwhile. Throughput: two
    # frames under way and one that waits have all three buffers now and then.
    assert camera.filled >= (83 if mode == "latency" else 40)


@pytest.mark.parametrize("mode", MODES)
def test_a_live_camera_writes_to_pinned_memory_and_nothing_is_copied_on_the_host(emulation, on_gpu, mode, monkeypatch):
    taken = threading.Semaphore(1)
    inspector = on_gpu(mode=mode)
    inspector.inspect(GOOD)  # the slots are there
    emulation.driver.clear()
    slots: list[int] = []

    def next_please(update):
        slots.append(address_of(update.frame.data))
        taken.release()

    pictures = [picture(0.1 * (number % 5), number=number) for number in range(30)]
    camera = FillingCamera(pictures, live=True, before=lambda _: taken.acquire(timeout=10))
    copied, copy = [], np.copyto
    monkeypatch.setattr(np, "copyto", lambda *arrays: (copied.append(arrays), copy(*arrays)))
    lines, _, summary = judged(inspector, camera, on_update=next_please)
    assert (summary.frames, summary.dropped) == (30, 0)
    assert camera.filled >= 28  # all but those that were read before the size was known
    assert len(copied) <= 30 - camera.filled
    assert len(set(slots[2:])) <= 3
    reference, _, _ = judged(cpu(), FakeCamera(pictures))
    assert [line["score"] for line in lines] == pytest.approx([line["score"] for line in reference])
    assert "pageable" not in emulation.driver.counts()


def test_a_camera_that_is_faster_drops_frames_and_every_verdict_is_of_its_own_frame(on_gpu):
    """Frame n has the grey level that says n: a buffer that is written while it is read would show."""
    pictures = [np.full((48, 64, 3), 60 + number, np.uint8) for number in range(150)]
    for mode in MODES:
        seen: list[tuple[int, float]] = []

        def slow(update, seen=seen):
            seen.append((update.frame.number, update.inspection.score))
            time.sleep(0.002)

        inspector = on_gpu(mode=mode)
        inspector.inspect(GOOD)  # the slots are there when the camera begins
        camera = FillingCamera(pictures, live=True, before=lambda _: time.sleep(0.0005))
        summary = run_camera(inspector, camera, on_update=slow)
        assert summary.frames + summary.dropped == 150
        assert summary.dropped > 0
        assert [score for _, score in seen] == [abs(60 + number - 128) / 128 for number, _ in seen]
        # of three buffers two frames under way leave one to the camera, which then writes elsewhere while it is full
        assert camera.filled > (75 if mode == "latency" else 0)


def test_a_gpu_that_waits_for_frames_is_kept_warm(emulation, on_gpu):
    for keep_warm in (True, False):
        inspector = on_gpu(keep_warm=keep_warm)
        inspector.inspect(GOOD)
        emulation.driver.clear()
        camera = FillingCamera([GOOD, DEFECTIVE], live=True, before=lambda number: time.sleep(0.35 * number))
        run_camera(inspector, camera)
        assert (emulation.driver.counts(device=True)["engine"] > 2) is keep_warm


def test_no_verdict_waits_for_the_next_frame_of_a_camera(on_gpu):
    judged_after = []
    read_s = {}

    def note(update):
        judged_after.append(time.monotonic() - read_s[update.frame.number])

    def slow():
        for number in range(3):
            time.sleep(0.5)
            read_s[number] = time.monotonic()
            yield picture(number=number)

    inspector = on_gpu(mode="throughput")
    inspector.inspect(GOOD)
    run_camera(inspector, FakeCamera(slow(), live=True), frames="every", on_update=note)
    assert max(judged_after) < 0.4


@pytest.mark.parametrize("mode", MODES)
def test_pictures_of_other_sizes_wait_for_those_under_way_and_leave_no_slots_behind(emulation, on_gpu, mode):
    inspector = on_gpu(mode=mode)
    inspector.inspect(GOOD)
    pinned = emulation.driver.live("pinned memory")
    pictures = [picture(0.1 * (number % 5), height=48 + 16 * (number // 3)) for number in range(12)]
    lines, _, _ = judged(inspector, FillingCamera(pictures, fixed_size=False))
    expected, _, _ = judged(cpu(), FakeCamera(pictures, fixed_size=False))
    assert [line["score"] for line in lines] == pytest.approx([line["score"] for line in expected])
    assert emulation.driver.live("pinned memory") == pinned
