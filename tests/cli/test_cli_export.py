"""`edgerd export`: the bundle works at once; what was there before stays where it fails."""

from __future__ import annotations

import errno
import json
import shutil

import numpy as np
import pytest

from edgerd.bundle.bundle import Bundle
from edgerd.bundle.manifest import CrossFitRecord
from edgerd.data.samples import write_dataset
from edgerd.training.checkpoint import Checkpoint, save_checkpoint


def test_a_fresh_bundle_works_at_once(edgerd, trained_run, parts, tmp_path):
    out = tmp_path / "mein bundle"
    exported = edgerd("export", trained_run, "-o", out)
    assert exported.exit_code == 0, exported.err
    assert "ONNX Runtime against PyTorch" in exported.out
    assert "extrapolated: 10 good pictures are too few to settle a false-alarm rate of 1 %" in exported.out
    assert "89 more good pictures would settle it" in exported.out
    assert f"edgerd build-engine '{out}'" in exported.out
    assert edgerd("inspect", out, parts / "test" / "good" / "000.png").exit_code == 0


def test_a_rate_that_the_pictures_settle_is_not_extrapolated(edgerd, trained_run, tmp_path):
    exported = edgerd("export", trained_run, "-o", tmp_path / "bundle", "--false-alarm-rate", 0.2)
    assert "number 9 of the 10 good pictures" in exported.out
    assert "90 % interval" in exported.out


def test_without_pictures_the_gate_asks_for_some_and_the_scores_stay(edgerd, trained_run, tmp_path):
    bundle = tmp_path / "bundle"
    assert edgerd("export", trained_run, "-o", bundle, "--no-pictures").exit_code == 0
    assert Bundle.open(bundle).manifest.threshold is not None
    assert not (bundle / "pictures").exists()
    assert edgerd("calibrate", bundle, "--false-alarm-rate", 0.2).exit_code == 0
    assert Bundle.open(bundle).manifest.threshold.n_good == 10
    refused = edgerd("build-engine", bundle)
    assert refused.exit_code == 3
    assert "has no pictures" in refused.err
    assert "--calibration DATA" in refused.err


def test_what_an_export_replaces_is_named(edgerd, trained_run, bundle):
    assert "is replaced" not in edgerd("export", trained_run, "-o", bundle.path).err
    assert edgerd("build-engine", bundle.path, "--runtime", "onnxruntime", "--precision", "fp32").exit_code == 0
    opened = Bundle.open(bundle.path)
    opened.save_with(opened.manifest, {"graph.fp16.trt.onnx": b"a graph"})
    exported = edgerd("export", trained_run, "-o", bundle.path)
    assert exported.exit_code == 0
    assert (
        "is replaced: the engine onnxruntime fp32, the graph graph.fp16.trt.onnx will have to be made" in exported.err
    )
    assert Bundle.open(bundle.path).manifest.engines == ()


def test_what_calibrate_did_is_not_undone_by_another_export(edgerd, trained_run, bundle, tmp_path):
    more = write_dataset(tmp_path / "more", "ring", n_train=12, n_test_good=1, n_per_defect=1, size=96, seed=7)
    assert edgerd("calibrate", bundle.path, more, "--false-alarm-rate", 0.05).exit_code == 0
    before = Bundle.open(bundle.path).manifest
    exported = edgerd("export", trained_run, "-o", bundle.path)
    assert exported.exit_code == 0, exported.err
    assert f"12 good pictures that were added to {bundle.path} earlier stay in it" in exported.out
    after = Bundle.open(bundle.path).manifest
    assert (after.threshold, after.holdout) == (before.threshold, before.holdout)
    exported = edgerd("export", trained_run, "-o", bundle.path, "--no-pictures")
    assert "leaves out the 12 good pictures that were added" in exported.err


@pytest.mark.parametrize("options", [(), ("--no-pictures",)])
def test_a_run_that_was_cross_fitted_needs_no_held_out_picture(edgerd, trained_run, tmp_path, options):
    run = shutil.copytree(trained_run, tmp_path / "run")
    record = json.loads((run / "run.json").read_text())
    scores = [0.2 + index / 1000 for index in range(len(record["train"]))]
    scores[3] = 0.9
    file, record_of_scores = run / "checkpoint.safetensors", CrossFitRecord(folds=4, scores=tuple(scores))
    there = Checkpoint.open(file)
    save_checkpoint(file, there.progress, there.student, there.teacher, cross_fit=record_of_scores)
    np.save(run / "holdout.npy", np.load(run / "holdout.npy")[:0])
    (run / "run.json").write_text(json.dumps(record | {"holdout": []}))
    exported = edgerd("export", run, "-o", tmp_path / "bundle", "--false-alarm-rate", 0.1, *options)
    assert exported.exit_code == 0, exported.err
    threshold = Bundle.open(tmp_path / "bundle").manifest.threshold
    assert (threshold.n_good, threshold.extrapolated) == (len(scores), False)
    assert f"{record['train'][3]} scores 0.900, far above the others" in exported.err
    assert "(good scores by 4 models), 0 held out" in edgerd("show", tmp_path / "bundle").out
    if not options:
        built = edgerd("build-engine", tmp_path / "bundle", "--runtime", "onnxruntime", "--precision", "fp32")
        assert built.exit_code == 0, built.err
        assert "no good picture that training never saw" in built.out


def test_a_full_disk_leaves_the_old_bundle(edgerd, trained_run, bundle, monkeypatch):
    before = (bundle.path / "bundle.json").read_bytes()

    def full(*args):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("edgerd.bundle.bundle.write_durably", full)
    result = edgerd("export", trained_run, "-o", bundle.path)
    assert result.exit_code == 1
    assert "the disk is full" in result.err
    assert (bundle.path / "bundle.json").read_bytes() == before
    Bundle.open(bundle.path).verify()


def test_something_that_is_no_bundle_is_not_replaced(edgerd, trained_run, tmp_path):
    (tmp_path / "thesis.txt").write_text("years of work")
    result = edgerd("export", trained_run, "-o", tmp_path)
    assert result.exit_code == 3
    assert "is not a bundle" in result.err
    assert (tmp_path / "thesis.txt").exists()


def test_a_file_in_place_of_the_folder(edgerd, trained_run, tmp_path):
    (tmp_path / "file").write_text("")
    result = edgerd("export", trained_run, "-o", tmp_path / "file" / "bundle")
    assert result.exit_code == 1
    assert "could not be written" in result.err


@pytest.mark.parametrize("there", [False, True])
def test_no_run_there(edgerd, tmp_path, there):
    if there:
        (tmp_path / "run").mkdir()
    result = edgerd("export", tmp_path / "run", "-o", tmp_path / "bundle")
    assert result.exit_code == 2
    assert "There is no run at" in result.err


def test_without_torch_it_says_what_to_install(edgerd, trained_run, tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "onnxscript", None)
    result = edgerd("export", trained_run, "-o", tmp_path / "bundle")
    assert result.exit_code == 6
    assert 'pip install "edgerd[train]"' in result.err
