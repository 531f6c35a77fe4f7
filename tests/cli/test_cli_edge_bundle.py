"""Commands on the bundle that `edgerd train` makes by default."""

from __future__ import annotations

import json

import pytest


def test_it_is_shown_with_its_prototypes(edgerd, edge_bundle):
    shown = edgerd("show", edge_bundle.path)
    assert shown.exit_code == 0
    assert "lite0, student light, 2000 prototypes" in shown.out
    assert "edge, 60 steps of 8, seed 0" in shown.out
    assert "40 trained on (good scores by 2 models), 0 held out" in shown.out.replace("\n", " ")


def test_export_says_of_how_many_good_pictures_the_threshold_is(edgerd, edge_run, tmp_path):
    exported = edgerd("export", edge_run, "-o", tmp_path / "bundle")
    assert exported.exit_code == 0, exported.err
    assert "prototypes alone" not in exported.out
    assert "extrapolated: 40 good pictures are too few to settle a false-alarm rate of 1 %" in exported.out
    assert "59 more good pictures would settle it" in exported.out


def test_every_command_takes_it(edgerd, edge_bundle, parts):
    path = edge_bundle.path
    commands = {
        "inspect": ("inspect", path, parts / "test" / "missing_hole" / "000.png", "--json", "-"),
        "run": ("run", "--camera", parts / "test" / "good", "--bundle", path, "--json", "-"),
        "evaluate": ("evaluate", path, parts, "--json", "-"),
        "bench": ("bench", path, "--max-frames", 2, "--frame-size", "64x64", "--json", "-"),
    }
    for name, command in commands.items():
        result = edgerd(*command)
        assert result.exit_code == 0, (name, result.err)
        json.loads(result.out)
        assert "40 good pictures; 59 more would settle" in result.err, name


def test_its_student_cannot_be_tuned_and_what_to_do_instead_is_said(edgerd, edge_run, parts):
    before = {file.name: file.read_bytes() for file in edge_run.iterdir()}
    result = edgerd("train", parts, "-o", edge_run, "--resume", "--quantize", "--threads", 1)
    assert result.exit_code == 2
    assert "A run of method 'edge' cannot be fine-tuned for INT8" in result.err
    assert "--max-auroc-drop" in result.err
    assert {file.name: file.read_bytes() for file in edge_run.iterdir()} == before


def test_a_refused_int8_engine_does_not_send_to_a_fine_tune_that_is_refused(edgerd, edge_bundle, bundle):
    int8 = ("--runtime", "onnxruntime", "--precision", "int8", "--max-map-error", 0)
    for one, is_named in ((edge_bundle, False), (bundle, True)):
        refused = edgerd("build-engine", one.path, *int8)
        assert refused.exit_code == 5
        assert ("--resume --quantize" in refused.err) is is_named


@pytest.mark.emulated(once=True)
@pytest.mark.usefixtures("emulation", "private_cache")
@pytest.mark.parametrize("precision", ["fp16", "int8"])
def test_tensorrt_builds_from_it(edgerd, edge_bundle, parts, precision):
    pytest.importorskip("modelopt", reason="edgerd[quantize] is not installed")
    assert edgerd("quantize", edge_bundle.path).exit_code == 0
    options = (
        "--runtime",
        "tensorrt",
        "--precision",
        precision,
        "--force",
    )  # rounded, it may be refused: see the others
    built = edgerd("build-engine", edge_bundle.path, *options)
    assert built.exit_code == 0, built.err
    assert f"tensorrt {precision}" in built.out
    assert edgerd("inspect", edge_bundle.path, parts / "test" / "good" / "000.png").exit_code == 0
