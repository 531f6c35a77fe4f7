"""Prototypes: the distance to the nearest of them, as it is defined, patch by patch."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from edgerd.models.prototypes import WINDOWS, Prototypes, pooled, squared_distances
from edgerd.models.teachers.teacher import TeacherInfo

INFO = TeacherInfo("mini", (3, 4, 6), (1, 1, 1))
BANKS = range(len(WINDOWS))


def features_of(seed, n=2, height=4, width=5):
    """Random features of the three stages, of which the coarsest is height x width."""
    random = torch.Generator().manual_seed(seed)
    return tuple(
        torch.randn(n, channels, factor * height, factor * width, generator=random)
        for channels, factor in zip(INFO.channels, (4, 2, 1), strict=True)
    )


def prototypes_of(seed, n=7):
    random = torch.Generator().manual_seed(seed)
    prototypes = Prototypes(INFO, n)
    prototypes.points.normal_(generator=random)
    prototypes.mean.normal_(generator=random)
    prototypes.spread.uniform_(0.5, 2.0, generator=random)
    return prototypes


def patches_one_by_one(features, window):
    """Float64 (N, C, h, w): each position's own neighbours averaged, in plain loops."""
    _, second, third = (stage.double().numpy() for stage in features)
    n, _, height, width = third.shape
    coarse = second.reshape(n, second.shape[1], height, 2, width, 2).mean((3, 5))
    both, reach = np.concatenate([coarse, third], axis=1), window // 2
    patches = np.empty_like(both)
    for row in range(height):
        for column in range(width):
            rows, columns = (
                slice(max(0, row - reach), row + reach + 1),
                slice(max(0, column - reach), column + reach + 1),
            )
            patches[:, :, row, column] = both[:, :, rows, columns].mean((2, 3))
    return patches


@settings(max_examples=30, deadline=None)
@given(
    seed=st.integers(0, 999),
    n=st.integers(1, 3),
    height=st.integers(2, 6),
    width=st.integers(2, 6),
    n_points=st.integers(1, 12),
)
def test_maps_are_the_distances_to_the_nearest_prototype(seed, n, height, width, n_points):
    features, prototypes = features_of(seed, n, height, width), prototypes_of(seed + 1, n_points)
    maps = prototypes(features)
    assert len(maps) == len(WINDOWS)
    for bank, (window, one) in enumerate(zip(WINDOWS, maps, strict=True)):
        mean, spread = (part[bank].double().numpy()[:, None, None] for part in (prototypes.mean, prototypes.spread))
        patches = (patches_one_by_one(features, window) - mean) / spread
        points = prototypes.points[bank].double().numpy()
        differences = patches[:, None] - points[None, :, :, None, None]
        expected = np.sqrt((differences**2).sum(2)).min(1)
        assert one.shape == (n, height, width)
        assert one.dtype == torch.float32
        np.testing.assert_allclose(one.numpy(), expected, rtol=1e-4, atol=1e-3)


@pytest.mark.parametrize("bank", BANKS)
def test_a_patch_that_is_a_prototype_has_the_least_distance(bank):
    features, prototypes = features_of(0), prototypes_of(1)
    prototypes.points[bank, 5] = prototypes.patches(features, bank)[1, :, 2, 3]
    found = prototypes(features)[bank]
    assert found[1, 2, 3] == found.min() < 1e-2
    assert found.flatten().kthvalue(2).values > 0.3


def test_a_defect_is_where_the_map_is_highest():
    features, prototypes = features_of(0, n=1), prototypes_of(1)
    for bank in BANKS:
        prototypes.points[bank] = prototypes.patches(features, bank).flatten(2)[0].T[: prototypes.points.shape[1]]
    features[2][0, :, 3, 4] += 20
    for one in prototypes(features):
        assert int(one.argmax()) == 3 * 5 + 4


@pytest.mark.parametrize("bank", BANKS)
def test_what_is_nearer_than_the_nearest_is_all_alike(bank):
    features, prototypes = features_of(0), prototypes_of(1)
    exact = prototypes(features)[bank]
    prototypes.nearest[bank] = float(exact.median())
    given_ = prototypes(features)[bank]
    np.testing.assert_allclose(given_, exact.clamp_min(float(exact.median())), rtol=1e-6)
    assert (given_ == given_.min()).float().mean() > 0.4


@given(seed=st.integers(0, 999), n_more=st.integers(1, 10))
def test_more_prototypes_bring_no_patch_farther_away(seed, n_more):
    features, few = features_of(seed), prototypes_of(seed)
    more = Prototypes(INFO, few.points.shape[1] + n_more)
    more.load_state_dict(
        few.state_dict() | {"points": torch.cat([few.points, prototypes_of(seed + 1, n_more).points], 1)}
    )
    assert all((m <= f + 1e-5).all() for m, f in zip(more(features), few(features), strict=True))


def test_a_prototype_that_stands_twice_changes_nothing():
    features, once = features_of(0), prototypes_of(1)
    twice = Prototypes(INFO, 2 * once.points.shape[1])
    twice.load_state_dict(once.state_dict() | {"points": once.points.repeat(1, 2, 1)})
    assert all(torch.equal(a, b) for a, b in zip(once(features), twice(features), strict=True))


def test_the_finest_stage_is_not_looked_at():
    features, prototypes = features_of(0), prototypes_of(1)
    others = (features_of(9)[0], *features[1:])
    assert all(torch.equal(a, b) for a, b in zip(prototypes(features), prototypes(others), strict=True))


def test_one_position_has_itself_for_a_neighbourhood():
    """The smallest picture: nothing around it is zero padding."""
    features = features_of(0, n=1, height=1, width=1)
    assert torch.equal(pooled(features, 1), pooled(features, 3))


@given(seed=st.integers(0, 999), offset=st.floats(-3, 3))
def test_squared_distances_are_the_binomials(seed, offset):
    random = torch.Generator().manual_seed(seed)
    patches = torch.randn(2, 5, 3, 4, generator=random) + offset
    points = torch.randn(6, 5, generator=random) + offset
    expected = torch.cdist(patches.permute(0, 2, 3, 1).reshape(-1, 5).double(), points.double()).square()
    given_ = squared_distances(patches, points).permute(0, 2, 3, 1).reshape(-1, 6)
    np.testing.assert_allclose(given_, expected, rtol=1e-3, atol=1e-3)


def test_nothing_is_trained_and_all_of_it_is_kept():
    prototypes = prototypes_of(0)
    assert not list(prototypes.parameters())
    assert set(prototypes.state_dict()) == {"mean", "spread", "points", "nearest"}
