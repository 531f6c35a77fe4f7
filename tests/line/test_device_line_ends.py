"""How a run over the emulated GPU ends: cameras and GPUs that fail, Ctrl-C; and what is said and free then."""

from __future__ import annotations

import threading

import pytest
from device_parts import FillingCamera, alerts, judged
from emulation.driver import ILLEGAL_ADDRESS
from inspection_parts import DEFECTIVE, GOOD, picture
from line_parts import run_camera

from edgerd.bundle.manifest import PreprocessSpec, RegionSpec
from edgerd.cameras.fake import FakeCamera
from edgerd.errors import CameraError, DeviceError, DeviceLostError, MissingDependencyError, SpecError
from edgerd.line.summary import Ended
from edgerd.sinks.fake import FakeSink
from edgerd.types import Frame, PixelFormat

pytestmark = pytest.mark.emulated(once=True)

MODES = ("latency", "throughput")


@pytest.mark.parametrize("mode", MODES)
def test_frames_before_a_lost_camera_are_judged_first(on_gpu, mode):
    script = [GOOD, DEFECTIVE, GOOD, CameraError("The camera was unplugged.")]
    lines, events, summary = judged(on_gpu(mode=mode), FakeCamera(script))
    assert [line["verdict"] for line in lines] == ["OK", "NG", "OK", "NO_DECISION"]
    assert alerts(events)[0] == ("alert", "raised", 1)
    assert events[-1]["kind"] == "camera"
    assert summary.ended is Ended.ERROR


@pytest.mark.parametrize("mode", MODES)
def test_a_region_outside_of_the_frame_ends_the_run_of_a_camera(on_gpu, mode):
    inspector = on_gpu(PreprocessSpec(height=32, width=32, region=RegionSpec(x=0, y=0, width=64, height=48)), mode=mode)
    small = picture(height=20, width=20)
    assert judged(inspector, FakeCamera([GOOD, small, GOOD], fixed_size=False))[2].no_decision == 1
    summary = judged(inspector, FakeCamera([small, small]))[2]
    with pytest.raises(SpecError, match="leaves the frame"):
        summary.raise_for_error()


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("what", ["run:engine", "run:copy", "cuGraphLaunch"])
def test_a_gpu_that_is_lost_in_mid_stream_keeps_what_was_said_before(emulation, on_gpu, mode, what):
    inspector = on_gpu(mode=mode)

    def break_it(update):
        if update.statistics.frames == 20:
            emulation.driver.fail(what, ILLEGAL_ADDRESS, sticks=True)

    frames = (picture(0.5 * (number % 2), number=number) for number in range(60))
    lines, events, summary = judged(inspector, FakeCamera(frames), on_update=break_it)
    assert summary.ended is Ended.ERROR
    with pytest.raises(DeviceLostError, match="illegal memory access"):
        summary.raise_for_error()
    assert [line["frame"] for line in lines] == list(range(len(lines)))
    assert summary.ok + summary.ng >= 20
    undecided = [line for line in lines if line["verdict"] == "NO_DECISION"]
    assert 1 <= len(undecided) <= 2
    assert lines[-1]["reason"].startswith("The GPU is lost")
    *alerts_before, lost = events
    assert [event["frame"] for event in alerts_before] == [line["frame"] for line in lines if line["verdict"] == "NG"]
    assert (lost["kind"], lost["state"], lost["frame"]) == ("device", "lost", undecided[0]["frame"])
    assert lost["reason"].startswith("The GPU is lost")
    assert lost["device"] == inspector.engine.key.device
    inspector.close()


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("what", ["cuGraphLaunch", "cuStreamSynchronize"])
def test_a_gpu_that_refuses_leaves_no_frame_without_a_line(emulation, on_gpu, mode, what):
    def break_it(update):
        if update.statistics.frames == 20:
            emulation.driver.fail(what, 1)

    taken = []

    def script():
        for number in range(60):
            taken.append(number)
            yield picture(0.5 * (number % 2), number=number)

    lines, _, summary = judged(on_gpu(mode=mode), FakeCamera(script()), on_update=break_it)
    with pytest.raises(DeviceError, match=what):
        summary.raise_for_error()
    assert [line["frame"] for line in lines] == taken
    assert 20 < len(taken) < 24
    assert (lines[-1]["verdict"], what in lines[-1]["reason"]) == ("NO_DECISION", True)


@pytest.mark.parametrize("mode", MODES)
def test_kernels_that_no_compiler_makes_end_the_run_with_a_line_for_the_frame(emulation, on_gpu, mode):
    emulation.driver.set_device("Of tomorrow", sm=(30, 0))
    lines, _, summary = judged(on_gpu(mode=mode), FakeCamera([GOOD, DEFECTIVE]))
    with pytest.raises(MissingDependencyError, match="do not compile for sm_300") as caught:
        summary.raise_for_error()
    assert caught.value.exit_code == 6
    assert (lines[0]["frame"], lines[0]["verdict"]) == (0, "NO_DECISION")
    assert all("sm_300" in line["reason"] for line in lines)


def test_a_frame_that_was_to_wait_for_one_that_failed_gets_its_line_too(emulation, on_gpu):
    inspector = on_gpu(mode="throughput")
    inspector.inspect(GOOD)
    emulation.driver.fail("cuStreamSynchronize", 1)
    lines, _, summary = judged(inspector, FakeCamera([GOOD, picture(height=96), GOOD], fixed_size=False))
    assert summary.ended is Ended.ERROR
    assert [(line["frame"], line["verdict"]) for line in lines] == [(0, "NO_DECISION"), (1, "NO_DECISION")]
    assert inspector.inspect(DEFECTIVE).score == 0.5


@pytest.mark.parametrize("mode", MODES)
def test_frames_before_a_camera_with_a_bug_are_judged_first(on_gpu, mode):
    verdicts, events = FakeSink(), FakeSink()
    camera = FakeCamera([GOOD, DEFECTIVE, ZeroDivisionError("bug")])
    with pytest.raises(ZeroDivisionError):
        run_camera(on_gpu(mode=mode), camera, verdict_sinks=[verdicts], event_sinks=[events])
    assert [line["verdict"] for line in verdicts.events] == ["OK", "NG"]
    assert alerts(events.events) == [("alert", "raised", 1)]


@pytest.mark.parametrize("mode", MODES)
def test_a_run_that_a_frame_ended_leaves_all_buffers_free(on_gpu, mode):
    inspector = on_gpu(PreprocessSpec(height=32, width=32, region=RegionSpec(x=0, y=0, width=64, height=48)), mode=mode)
    inspector.inspect(GOOD)
    for _ in range(4):
        script = [GOOD, Frame(GOOD, PixelFormat.GREY)]
        summary = judged(inspector, FakeCamera(script))[2]
        with pytest.raises(SpecError, match="grey frame"):
            summary.raise_for_error()
    assert all(inspector.buffers.lend() is not None for _ in range(2))


@pytest.mark.parametrize("mode", MODES)
def test_ctrl_c_and_stop_leave_all_buffers_free(on_gpu, mode):
    inspector = on_gpu(mode=mode)

    def interrupt(update):
        raise KeyboardInterrupt

    camera = FillingCamera([GOOD] * 10, live=False)
    assert run_camera(inspector, camera, on_update=interrupt).ended is Ended.INTERRUPTED
    stop = threading.Event()
    summary = run_camera(inspector, FillingCamera([GOOD] * 10), on_update=lambda _: stop.set(), stop=stop)
    assert summary.ended is Ended.STOPPED
    assert summary.frames <= 2  # what was under way is finished
    summary = run_camera(inspector, FillingCamera([GOOD, DEFECTIVE] * 5), max_frames=5)
    assert (summary.frames, summary.ok, summary.ng) == (5, 3, 2)
    lent = [inspector.buffers.lend() for _ in range(2)]
    assert all(buffer is not None for buffer in lent)
    for buffer in lent:
        inspector.buffers.give_back(buffer)
