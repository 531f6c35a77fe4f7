"""The camera step over the emulated GPU: what is called for a frame, and what comes out of it."""

from __future__ import annotations

import numpy as np
import pytest
from device_calls import EAGER, GRAPH, live, noise
from device_parts import in_format
from inspection_parts import BLACK, THRESHOLD, make_bundle, picture

from edgerd.bundle.manifest import PreprocessSpec, RegionSpec, TileSpec
from edgerd.errors import InputError, SpecError
from edgerd.inspection.gpu.options import DeviceOptions
from edgerd.inspection.inspector import Inspector
from edgerd.runtimes.fake import FakeEngine
from edgerd.types import Frame, PixelFormat, Verdict

pytestmark = pytest.mark.emulated

SPEC = PreprocessSpec(height=32, width=32)
ONCE = {"kernel": 1, "engine": 1, "copy": 3}


@pytest.mark.parametrize("mode", ["latency", "throughput"])
@pytest.mark.parametrize(("capture", "calls"), [(True, GRAPH), (False, EAGER)])
def test_calls_per_frame(emulation, on_gpu, mode, capture, calls):
    inspector = on_gpu(mode=mode, capture=capture)
    for seed in range(4):
        inspector.inspect(noise(seed=seed))
        before = live(emulation)
        emulation.driver.clear()
        inspector.inspect(noise(seed=seed))
        assert emulation.driver.counts() == calls
        done = emulation.driver.counts(device=True)
        assert {name: done[name] for name in ONCE} == ONCE
        assert live(emulation) == before
    assert inspector.notes == ()


@pytest.mark.parametrize("spec", [
    SPEC,
    PreprocessSpec(height=32, width=160),
    PreprocessSpec(height=128, width=128),
    PreprocessSpec(height=32, width=32, region=RegionSpec(x=6, y=2, width=64, height=32)),
    PreprocessSpec(height=32, width=32, tiles=TileSpec(rows=1, columns=2, overlap=0.2)),
], ids=["shrinks", "mixed", "enlarges", "region", "tiles"])  # fmt: skip
@pytest.mark.parametrize("pixel_format", PixelFormat)
def test_an_inspection_is_that_of_the_cpu(on_gpu, spec, pixel_format):
    inspector, cpu = on_gpu(spec), Inspector(make_bundle(spec), FakeEngine(), THRESHOLD)
    may_differ = 1 / 128 + 1e-4  # a pixel may
    for seed in range(3):
        frame = noise(pixel_format, seed=seed)
        here, there = inspector.inspect(frame), cpu.inspect(frame)
        assert here.score == pytest.approx(there.score, abs=may_differ)
        assert here.anomaly_map.shape == there.anomaly_map.shape == (spec.n_tiles, spec.height, spec.width)
        np.testing.assert_allclose(here.anomaly_map, there.anomaly_map, atol=may_differ)


@pytest.mark.parametrize("aspect", ["crop", "letterbox"])
@pytest.mark.parametrize("pixel_format", PixelFormat)
def test_a_frame_that_keeps_its_aspect_ratio_is_inspected_as_on_the_cpu(on_gpu, pixel_format, aspect):
    spec = PreprocessSpec(height=64, width=64, tiles=TileSpec(rows=1, columns=2), aspect=aspect)
    inspector, cpu = on_gpu(spec), Inspector(make_bundle(spec), FakeEngine(), THRESHOLD)
    bgr = picture(0.8, height=64, width=320)
    bgr[:, 160:] = 128
    frame = Frame(in_format(bgr, pixel_format), pixel_format)
    here, there = inspector.inspect(frame), cpu.inspect(frame)
    assert here.verdict is there.verdict is Verdict.NG
    assert here.anomaly_map.shape == there.anomaly_map.shape == (2, 26 if aspect == "letterbox" else 64, 64)
    np.testing.assert_allclose(here.anomaly_map, there.anomaly_map, atol=1 / 128 + 1e-4)
    assert [region.box for region in here.regions] == [region.box for region in there.regions]


def test_a_defect_is_where_it_is_on_the_cpu(on_gpu):
    frame = picture(0.5, height=64, width=96)
    here, there = on_gpu().inspect(frame), Inspector(make_bundle(), FakeEngine(), THRESHOLD).inspect(frame)
    assert here.verdict is Verdict.NG
    assert here.regions == there.regions


def test_a_black_frame_is_not_judged(on_gpu):
    inspection = on_gpu().inspect(BLACK)
    assert (inspection.verdict, inspection.reason) == (Verdict.NO_DECISION, "black frame")


def test_an_inspection_keeps_its_map(on_gpu):
    inspector = on_gpu(slots=1)
    first = inspector.inspect(noise(seed=1))
    kept = first.anomaly_map.copy()
    inspector.inspect(noise(seed=2))
    np.testing.assert_array_equal(first.anomaly_map, kept)


def test_frames_of_other_sizes_and_formats_one_after_the_other(emulation, on_gpu):
    inspector, cpu = on_gpu(), Inspector(make_bundle(), FakeEngine(), THRESHOLD)
    inspector.inspect(noise())
    before = live(emulation)
    for pixel_format in PixelFormat:
        for height in (64, 96):
            frame = noise(pixel_format, height=height)
            assert inspector.inspect(frame).score == pytest.approx(cpu.inspect(frame).score, abs=0.01)
    inspector.inspect(noise())
    assert live(emulation) == before


def test_profile_measures_the_engine_with_events_that_are_made_once(emulation, on_gpu):
    inspector = on_gpu(profile=True)
    inspector.inspect(noise())
    before = live(emulation)
    emulation.driver.clear()
    assert inspector.inspect(noise()).engine_ms is not None
    counts = emulation.driver.counts()
    assert (counts["cuGraphLaunch"], counts["cuEventRecord"], counts["cuStreamSynchronize"]) == (3, 2, 1)
    assert live(emulation) == before
    assert before["event"] == 2


def test_without_profile_there_are_no_events(emulation, on_gpu):
    inspector = on_gpu()
    assert inspector.inspect(noise()).engine_ms is None
    assert live(emulation)["event"] == 0


def test_an_integrated_gpu_copies_nothing(emulation, on_gpu):
    emulation.driver.set_device("Orin", sm=(8, 7), integrated=True)
    inspector, cpu = on_gpu(), Inspector(make_bundle(), FakeEngine(), THRESHOLD)
    inspector.inspect(noise())
    emulation.driver.clear()
    for seed in range(3):
        assert inspector.inspect(noise(seed=seed)).score == cpu.inspect(noise(seed=seed)).score
    assert emulation.driver.counts(device=True)["copy"] == 0


@pytest.mark.parametrize("wait", ["blocking", "spinning"])
def test_how_to_wait_is_set_on_the_context(emulation, on_gpu, wait):
    import ctypes

    on_gpu(wait=wait)
    flags, active = ctypes.c_uint(), ctypes.c_int()
    emulation.driver.library.cuDevicePrimaryCtxGetState(0, ctypes.byref(flags), ctypes.byref(active))
    assert flags.value == {"spinning": 1, "blocking": 4}[wait]


@pytest.mark.parametrize("mode", ["latency", "throughput"])
def test_keeping_warm_runs_the_engine_alone_and_once(emulation, on_gpu, mode):
    inspector = on_gpu(mode=mode)
    inspector.inspect(noise())
    emulation.driver.clear()
    inspector.keep_warm()
    assert emulation.driver.counts() == {"cuStreamSynchronize": 1}
    assert emulation.driver.counts(device=True)["engine"] == 1
    on_gpu(keep_warm=False).keep_warm()
    assert inspector.inspect(noise(seed=5)).score is not None


def test_frames_that_do_not_fit_are_refused_as_on_the_cpu(on_gpu):
    inspector = on_gpu(PreprocessSpec(height=32, width=32, region=RegionSpec(x=0, y=0, width=64, height=48)))
    with pytest.raises(SpecError, match="leaves the frame"):
        inspector.inspect(picture(height=20, width=20))
    with pytest.raises(SpecError, match="nv12 frame"):
        inspector.inspect(Frame(picture(), PixelFormat.NV12))
    assert inspector.inspect(noise()).score is not None


def test_slots_there_must_be():
    with pytest.raises(InputError, match="0 slots"):
        DeviceOptions(slots=0)


def test_kernels_are_made_before_the_first_frame(emulation, on_gpu, monkeypatch):
    from edgerd.cuda.kernels import cubins

    compiled = []
    compile_cubins = cubins.compile_cubins
    monkeypatch.setattr(cubins, "compile_cubins", lambda *words: compiled.append(words) or compile_cubins(*words))
    source = cubins.kernel_source() + "// compiled by no other test"
    monkeypatch.setattr(cubins, "kernel_source", lambda: source)
    before = live(emulation)["module"]  # tests of memory that stays leave kernels loaded
    inspector = on_gpu()
    inspector.warm_up()
    assert len(compiled) == 1
    inspector.inspect(noise())
    assert len(compiled) == 1
    assert live(emulation)["module"] == before + 1
