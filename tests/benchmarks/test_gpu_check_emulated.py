"""`benchmarks/gpu_check.py` over the emulated GPU, whose figures are never kept."""

from __future__ import annotations

import pytest

from edgerd.errors import MissingDependencyError


@pytest.mark.emulated(once=True)
def test_kernels_are_checked_over_the_emulated_gpu(emulation, private_cache, quick, monkeypatch):
    from gpu import kernels
    from gpu.parts import run_section
    from gpu.sections import Section

    every_case = kernels.cases
    small = lambda n: (case for case in every_case(n) if case.width * case.height < 50_000)  # noqa: E731
    monkeypatch.setattr(kernels, "cases", small)
    section = run_section(Section("kernels"), lambda section: kernels.fill_correctness(section, 6))
    assert section.status == "ran", section.reason
    assert [row["format"] for row in section.rows] == ["bgr", "grey", "nv12", "yuyv"]
    assert section.is_good
    bandwidth = run_section(
        Section("bandwidth"), lambda section: kernels.fill_bandwidth(section, 2, width=64, height=64, copy_mib=1)
    )
    assert bandwidth.status == "ran", bandwidth.reason
    assert len(bandwidth.bars) == 1


@pytest.mark.emulated(once=True)
def test_every_part_of_an_engine_runs_over_the_emulated_gpu(
    emulation, private_cache, quick, bundle, trained_run, tmp_path, monkeypatch
):
    from gpu import loop, measure, parts, published
    from gpu.schedule import BASELINE, Part, Wanted
    from gpu.sections import Section

    monkeypatch.setattr(parts, "_FRAME_SIZE", (160, 96))
    monkeypatch.setattr(loop, "_WARM_UP", 1)
    monkeypatch.setattr(measure, "_WARM_UP", 1)
    monkeypatch.setattr(measure, "UPLOADS", 3)
    monkeypatch.setattr(parts.faulthandler, "enable", lambda: None)
    monkeypatch.setattr(parts.subjects, "typed_graph", _fp32_only)
    on_cpu = published.fill_baseline
    monkeypatch.setattr(published, "fill_baseline", lambda *arguments: on_cpu(*arguments, "cpu"))
    wanted = Wanted(tmp_path / "work", bundle.path, trained_run, 20, False, float("inf"))
    (wanted.work / "parts").mkdir(parents=True)

    def run(part):
        parts.run_part(part, wanted)
        section = Section.read(wanted.file_of(part))
        assert section.status == "ran", section.reason
        return section

    facts = run(Part("inventory")).facts
    assert facts["gpu"]
    assert facts["is_emulated"]
    assert ["tensorrt", "fp32"] in facts["engines"]
    made = run(Part("subject"))
    assert made.facts["graphs"] == ["fp32"]
    assert any("There is no fp16 graph" in note for note in made.notes)
    engine = "tensorrt fp32"
    built = run(Part("engine", engine))
    assert built.facts["is_built"]
    assert built.rows[0]["map error"] < 1e-4
    whole = run(Part("whole", engine))
    assert [bar.name for bar in whole.bars] == [f"{engine}, frame p50 ms", f"{engine}, frame p99 / p50"]
    (row,) = whole.rows
    assert whole.bars[0].allowed == pytest.approx(row["engine p50 ms"] + row["upload ms"] + 0.08)
    assert any("10000 frames" in note for note in whole.notes)
    baseline = run(BASELINE).facts["p50_ms"]
    (row,) = run(Part("published", engine)).rows
    assert row["times as fast"] == pytest.approx(baseline / row["p50 ms"])
    assert len(run(Part("step", engine)).rows) == len(loop.MODES)


def _fp32_only(bundle, precision, flavour):
    from edgerd.building.typed_graph import typed_graph

    if precision != "fp32":
        raise MissingDependencyError("the quantizer is left out, to save time")
    return typed_graph(bundle, precision, flavour)


@pytest.mark.emulated(once=True)
def test_emulated_figures_are_never_written(emulation, on_path):
    from gpu import inventory, report
    from gpu.parts import run_section
    from gpu.schedule import Check, Part
    from gpu.sections import Section

    check = Check.__new__(Check)
    check.parts = {Part("inventory"): run_section(Section("What is there"), inventory.fill)}
    assert check.inventory["gpu"]
    assert report.result_stem(check, is_quick=False) is None
