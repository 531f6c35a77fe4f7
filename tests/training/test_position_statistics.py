"""Mean and spread at each position, and honest maps: each by the other pictures."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from edgerd.models.prototypes import pooled
from edgerd.models.teachers.teacher import TeacherInfo
from edgerd.training.position_statistics import LEAST_VARIANCE, position_statistics
from edgerd.training.stored_features import FeatureStore

INFO = TeacherInfo("mini", (3, 4, 6), (1, 1, 1))


def store_of(n, seed=0, offset=0.0):
    rng = np.random.default_rng(seed)
    return FeatureStore(
        tuple(
            (offset + rng.normal(0, 1, (n, channels, factor * 2, factor * 3))).astype(np.float16)
            for channels, factor in zip(INFO.channels, (4, 2, 1), strict=True)
        )
    )


def patches_of(store):
    return pooled(store[:], 1).double().numpy()


@pytest.mark.parametrize("offset", [0.0, 50.0])
def test_mean_and_spread_are_those_of_all_pictures(offset):
    store = store_of(12, offset=offset)
    positions, _ = position_statistics(store, np.arange(12), INFO)
    patches = patches_of(store)
    np.testing.assert_allclose(positions.mean, patches.mean(0), rtol=1e-5, atol=1e-5)
    least = LEAST_VARIANCE * patches.var((0, 2, 3))[:, None, None]
    np.testing.assert_allclose(positions.spread, np.sqrt(patches.var(0) + least), rtol=1e-4)


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 999), n_pictures=st.integers(2, 6), n_tiles=st.integers(1, 3))
def test_a_picture_is_looked_at_with_the_statistics_of_the_others(seed, n_pictures, n_tiles):
    store = store_of(n_pictures * n_tiles, seed)
    owners = np.repeat(np.arange(n_pictures), n_tiles)
    _, maps = position_statistics(store, owners, INFO)
    patches = patches_of(store)
    least = LEAST_VARIANCE * patches.var((0, 2, 3))[:, None, None]
    assert maps.dtype == np.float32
    for tile, owner in enumerate(owners):
        others = patches[owners != owner]
        expected = np.sqrt(((patches[tile] - others.mean(0)) ** 2 / (others.var(0) + least)).mean(0))
        np.testing.assert_allclose(maps[tile], expected, rtol=1e-4)


def test_pictures_that_are_all_alike_are_no_division_by_zero():
    store = store_of(1)
    alike = FeatureStore(tuple(stage.repeat(4, axis=0) for stage in store.stages))
    positions, maps = position_statistics(alike, np.arange(4), INFO)
    assert torch.isfinite(positions.spread.reciprocal()).all()
    assert np.isfinite(maps).all()


def test_what_is_usual_elsewhere_is_unusual_here():
    store = store_of(20)
    for stage, reach in zip(store.stages, (4, 2, 1), strict=True):
        stage[:, :, :, :reach] += 20  # the left edge of every part looks so
    store.stages[2][7, :, 0, 2] += 20  # and one part has it on the right
    _, maps = position_statistics(store, np.arange(20), INFO)
    assert np.unravel_index(maps.argmax(), maps.shape) == (7, 0, 2)
    assert maps[:, :, 0].max() < maps[7, 0, 2] / 3
