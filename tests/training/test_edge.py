"""Method edge: honest scores of every picture, the same bits whatever interrupts it, and prototypes alone."""

import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from edgerd.bundle.manifest import PreprocessSpec
from edgerd.data.preprocess import parse_tiles
from edgerd.errors import StorageError, WeightsError
from edgerd.evaluation.outliers import far_outside
from edgerd.export.check import reference_maps
from edgerd.models.fusion import Fusion, fused, scores_of_maps
from edgerd.models.teachers import make_teacher
from edgerd.models.weights import load_teacher
from edgerd.training import tensor_file
from edgerd.training.checkpoint import Checkpoint, Progress
from edgerd.training.choose_prototypes import choose_prototypes, honest_maps
from edgerd.training.edge import SCORE_SHARE, fold_of_pictures, fusion_of, train_edge
from edgerd.training.features import compute_features
from edgerd.training.position_statistics import position_statistics
from edgerd.training.restore import networks_of
from edgerd.training.run import RunFolder

N_PICTURES, N_STUDENTS, STEPS = 24, 4, 4


def pretrained(seed=0):
    torch.manual_seed(seed)
    return make_teacher("mini")


def trained(run, **options):
    return train_edge(run, pretrained(), device="cpu", **options)


def scores_by_others(run):
    """Scores of the training pictures by networks that never saw them, as they were kept."""
    return Checkpoint.open(run.checkpoint_file).cross_fit


def content_of(run):
    """Everything that a run gives: progress, the bytes of each tensor, the fusion, the honest scores."""
    checkpoint = Checkpoint.open(run.checkpoint_file)
    parts = {name: getattr(checkpoint, name) for name in ("student", "teacher", "prototypes", "positions")}
    tensors = {f"{name} {key}": value.numpy().tobytes() for name, part in parts.items() for key, value in part.items()}
    return checkpoint.progress, tensors, checkpoint.fusion, checkpoint.cross_fit


def stop_after(n_steps):
    reports = []
    return {"on_step": reports.append, "should_stop": lambda: len(reports) >= n_steps}


def files_of(run):
    return {file.name for file in run.path.iterdir()}


def own_scores(run):
    """Scores of the training pictures by the networks that are kept, which saw them."""
    networks, _ = networks_of(run)
    return scores_of_maps(reference_maps(networks, np.array(run.training_tiles())), networks.fusion)


def test_every_step_of_every_student_is_told(new_edge_run):
    reports, said = [], []
    run = new_edge_run()
    assert trained(run, on_step=reports.append, say=said.append) == Progress(total_steps=STEPS)
    assert [report.progress.total_steps for report in reports] == list(range(1, N_STUDENTS * STEPS + 1))
    assert {(r.n_steps, r.steps_per_epoch, r.unit) for r in reports} == {(N_STUDENTS * STEPS, STEPS, "student")}
    assert [report.progress.epoch for report in reports] == sorted(list(range(N_STUDENTS)) * STEPS)
    assert all(0 <= report.loss <= 2 for report in reports)
    assert said[0] == "Reading the teacher's features of 24 pictures."
    assert "4 students" in said[2]


def test_nothing_is_left_behind_but_checkpoint(new_edge_run):
    run = new_edge_run()
    trained(run)
    assert files_of(run) == {"run.json", "train.npy", "holdout.npy", "checkpoint.safetensors"}


def test_all_pictures_are_trained_on_and_each_has_a_score(new_edge_run):
    run = new_edge_run()
    trained(run)
    assert (len(run.record.train), len(run.record.holdout)) == (N_PICTURES, 0)
    record = scores_by_others(run)
    assert record.folds == 3
    assert len(record.scores) == N_PICTURES
    assert all(np.isfinite(record.scores))


def test_honest_scores_are_higher_than_those_of_networks_that_saw_the_pictures(new_edge_run):
    """The same prototypes in either; what differs is that a picture's own are left out, and its student."""
    run = new_edge_run(steps=30)
    trained(run)
    assert (own_scores(run) < scores_by_others(run).scores).mean() > 0.9


@pytest.mark.parametrize("method", ["edge", "prototypes"])
def test_the_same_seed_gives_the_same_bits_and_another_one_others(new_edge_run, method):
    results = []
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        run = new_edge_run(name, seed=seed, method=method)
        torch.manual_seed(len(results))  # whatever was drawn before
        train_edge(run, pretrained(), device="cpu")
        results.append(content_of(run))
    assert results[0] == results[1]
    assert results[0][1] != results[2][1]


@pytest.mark.parametrize("n_steps", [1, STEPS, STEPS + 1, 2 * STEPS + 3, N_STUDENTS * STEPS - 1])
def test_stopped_and_resumed_is_as_if_never_stopped(new_edge_run, n_steps):
    run, whole = new_edge_run(), new_edge_run("whole")
    trained(whole)
    assert trained(run, **stop_after(n_steps)) == Progress()
    reports = []
    train_edge(RunFolder.open(run.path), pretrained(seed=1), device="cpu", on_step=reports.append)
    n_left = N_STUDENTS - n_steps // STEPS
    assert len(reports) == n_left * STEPS  # finished students are not trained again
    assert reports[0].progress.total_steps == (N_STUDENTS - n_left) * STEPS + 1
    assert content_of(run) == content_of(whole)
    assert files_of(run) == files_of(whole)


def test_a_stopped_run_is_prototypes_alone(new_edge_run):
    run, alone = new_edge_run(), new_edge_run("alone", method="prototypes", steps=None)
    trained(run, **stop_after(STEPS + 1))
    trained(alone)
    networks, progress = networks_of(run)
    assert progress == Progress()
    assert networks.student is None
    assert len(networks.fusion.weights) == 3
    assert content_of(run) == content_of(alone)


class PowerCutError(BaseException):
    pass


def test_cut_off_it_goes_on_after_the_last_student(new_edge_run):
    run, whole = new_edge_run(), new_edge_run("whole")
    trained(whole)

    def cut_off(report):
        if report.progress.total_steps == 2 * STEPS + 1:
            raise PowerCutError

    with pytest.raises(PowerCutError):
        trained(run, on_step=cut_off)
    reports = []
    trained(run, on_step=reports.append)
    assert len(reports) == 2 * STEPS
    assert content_of(run) == content_of(whole)


def test_a_run_that_is_done_has_nothing_left_to_do(new_edge_run):
    run = new_edge_run()
    trained(run)
    before = run.checkpoint_file.read_bytes()
    assert trained(run, on_step=pytest.fail, say=pytest.fail) == Progress(total_steps=STEPS)
    assert run.checkpoint_file.read_bytes() == before


def test_an_extended_run_is_as_if_planned_so_and_keeps_its_student_until_then(new_edge_run):
    run, whole = new_edge_run(), new_edge_run("whole", steps=6)
    trained(run)
    trained(whole)
    before = content_of(run)
    longer = run.extend(steps=6)
    assert trained(longer, **stop_after(7)) == Progress(total_steps=STEPS)
    assert content_of(longer) == before
    trained(longer)
    assert content_of(longer) == content_of(whole)


def test_prototypes_alone_take_no_step_and_look_at_each_picture_without_its_own(new_edge_run):
    run = new_edge_run(method="prototypes", steps=None)
    assert trained(run, on_step=pytest.fail) == Progress()
    networks, _ = networks_of(run)
    assert networks.student is None
    assert scores_by_others(run).folds == N_PICTURES
    assert len(scores_by_others(run).scores) == N_PICTURES
    assert (own_scores(run) <= np.array(scores_by_others(run).scores) + 1e-4).all()
    assert files_of(run) == {"run.json", "train.npy", "holdout.npy", "checkpoint.safetensors"}


@pytest.mark.parametrize(("method", "steps"), [("edge", 80), ("prototypes", None)])
def test_a_defect_among_the_good_pictures_is_named(new_edge_run, parts, tmp_path, method, steps):
    shutil.copytree(parts / "train" / "good", tmp_path / "good")
    spoilt = tmp_path / "good" / "007.png"
    shutil.copy(parts / "test" / "missing_hole" / "000.png", spoilt)
    run = new_edge_run(data=tmp_path / "good", method=method, steps=steps, teacher="lite0", cross_fit=2)
    train_edge(run, load_teacher("lite0"), device="cpu")
    named = [run.record.train[index] for index in far_outside(scores_by_others(run).scores)]
    assert named[:1] == [str(spoilt)]


def test_a_picture_scores_what_its_worst_tile_scores_without_the_pictures_prototypes(new_edge_run, tmp_path):
    """Scored once more from the parts, tile by tile."""
    spec = PreprocessSpec(height=64, width=64, tiles=parse_tiles("1x2"))
    run = new_edge_run(method="prototypes", preprocess=spec, steps=None)
    trained(run)
    networks, _ = networks_of(run)
    store = compute_features(networks.teacher, run.training_tiles(), tmp_path / "features")
    owners = np.repeat(np.arange(N_PICTURES), 2)
    chosen = choose_prototypes(store, owners, networks.teacher.info, run.record.config.seed)
    assert torch.equal(chosen.prototypes.points, networks.prototypes.points)
    nearest = networks.prototypes.nearest.numpy()
    _, position_maps = position_statistics(store, owners, networks.teacher.info)
    maps = (*map(np.maximum, honest_maps(chosen, store, owners), nearest), position_maps)
    scores = scores_of_maps(fused(maps, networks.fusion, 64, 64), networks.fusion).reshape(N_PICTURES, 2)
    assert (scores[:, 0] != scores[:, 1]).all()
    np.testing.assert_allclose(scores_by_others(run).scores, scores.max(1), rtol=1e-5)


def test_tiles_of_one_picture_are_in_one_fold(new_edge_run):
    spec = PreprocessSpec(height=32, width=64, tiles=parse_tiles("2x1"))
    run = new_edge_run(preprocess=spec)
    trained(run, **stop_after(1))
    assert run.training_tiles().shape[0] == 2 * N_PICTURES
    reports = []
    trained(run, on_step=reports.append)
    assert len(reports) == N_STUDENTS * STEPS
    assert len(scores_by_others(run).scores) == N_PICTURES


@given(n=st.integers(2, 60), folds=st.integers(2, 10), seed=st.integers(0, 99))
def test_folds_are_even_and_every_picture_is_in_one(n, folds, seed):
    folds = min(folds, n)
    fold = fold_of_pictures(n, folds, seed)
    counts = np.bincount(fold, minlength=folds)
    assert counts.sum() == n
    assert counts.max() - counts.min() <= 1
    assert np.array_equal(fold, fold_of_pictures(n, folds, seed))


def test_folds_do_not_follow_the_order_of_the_pictures():
    """Shifts, lots and light change along it: a fold takes some of each."""
    fold = fold_of_pictures(60, 5, 0)
    assert all(len(set(fold[first : first + 12])) > 2 for first in range(0, 60, 12))


def maps_with(mean, spread, n=200):
    """Even maps, float32 (n, 4, 4), of which each one's maximum is as asked for."""
    values = np.random.default_rng(0).standard_normal(n)
    values = (values - values.mean()) / values.std() * spread + mean
    return np.broadcast_to(values[:, None, None], (n, 4, 4)).astype(np.float32)


def test_a_map_counts_the_more_the_less_it_varies_on_good_parts():
    quiet, noisy = fusion_of((maps_with(1.0, 0.1), maps_with(1.0, 0.3)), (64, 64)).weights
    assert quiet == pytest.approx(3 * noisy, rel=1e-3)


@given(factor=st.floats(0.01, 100))
def test_the_unit_of_a_map_does_not_matter(factor):
    maps = maps_with(1.0, 0.1), maps_with(1.0, 0.3)
    one, two = fusion_of(maps, (64, 64)).weights, fusion_of((maps[0] * np.float32(factor), maps[1]), (64, 64)).weights
    assert two == pytest.approx((one[0] / factor, one[1]), rel=1e-3)


@given(means=st.lists(st.floats(0.01, 100), min_size=1, max_size=3), spread=st.floats(0.03, 0.3))
def test_a_good_part_scores_about_1(means, spread):
    fusion = fusion_of(tuple(maps_with(mean, spread * mean) for mean in means), (64, 64))
    assert sum(weight * mean for weight, mean in zip(fusion.weights, means, strict=True)) == pytest.approx(1, rel=1e-3)
    assert fusion.score_share == SCORE_SHARE


def test_pictures_that_are_all_alike_make_no_map_infinitely_trustworthy():
    weights = fusion_of(
        (maps_with(1.0, 0.0), maps_with(1.0, 0.02), np.zeros((200, 4, 4), np.float32)), (64, 64)
    ).weights
    assert all(np.isfinite(weights))
    assert weights[0] == pytest.approx(weights[1], rel=1e-2)


def test_the_kept_fusion_is_that_of_the_honest_scores(new_edge_run):
    run = new_edge_run()
    trained(run)
    networks, _ = networks_of(run)
    assert len(networks.fusion.weights) == 4
    assert networks.fusion.score_share == SCORE_SHARE
    assert all(weight > 0 for weight in networks.fusion.weights)
    assert 0.5 < np.median(scores_by_others(run).scores) < 2


def test_two_good_pictures_are_enough_to_begin(new_edge_run, pictures):
    for file in sorted(pictures.iterdir())[8:]:
        file.unlink()
    run = new_edge_run(cross_fit=10)
    trained(run)
    record = scores_by_others(run)
    assert record.folds == len(record.scores) == 8


def test_a_teacher_that_gives_nan_is_an_error_and_no_checkpoint_is_left(new_edge_run):
    run, teacher = new_edge_run(), pretrained()
    teacher.layer3[0].bn2.bias.data[0] = float("nan")
    with pytest.raises(WeightsError, match="features of pictures 1 to 8 are not finite"):
        train_edge(run, teacher, device="cpu")
    assert not run.checkpoint_file.exists()


def test_a_damaged_checkpoint_is_named_and_not_trained_over(new_edge_run):
    run = new_edge_run()
    run.checkpoint_file.write_bytes(b"damaged")
    with pytest.raises(WeightsError, match="cannot be read as a checkpoint"):
        trained(run)
    assert run.checkpoint_file.read_bytes() == b"damaged"


@pytest.mark.parametrize("file", ["checkpoint", "all_pictures"])
def test_after_a_full_disk_it_goes_on(new_edge_run, monkeypatch, file):
    run, whole = new_edge_run(), new_edge_run("whole")
    really_save = tensor_file.save_file

    def full(tensors, part, metadata):
        if file in part.name:
            raise OSError(28, "No space left on device")
        really_save(tensors, part, metadata)

    with monkeypatch.context() as disk:
        disk.setattr(tensor_file, "save_file", full)
        with pytest.raises(StorageError, match="the disk is full") as caught:
            trained(run)
    assert "--resume" in caught.value.hint
    trained(run)
    trained(whole)
    assert content_of(run) == content_of(whole)


def test_the_checkpoint_of_another_run_is_refused(new_edge_run, new_run):
    run, other = new_edge_run(), new_edge_run("full", student="full")
    trained(other)
    run.checkpoint_file.write_bytes(other.checkpoint_file.read_bytes())
    with pytest.raises(WeightsError, match=r"holds another student than .*run\.json names"):
        networks_of(run)


def test_a_fusion_comes_back_to_the_bit(new_edge_run):
    run = new_edge_run(method="prototypes", steps=None)
    trained(run)
    fusion = Checkpoint.open(run.checkpoint_file).fusion
    assert isinstance(fusion, Fusion)
    assert replace(fusion, score_share=0.0) != fusion
    assert networks_of(run)[0].fusion == fusion


def test_prototypes_of_another_teacher_are_refused(new_edge_run):
    run = new_edge_run(method="prototypes", steps=None)
    trained(run)
    config = run.record.config.model_copy(update={"teacher": "lite0"})
    other = replace(run, record=run.record.model_copy(update={"config": config}))
    with pytest.raises(WeightsError, match="checkpoint"):
        networks_of(other)
