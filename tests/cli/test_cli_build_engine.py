"""`edgerd build-engine`: the newest bundle, the fastest engine that passes, or nothing at all."""

from __future__ import annotations

import errno

import pytest

from edgerd.bundle.bundle import Bundle
from edgerd.data.samples import write_dataset
from edgerd.runtimes import load_runtime


def test_without_a_name_it_takes_the_newest_bundle_and_says_so(edgerd, bundle, monkeypatch):
    monkeypatch.chdir(bundle.path.parent)
    result = edgerd("build-engine", "--runtime", "onnxruntime", "--precision", "fp32")
    assert result.exit_code == 0, result.err
    first, tried, chosen = result.out.splitlines()
    assert first == "Bundle: bundle, the newest here."
    assert tried.startswith("onnxruntime fp32: ")
    assert tried.endswith("passes the gate")
    assert chosen.startswith("Default engine of bundle: onnxruntime fp32 (as asked), threshold ")
    (engine,) = Bundle.open(bundle.path).manifest.engines
    assert engine.default


def test_no_bundle_here(edgerd, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    result = edgerd("build-engine")
    assert result.exit_code == 3
    assert f"There is no bundle in {tmp_path}" in result.err
    assert "edgerd export RUN -o BUNDLE" in result.err


def test_the_gate_refuses_and_nothing_is_changed(edgerd, bundle):
    pytest.importorskip("openvino")
    before = (bundle.path / "bundle.json").read_bytes()
    options = ("--runtime", "openvino", "--precision", "fp32", "--max-map-error", 0)
    refused = edgerd("build-engine", bundle.path, *options)
    assert refused.exit_code == 5
    assert "No engine was let through" in refused.err
    assert "openvino fp32: refused by the gate" in refused.out
    rows = {line.split("  ")[0]: line for line in refused.out.splitlines()}
    assert "failed" in rows["largest map error"]
    assert "passed" in rows["good pictures"]
    assert "not judged" in rows["AUPRO drop"]
    assert (bundle.path / "bundle.json").read_bytes() == before

    forced = edgerd("build-engine", bundle.path, *options, "--force")
    assert forced.exit_code == 0
    assert "was refused by the gate and is installed because of --force" in forced.err
    assert "refused, installed by --force" in edgerd("show", bundle.path).out


def test_too_few_pictures_to_judge_by(edgerd, bundle):
    few = bundle.save_with(bundle.manifest.model_copy(update={"holdout": bundle.manifest.holdout[:5], "ranges": ()}))
    before = (few.path / "bundle.json").read_bytes()
    refused = edgerd("build-engine", few.path, "--runtime", "onnxruntime", "--precision", "fp32")
    assert refused.exit_code == 5
    assert "good pictures: 5; at least 8" in refused.err
    row = next(line for line in refused.out.splitlines() if line.startswith("good pictures"))
    assert "failed" in row
    assert "--force" in refused.err
    assert (few.path / "bundle.json").read_bytes() == before


def test_other_pictures_for_the_gate(edgerd, bundle, tmp_path):
    more = write_dataset(tmp_path / "more", "ring", n_train=12, n_test_good=1, n_per_defect=1, size=96, seed=7)
    result = edgerd("build-engine", bundle.path, "--runtime", "onnxruntime", "--calibration", more)
    assert result.exit_code == 0, result.err
    n_test = len(list((more / "test").glob("*/*.png")))
    assert f"0 of {10 + 12 + n_test} verdicts flipped" in result.out
    assert f"on 12 good pictures of {more} too; thresholds stay as they were found" in result.out
    assert Bundle.open(bundle.path).manifest.engines[0].threshold.n_good == 10


def test_an_engine_has_the_threshold_of_all_that_was_collected(edgerd, bundle):
    """It was once found again from the pictures that training held out, extrapolated."""
    uri, rate = "sample://ring?n=40&seed=5&size=96", ("--false-alarm-rate", 0.05)
    assert edgerd("calibrate", bundle.path, "--from-camera", uri, *rate).exit_code == 0
    built = edgerd("build-engine", bundle.path, "--runtime", "onnxruntime", "--precision", "fp32")
    assert built.exit_code == 0, built.err
    assert "extrapolated" not in built.err
    manifest = Bundle.open(bundle.path).manifest
    assert manifest.engines[0].threshold.n_good == manifest.threshold.n_good == 40
    assert not manifest.engines[0].threshold.extrapolated


def test_labelled_pictures_of_the_training_data(edgerd, bundle, parts):
    options = ("--runtime", "onnxruntime", "--precision", "fp32", "--max-auroc-drop", 0.01)
    result = edgerd("build-engine", bundle.path, "--calibration", parts, *options)
    assert result.exit_code == 0, result.err
    assert "compared are 10 of the bundle and the " in result.out
    shown = edgerd("show", bundle.path).out
    aupro = next(line for line in shown.splitlines() if line.startswith("AUPRO drop"))
    assert "at most 0.01" in aupro
    assert "passed" in aupro


def test_training_pictures_are_no_calibration(edgerd, bundle, parts):
    assert edgerd("build-engine", bundle.path, "--calibration", parts / "train" / "good").exit_code == 2


@pytest.mark.skipif("int8" not in load_runtime("onnxruntime").probe().precisions, reason="this CPU has no fast INT8")
def test_a_preset_with_a_part_in_high_precision(edgerd, bundle, tmp_path):
    preset = tmp_path / "line.toml"
    preset.write_text('method = "minmax"\n[parts."decoder/"]\nprecision = "high"\n')
    options = ("--runtime", "onnxruntime", "--precision", "int8", "--preset", preset)
    result = edgerd("build-engine", bundle.path, *options)
    assert result.exit_code == 0, result.err
    assert "onnxruntime int8 with teacher/stage1.0, decoder/ in high precision: " in result.out
    (engine,) = Bundle.open(bundle.path).manifest.engines
    assert engine.high_precision == ("teacher/stage1.0", "decoder/")
    assert "not in INT8  teacher/stage1.0, decoder/" in edgerd("show", bundle.path).out


@pytest.mark.parametrize(
    ("precision", "said"), [((), "auto chooses among other"), (("--precision", "fp32"), "fp32 has no ranges")]
)
def test_a_preset_needs_int8_and_says_so_before_the_work(edgerd, bundle, tmp_path, precision, said):
    result = edgerd("build-engine", bundle.path, "--preset", "entropy", *precision, "--calibration", tmp_path / "none")
    assert result.exit_code == 2
    assert said in result.err
    assert "Expected: --precision int8" in result.err


def test_several_options_that_only_a_build_uses_are_named_together(edgerd, bundle):
    result = edgerd("build-engine", bundle.path, "--dry-run", "--ranges", ".", "--preset", "mse")
    assert result.exit_code == 2
    assert "--ranges, --preset: only apply when an engine is built" in result.err


@pytest.mark.parametrize("mode", [("--dry-run",), ("--target", "device.toml")])
@pytest.mark.parametrize(
    "option",
    [
        ("--preset", "mse"),
        ("--calibration", "."),
        ("--max-map-error", 0.1),
        ("--max-auroc-drop", 0.1),
        ("--ranges", "."),
        ("--force",),
    ],
    ids=lambda words: words[0],
)
def test_what_only_a_build_uses_is_refused_where_nothing_is_built(edgerd, bundle, mode, option):
    result = edgerd("build-engine", bundle.path, "--precision", "int8", *mode, *option)
    assert result.exit_code == 2
    assert f"{option[0]}: only applies when an engine is built; --dry-run and --target build none" in result.err
    assert ("edgerd quantize" in result.err) is (option[0] in ("--preset", "--ranges"))


def test_a_bundle_that_cannot_be_written_is_refused_before_the_work(edgerd, bundle, monkeypatch):
    def read_only(**_):
        raise OSError(errno.EROFS, "Read-only file system")

    monkeypatch.setattr("tempfile.mkdtemp", read_only)
    for module in ("build_engine.gate_pictures", "build_engine.bundle_with_ranges"):
        monkeypatch.setattr(f"edgerd.cli.{module}", lambda *_: pytest.fail("took its time"))
    result = edgerd("build-engine", bundle.path)
    assert result.exit_code == 1
    assert "Read-only file system" in result.err
    assert "choose another place with -o" not in result.err


def test_a_preset_that_is_not_there(edgerd, bundle):
    result = edgerd("build-engine", bundle.path, "--precision", "int8", "--preset", "entrpy")
    assert result.exit_code == 2
    assert "'entropy'" in result.err


def test_an_auroc_drop_without_labels(edgerd, bundle):
    result = edgerd("build-engine", bundle.path, "--max-auroc-drop", 0.01)
    assert result.exit_code == 2
    assert "--calibration DATA" in result.err


@pytest.mark.parametrize(("option", "value"), [("--runtime", "onnxrumtime"), ("--precision", "fp23")])
def test_typing_errors(edgerd, bundle, option, value):
    result = edgerd("build-engine", bundle.path, option, value)
    assert result.exit_code == 2
    assert value in result.err


def test_a_faster_engine_that_is_no_longer_the_default_is_named(edgerd, bundle):
    for runtime in ("onnxruntime", "openvino"):
        built = edgerd("build-engine", bundle.path, "--runtime", runtime, "--precision", "fp32")
        assert built.exit_code == 0
        opened = Bundle.open(bundle.path)
        assert "It is still there" not in built.err
        engines = tuple(engine.model_copy(update={"median_ms": 1e6}) for engine in opened.manifest.engines)
        opened.save_with(opened.manifest.model_copy(update={"engines": engines}))
    opened = Bundle.open(bundle.path)
    engines = tuple(engine.model_copy(update={"median_ms": 1e-3}) for engine in opened.manifest.engines)
    opened.save_with(opened.manifest.model_copy(update={"engines": engines}))
    built = edgerd("build-engine", bundle.path, "--runtime", "openvino", "--precision", "fp32")
    assert "onnxruntime fp32 took 0.0 ms per picture when it was built" in built.err
    assert "It is still there: --runtime onnxruntime --precision fp32." in built.err


def test_a_precision_this_machine_lacks(edgerd, bundle):
    result = edgerd("build-engine", bundle.path, "--runtime", "onnxruntime", "--precision", "fp16")
    assert result.exit_code == 2
    assert "onnxruntime does not run fp16 on this machine (onnxruntime: fp32, int8)" in result.err
    assert "--precision int8" in result.err


def test_a_full_disk_leaves_the_bundle_as_it_was(edgerd, bundle, monkeypatch):
    def full(*args):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("edgerd.bundle.bundle.write_durably", full)
    result = edgerd("build-engine", bundle.path, "--runtime", "onnxruntime")
    assert result.exit_code == 1
    assert "the disk is full" in result.err
    again = Bundle.open(bundle.path)
    assert again.manifest == bundle.manifest
    again.verify()
