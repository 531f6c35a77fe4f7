"""From a run to a bundle: whole, openable, with the pictures a device needs; or an error and the old one stays."""

import hashlib
import json
import resource
import shutil

import numpy as np
import onnxruntime as ort
import pytest
import torch

from edgerd.bundle.bundle import Bundle, bundle_id
from edgerd.bundle.manifest import GRAPH_FILE, CrossFitRecord, PreprocessSpec
from edgerd.data.pictures import added_pictures, load_bundle_pictures, write_png
from edgerd.data.preprocess import parse_tiles
from edgerd.errors import BundleError, GateError, StorageError, WeightsError
from edgerd.exporting import package
from edgerd.exporting.check import reference_maps
from edgerd.exporting.package import bundle_from_run
from edgerd.models.weights import load_teacher, tensors_sha256
from edgerd.training.checkpoint import Checkpoint, save_checkpoint
from edgerd.training.loop import rd4ad_optimiser, train
from edgerd.training.restore import networks_of
from edgerd.training.run import RunFolder, TrainingConfig


@pytest.fixture(scope="module")
def run(trained_run):
    return RunFolder.open(trained_run)


@pytest.fixture(scope="module")
def fresh(run, tmp_path_factory):
    """A bundle right after its export, and what was said."""
    said = []
    return bundle_from_run(run, tmp_path_factory.mktemp("package") / "bundle", say=said.append), said


@pytest.fixture
def quick(monkeypatch, fresh):
    """The graph is exported once for all tests that are about something else: the exporter takes seconds."""
    graph = fresh[0].read(GRAPH_FILE)
    monkeypatch.setattr(package, "graph_from_networks", lambda *args: graph)


def test_the_bundle_opens_and_every_file_is_whole(fresh, run):
    bundle = Bundle.open(fresh[0].path)
    assert bundle == fresh[0]
    manifest = bundle.manifest
    assert bundle.verify() == 1 + len(manifest.holdout) + len(manifest.ranges)
    graph = bundle.read(GRAPH_FILE)
    assert manifest.id == bundle_id(hashlib.sha256(graph).hexdigest(), run.record.config.preprocess)
    assert manifest.threshold is None
    assert manifest.engines == ()


def test_it_says_how_it_was_trained(fresh, run):
    manifest, record = fresh[0].manifest, run.record
    training = manifest.training
    assert (training.method, training.seed, training.steps, training.batch_size) == ("rd4ad", 0, 24, 8)
    assert (training.n_train, training.n_holdout, training.n_skipped) == (len(record.train), len(record.holdout), 0)
    assert training.data_fingerprint == record.data_fingerprint
    assert (manifest.model.teacher, manifest.model.student) == ("lite0", "full")
    assert manifest.model.teacher_sha256 == tensors_sha256(load_teacher("lite0").state_dict())
    assert (manifest.preprocess, manifest.limits) == (record.config.preprocess, record.limits)


def test_it_says_how_close_the_graph_is(fresh):
    assert len(fresh[1]) == 1
    assert "ONNX Runtime against PyTorch on 4 pictures" in fresh[1][0]


def test_its_graph_gives_the_maps_of_the_run(fresh, run):
    networks, _ = networks_of(run)
    frames = run.holdout_pictures()[:, 0]
    session = ort.InferenceSession(fresh[0].read(GRAPH_FILE), providers=["CPUExecutionProvider"])
    (given,) = session.run(["anomaly_map"], {"frame": frames})
    np.testing.assert_allclose(given, reference_maps(networks, frames), rtol=0, atol=1e-4)


def test_its_pictures_are_the_held_out_and_some_training_ones(fresh, run):
    bundle, spec = fresh[0], run.record.config.preprocess
    holdout = load_bundle_pictures(bundle, bundle.manifest.holdout, spec)
    assert np.array_equal(holdout, run.holdout_pictures())
    ranges = load_bundle_pictures(bundle, bundle.manifest.ranges, spec)
    assert np.array_equal(ranges, run.range_pictures())
    assert all(name.startswith("pictures/holdout/") for name in bundle.manifest.holdout)
    assert all(name.startswith("pictures/ranges/") for name in bundle.manifest.ranges)


def test_without_pictures_it_is_smaller_and_has_the_same_id(fresh, run, quick, tmp_path):
    bundle = bundle_from_run(run, tmp_path / "bundle", pictures=False)
    assert bundle.manifest.holdout == bundle.manifest.ranges == ()
    assert set(bundle.manifest.files) == {GRAPH_FILE}
    assert {file.name for file in bundle.path.iterdir()} == {"bundle.json", GRAPH_FILE}
    assert bundle.manifest.id == fresh[0].manifest.id


def test_the_pictures_of_tiles_lie_side_by_side(parts, fresh, tmp_path, monkeypatch):
    spec = PreprocessSpec(height=64, width=64, tiles=parse_tiles("1x2"))
    config = TrainingConfig(method="rd4ad", preprocess=spec, steps=1, batch_size=8, holdout=0.1)
    run = RunFolder.prepare(tmp_path / "run", parts, config)
    train(run, load_teacher("lite0"), device="cpu")
    monkeypatch.setattr(package, "graph_from_networks", lambda *args: b"graph")
    monkeypatch.setattr(package, "check_against_networks", lambda *args: 0.0)
    bundle = bundle_from_run(run, tmp_path / "bundle")
    names = bundle.manifest.holdout
    assert names[:3] == tuple(f"pictures/holdout/000{index}.png" for index in ("0_0", "0_1", "1_0"))
    assert np.array_equal(load_bundle_pictures(bundle, names, spec), run.holdout_pictures())


def test_a_run_that_was_stopped_early_will_do(run, quick, parts, tmp_path, monkeypatch):
    config = run.record.config.model_copy(update={"steps": 9})
    stopped = RunFolder.prepare(tmp_path / "run", parts, config)
    train(stopped, load_teacher("lite0"), device="cpu", should_stop=lambda: True)
    monkeypatch.setattr(package, "check_against_networks", lambda *args: 0.0)
    training = bundle_from_run(stopped, tmp_path / "bundle").manifest.training
    assert (training.epochs, training.steps) == (0, 1)


def test_a_run_without_a_checkpoint_is_refused(run, parts, tmp_path):
    untrained = RunFolder.prepare(tmp_path / "run", parts, run.record.config)
    with pytest.raises(WeightsError, match="There is no checkpoint at") as caught:
        bundle_from_run(untrained, tmp_path / "bundle")
    assert "--resume" in caught.value.hint
    assert not (tmp_path / "bundle").exists()


def test_a_checkpoint_with_nan_is_refused(run, parts, tmp_path):
    spoilt = RunFolder.prepare(tmp_path / "run", parts, run.record.config)
    checkpoint = Checkpoint.open(run.checkpoint_file)
    checkpoint.student["decoder.stage1.0.bn1.bias"][0] = float("nan")
    optimiser = rd4ad_optimiser([torch.nn.Parameter(torch.zeros(1))])
    save_checkpoint(spoilt.checkpoint_file, checkpoint.progress, checkpoint.student, checkpoint.teacher, optimiser)
    with pytest.raises(WeightsError, match=r"not finite in student\.decoder\.stage1\.0\.bn1\.bias"):
        bundle_from_run(spoilt, tmp_path / "bundle")
    assert not (tmp_path / "bundle").exists()


def test_a_graph_that_differs_makes_no_bundle_and_the_old_one_stays(run, quick, tmp_path, monkeypatch):
    before = bundle_from_run(run, tmp_path / "bundle")

    def differs(*args):
        raise GateError("The exported graph's maps differ.")

    monkeypatch.setattr(package, "check_against_networks", differs)
    with pytest.raises(GateError):
        bundle_from_run(run, tmp_path / "bundle")
    assert Bundle.open(tmp_path / "bundle") == before


def test_exporting_again_replaces_the_bundle_as_a_whole(run, quick, tmp_path):
    bundle_from_run(run, tmp_path / "bundle")
    (tmp_path / "bundle" / "stray.txt").write_text("left over")
    bundle = bundle_from_run(run, tmp_path / "bundle", pictures=False)
    assert {file.name for file in (tmp_path / "bundle").iterdir()} == {"bundle.json", GRAPH_FILE}
    assert bundle.verify() == 1


def test_good_pictures_that_were_added_stay_through_another_export(run, quick, tmp_path):
    """All but those that the run was trained on or holds out itself."""
    fresh, said = bundle_from_run(run, tmp_path / "bundle"), []
    new = 255 - run.range_pictures(3)
    files = added_pictures(np.concatenate([new, run.range_pictures(1), run.holdout_pictures()[:1]]))
    fresh.save_with(fresh.manifest.model_copy(update={"holdout": (*fresh.manifest.holdout, *files)}), files)
    again = bundle_from_run(run, tmp_path / "bundle", say=said.append)
    assert again.manifest.holdout == (*fresh.manifest.holdout, *list(files)[:3])
    assert np.array_equal(load_bundle_pictures(again, again.manifest.added, again.manifest.preprocess), new)
    assert again.verify() == len(again.manifest.files)
    assert said[1].startswith(f"3 good pictures that were added to {tmp_path / 'bundle'} earlier stay in it")
    assert said[2].startswith("2 of those added are among this run's own pictures")


def test_added_pictures_of_another_size_cannot_stay_and_it_is_said(run, quick, tmp_path, monkeypatch):
    fresh, said = bundle_from_run(run, tmp_path / "bundle"), []
    files = added_pictures(255 - run.range_pictures(3))
    other = fresh.manifest.preprocess.model_copy(update={"height": 96})
    fresh.save_with(fresh.manifest.model_copy(update={"holdout": tuple(files), "preprocess": other}), files)
    assert not bundle_from_run(run, tmp_path / "bundle", say=said.append).manifest.added
    assert "are of another size, region, tiles or aspect" in said[1]


def test_scores_of_cross_fitting_take_the_place_of_held_out_pictures(run, quick, tmp_path):
    """The graph is then checked on training pictures."""
    record = CrossFitRecord(folds=5, scores=(0.1, 0.2, 0.3))
    fitted = shutil.copytree(run.path, tmp_path / "run")
    there = Checkpoint.open(fitted / "checkpoint.safetensors")
    save_checkpoint(fitted / "checkpoint.safetensors", there.progress, there.student, there.teacher, cross_fit=record)
    np.save(fitted / "holdout.npy", run.holdout_pictures()[:0])
    said = []
    manifest = bundle_from_run(RunFolder.open(fitted), tmp_path / "bundle", say=said.append).manifest
    assert manifest.cross_fit == record
    assert manifest.holdout == ()
    assert "ONNX Runtime against PyTorch on 4 pictures" in said[0]


def test_a_full_disk_keeps_the_old_bundle(run, quick, tmp_path):
    before = bundle_from_run(run, tmp_path / "bundle")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, hard))
    try:
        with pytest.raises(StorageError, match="could not be written") as caught:
            bundle_from_run(run, tmp_path / "bundle")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert "unchanged" in caught.value.hint
    after = Bundle.open(tmp_path / "bundle")
    assert after == before
    assert after.verify() > 1
    assert [entry.name for entry in tmp_path.iterdir()] == ["bundle"]


def test_something_else_at_the_place_is_left_alone(run, quick, tmp_path):
    write_png(tmp_path / "photos" / "holiday.png", np.zeros((4, 4, 3), np.uint8))
    with pytest.raises(BundleError, match="photos exists and is not a bundle"):
        bundle_from_run(run, tmp_path / "photos")
    assert [file.name for file in (tmp_path / "photos").iterdir()] == ["holiday.png"]


def test_the_manifest_is_plain_json(fresh):
    content = json.loads((fresh[0].path / "bundle.json").read_text())
    assert content["preprocess"]["height"] == content["preprocess"]["width"] == 64
    assert content["files"][GRAPH_FILE]["n_bytes"] == len(fresh[0].read(GRAPH_FILE))
