"""The parts of `benchmarks/gpu_check.py`: a section each, and a crash or a hang costs no other."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

import numpy as np
import pytest

from edgerd.errors import DeviceError, MissingDependencyError

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


def test_a_section_says_how_it_ended_and_keeps_what_it_found(on_path, capfd, tmp_path):
    from gpu.parts import run_section
    from gpu.sections import Bar, NotRunError, Section

    def raising(error):
        def fill(section):
            section.add({"x": float("inf")})
            raise error

        return fill

    assert run_section(Section("a"), lambda section: section.add({"x": 1})).status == "ran"
    file = tmp_path / "section.json"
    for error, status, is_good in (
        (NotRunError("no torch"), "not run", True),
        (MissingDependencyError("no torch", hint="pip"), "not run", True),
        (DeviceError("the GPU refuses"), "failed", False),
        (ZeroDivisionError("oh"), "failed", False),
    ):
        run_section(Section("b", file=file), raising(error))
        kept = Section.read(file)
        assert (kept.status, kept.is_good) == (status, is_good)
        assert str(error).partition("\n")[0] in kept.reason
        assert kept.rows == [{"x": "inf"}]  # JSON has no infinity
    assert not Section("d", "ran", bars=[Bar("share", 0.69, 0.7, at_most=False)]).is_good
    assert not Section("d", "ran", bars=[Bar("ms", float("nan"), 0.7)]).is_good
    assert Section("d", "ran", bars=[Bar("ms", 0.7, 0.7)]).is_good


PART = """
import os, sys, time
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from gpu.sections import Section
kind, engine = sys.argv[2:4]
section = Section(kind, file=Path(sys.argv[4]))
section.facts = {
    "inventory": {"gpu": "NVIDIA Test/1", "engines": [["tensorrt", "fp32"], ["tensorrt", "fp16"]]},
    "subject": {"graphs": ["fp32", "fp16"]},
    "published": {"p50_ms": 1.0},
    "engine": {"is_built": True},
}.get(kind, {})
section.add({"engine": engine, "way": engine, "times as fast": 21.0 if engine == "tensorrt fp32" else 3.0})
if (kind, engine) == ("engine", "tensorrt fp16"):
    os.abort()
if kind == "correctness":
    time.sleep(60)
section.status = "ran"
section.keep()
"""


@pytest.fixture
def planted(on_path, tmp_path, monkeypatch):
    """A check whose parts end as `PART` says: one crashes, one hangs. Gives it after it ran, and its parts' order."""
    from gpu import schedule

    monkeypatch.setattr(schedule, "_LIMITS_S", {"correctness": 3})

    def run(limit_s=float("inf"), on_part=lambda _: None):
        asked = []
        wanted = schedule.Wanted(tmp_path / "work", None, None, 100, True, limit_s)

        def command(part):
            asked.append(part.name)
            return [sys.executable, "-c", PART, str(BENCHMARKS), part.kind, part.engine, str(wanted.file_of(part))]

        check = schedule.Check(wanted, command, on_part)
        check.run()
        return check, asked

    return run


def test_a_crash_and_a_hang_cost_nothing_but_their_part(planted, tmp_path):
    from gpu import report

    seen = []

    def on_part(check):
        report.write(check, tmp_path / "results", report.result_stem(check, is_quick=False))
        seen.append(json.loads(next((tmp_path / "results").glob("*.json")).read_text()))

    check, _ = planted(on_part=on_part)
    sections = {section.title: section for section in check.sections()}
    hung, crashed = sections["Kernels against OpenCV"], sections["Engines, stage by stage"]
    assert (hung.status, len(hung.rows)) == ("failed", 1)
    assert "longer than 3 s" in hung.reason
    assert (crashed.status, len(crashed.rows)) == ("failed", 2)
    assert "SIGABRT" in crashed.reason
    assert [row["engine"] for row in sections["The camera step"].rows] == ["tensorrt fp32", "tensorrt fp16"]
    (bar,) = sections["Against the published way"].bars
    assert (bar.measured, bar.allowed, bar.holds) == (21.0, 20.0, True)
    assert sections["Tests that need a GPU"].status == "ran"
    assert [len(content["sections"]) for content in seen][:3] == [1, 2, 3]  # written after each part
    (name,) = {file.name for file in (tmp_path / "results").glob("*.md")}
    assert name.startswith("nvidia-test-1-")
    assert report.result_stem(check, is_quick=True).endswith("-quick")


def test_a_second_command_goes_on_where_time_ran_out(planted):
    check, asked = planted(limit_s=0)
    assert asked == []
    assert not check.is_complete
    check, asked = planted()
    assert check.is_complete
    check, asked = planted()
    assert asked == ["inventory", "correctness", "engine-tensorrt-fp16"]  # what failed is tried again


def test_the_tests_that_need_a_gpu_are_run_without_what_others_need(on_path, tmp_path, monkeypatch):
    from gpu import device_tests
    from gpu.parts import run_section
    from gpu.sections import Section

    for name in ("hypothesis", "sklearn", "skimage", "torch"):
        (tmp_path / f"{name}.py").write_text("raise ImportError('not on this machine')")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    section = run_section(Section("tests"), device_tests.fill)
    assert section.status == "not run"
    assert re.match(r"all [1-9]\d* were skipped: ", section.reason), section.reason
    monkeypatch.setattr(device_tests, "_NEEDED", ("pytest", "pytest_that_is_not_there"))
    section = run_section(Section("tests"), device_tests.fill)
    assert (section.status, "pip install pytest" in section.reason) == ("not run", True)


def test_the_published_way_gives_the_maps_of_the_bundle(quick, bundle, trained_run):
    from gpu import published
    from gpu.parts import run_section
    from gpu.sections import Section
    from gpu.subject import given_subject

    subject = given_subject(bundle.path, trained_run)
    way = published.PublishedWay(subject, "cpu")
    np.testing.assert_allclose(way.run(), way.expected, atol=1e-4)
    section = run_section(Section("published"), lambda section: published.fill_baseline(section, subject, 2, "cpu"))
    assert section.status == "ran", section.reason
    assert section.rows[0]["n"] == 2
    assert section.facts["p50_ms"] > 0


def test_what_is_measured_is_made_again_where_that_was_cut_short(on_path, tmp_path, monkeypatch):
    from gpu import parts
    from gpu.schedule import Part, Wanted
    from gpu.sections import Section

    monkeypatch.setattr(parts.faulthandler, "enable", lambda: None)
    monkeypatch.setattr(parts.subjects, "TEACHER", "lite0")
    monkeypatch.setattr(parts.subjects, "SIZE", 64)
    monkeypatch.setattr(parts.subjects, "_STEPS", 2)
    wanted = Wanted(tmp_path, None, None, 20, False, float("inf"))
    (tmp_path / "parts").mkdir()
    (tmp_path / "subject" / "parts").mkdir(parents=True)
    (tmp_path / "subject" / "parts" / "half.png").touch()
    facts = {"engines": [["onnxruntime-cuda", "fp32"]]}
    Section("What is there", facts=facts, file=wanted.file_of(Part("inventory"))).keep()
    parts.run_part(Part("subject"), wanted)
    section = Section.read(wanted.file_of(Part("subject")))
    assert section.status == "ran", section.reason
    assert section.facts["graphs"] == ["fp32"]
    assert Path(section.facts["run"]).is_dir()
    assert "random weights" in section.facts["origin"]


def test_what_nvidia_smi_says_is_read_field_by_field_where_it_must_be(quick, tmp_path, monkeypatch):
    from gpu import card

    monkeypatch.setenv("PATH", str(tmp_path))
    assert (card.facts(), card.now(), card.clocks_while(lambda: None)) == ({}, {}, {})
    script = tmp_path / "nvidia-smi"
    script.write_text(
        "#!/bin/sh\n"
        'case "$*" in\n'
        "  *throttle*) echo 'Field \"x\" is not a valid field to query.'; exit 2;;\n"
        "  *clocks.sm,*|*name,*) exit 2;;\n"
        "  *clocks.sm*) echo '1980 MHz';;\n"
        "  *gpu=name*) echo 'NVIDIA H200';;\n"
        "  *) echo '[N/A]';;\n"
        "esac\n"
    )
    script.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin:/usr/bin")
    assert card.facts() == {"name": "NVIDIA H200"}
    assert card.now() == {"SM clock": "1980 MHz"}
    assert card.clocks_while(lambda: None) == {"SM clock": "1980 MHz"}
