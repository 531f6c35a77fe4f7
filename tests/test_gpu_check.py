"""`benchmarks/gpu_check.py` where there is no GPU, and over the emulated one, whose figures are never kept."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from edgerd.errors import DeviceError, MissingDependencyError

REPOSITORY = Path(__file__).parents[1]
BENCHMARKS = REPOSITORY / "benchmarks"
RESULTS = BENCHMARKS / "results"
FRAME_SIZE = (160, 96)


@pytest.fixture
def on_path(monkeypatch):
    """The scripts' own modules can be imported, as when one of them is run."""
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    yield
    for name in [name for name in sys.modules if name.partition(".")[0] in ("gpu", "gpu_check", "machine")]:
        del sys.modules[name]


def test_without_a_gpu_it_names_what_is_missing_and_writes_nothing():
    before = sorted(RESULTS.iterdir())
    environment = os.environ | {"PYTHONPATH": str(REPOSITORY), "CUDA_VISIBLE_DEVICES": ""}
    command = [sys.executable, BENCHMARKS / "gpu_check.py", "--quick", "--no-tests"]
    ended = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=False)
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.count("**not run**") == 6
    for thing in ("driver", "tensorrt", "onnxruntime-cuda", "pip install"):
        assert thing in ended.stdout
    assert "Nothing was written" in ended.stdout
    assert sorted(RESULTS.iterdir()) == before


def test_a_section_says_how_it_ended_and_loses_no_other(on_path, capfd):
    from gpu.sections import Bar, NotRunError, Section, run_section

    def raising(error):
        def fill(_):
            raise error

        return fill

    assert run_section("a", lambda section: section.rows.append({"x": 1})).status == "ran"
    for error in (NotRunError("no torch"), MissingDependencyError("no torch", hint="pip")):
        section = run_section("b", raising(error))
        assert (section.status, section.is_good) == ("not run", True)
        assert section.reason.startswith("no torch")
    for error in (DeviceError("the GPU refuses"), ZeroDivisionError("oh")):
        section = run_section("c", raising(error))
        assert (section.status, section.is_good) == ("failed", False)
    assert not Section("d", bars=[Bar("share", 0.69, 0.7, at_most=False)]).is_good
    assert Section("d", bars=[Bar("ms", 0.7, 0.7)]).is_good


@pytest.fixture
def emulated(emulation, on_path, bundle, tmp_path, monkeypatch):
    """The subject's bundle, engines of it, and a cache of this test's own."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    from gpu.engines import build_all
    from gpu.sections import Section
    from gpu.subject import given_subject

    subject, section = given_subject(bundle.path, None), Section("build")
    monkeypatch.setattr("gpu.engines.typed_graph", _fp32_only)
    return subject, build_all(subject, section), section


def _fp32_only(bundle, precision, flavour):
    from edgerd.building.typed_graph import typed_graph

    if precision != "fp32":
        raise MissingDependencyError("the quantiser is left out, to save time")
    return typed_graph(bundle, precision, flavour)


@pytest.mark.emulated(once=True)
def test_kernels_are_checked_over_the_emulated_gpu(emulation, on_path, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    from gpu import kernels
    from gpu.sections import run_section

    every_case = kernels.cases
    small = lambda n: (case for case in every_case(n) if case.width * case.height < 50_000)  # noqa: E731
    monkeypatch.setattr(kernels, "cases", small)
    section = run_section("kernels", lambda section: kernels.fill_correctness(section, 6))
    assert section.status == "ran", section.reason
    assert [row["format"] for row in section.rows] == ["bgr", "grey", "nv12", "yuyv"]
    assert section.is_good
    bandwidth = run_section(
        "bandwidth", lambda section: kernels.fill_bandwidth(section, 2, width=64, height=64, copy_mib=1)
    )
    assert bandwidth.status == "ran", bandwidth.reason
    assert len(bandwidth.bars) == 1


@pytest.mark.emulated(once=True)
def test_engines_and_the_camera_step_are_timed_over_the_emulated_gpu(emulated, monkeypatch):
    from gpu import engines, loop, published
    from gpu.sections import run_section

    subject, built, notes = emulated
    assert [each.name for each in built] == ["tensorrt fp32"]
    assert any("onnxruntime-cuda was not run" in note for note in notes.notes)
    assert any("tensorrt fp16 was not run" in note for note in notes.notes)
    monkeypatch.setattr(loop, "_WARM_UP", 1)
    for fill in (engines.fill, loop.fill, loop.fill_whole_frame):
        section = run_section("any", lambda section, fill=fill: fill(section, subject, built, 3, FRAME_SIZE))
        assert section.status == "ran", section.reason
        assert section.rows
    assert {bar.name for bar in section.bars} == {"tensorrt fp32, frame p50 ms", "tensorrt fp32, frame p99 / p50"}
    section = run_section("published", lambda section: published.fill(section, subject, built, 3))
    assert section.status == "not run"
    assert "--run" in section.reason


@pytest.mark.emulated(once=True)
def test_emulated_figures_are_never_written(emulation, on_path):
    from gpu import inventory

    assert inventory.has_gpu()
    assert inventory.is_emulated()
    assert inventory.card() is None
