"""Honest scores, folds, and the weights of the maps of method edge."""

import shutil

import numpy as np
import pytest
import torch
from edge_runs import (
    N_PICTURES,
    N_STUDENTS,
    STEPS,
    own_scores,
    scores_by_others,
    stop_after,
    trained,
)
from hypothesis import given
from hypothesis import strategies as st

from edgerd.bundle.manifest import PreprocessSpec
from edgerd.data.preprocess import parse_tiles
from edgerd.evaluation.outliers import far_outside
from edgerd.models.fusion import fused, scores_of_maps
from edgerd.models.prototypes import N_PROTOTYPES
from edgerd.models.weights import load_teacher
from edgerd.training.choose_prototypes import choose_prototypes, honest_maps
from edgerd.training.edge import fold_of_pictures, train_edge
from edgerd.training.fusion_weights import SCORE_SHARE, fusion_of
from edgerd.training.position_statistics import position_statistics
from edgerd.training.restore import networks_of
from edgerd.training.stored_features import compute_features


def test_all_pictures_are_trained_on_and_each_has_a_score(new_edge_run):
    run = new_edge_run()
    trained(run)
    assert (len(run.record.train), len(run.record.holdout)) == (N_PICTURES, 0)
    record = scores_by_others(run)
    assert record.folds == 3
    assert len(record.scores) == N_PICTURES
    assert all(np.isfinite(record.scores))


def test_honest_scores_are_higher_than_those_of_networks_that_saw_the_pictures(new_edge_run):
    """The prototypes are the same; an honest score leaves out the picture's own, and is by another student."""
    run = new_edge_run(steps=30)
    trained(run)
    assert (own_scores(run) < scores_by_others(run).scores).mean() > 0.9


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
    """The score is computed once more here from prototypes, positions and fusion, tile by tile."""
    spec = PreprocessSpec(height=64, width=64, tiles=parse_tiles("1x2"))
    run = new_edge_run(method="prototypes", preprocess=spec, steps=None)
    trained(run)
    networks, _ = networks_of(run)
    store = compute_features(networks.teacher, run.training_tiles(), tmp_path / "features")
    owners = np.repeat(np.arange(N_PICTURES), 2)
    chosen = choose_prototypes(store, owners, networks.teacher.info, run.record.config.seed, N_PROTOTYPES)
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
    """Shifts, lots and light change in the order of the pictures: each fold must have some of each."""
    fold = fold_of_pictures(60, 5, 0)
    assert all(len(set(fold[first : first + 12])) > 2 for first in range(0, 60, 12))


def maps_with(mean, spread, n=200):
    """Constant maps, float32 (n, 4, 4), whose maxima have this mean and standard deviation."""
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
