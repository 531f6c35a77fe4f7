"""Choosing prototypes, and maps of good pictures by the prototypes of the others."""

from itertools import combinations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from edgerd.models.prototypes import WINDOWS
from edgerd.models.teachers.teacher import TeacherInfo
from edgerd.training.choose_prototypes import choose_prototypes, farthest_first, honest_maps
from edgerd.training.stored_features import FeatureStore

INFO = TeacherInfo("mini", (3, 4, 6), (1, 1, 1))
N_TILES, HEIGHT, WIDTH = 6, 4, 5


def store_of(seed=0, n=N_TILES):
    """Features of tiles that are alike but for some noise; so many that every position is a candidate."""
    rng = np.random.default_rng(seed)
    stages = []
    for channels, factor in zip(INFO.channels, (4, 2, 1), strict=True):
        shape = (channels, factor * HEIGHT, factor * WIDTH)
        stages.append((rng.normal(0, 1, shape) + rng.normal(0, 0.1, (n, *shape))).astype(np.float16))
    return FeatureStore(tuple(stages))


def with_unique_patch(store, tile, row=1, column=2):
    """Change one position of the coarsest stage so that no other tile has one like it."""
    store.stages[2][tile, :, row, column] = 8.0
    return store


def radius(points, chosen):
    """The largest distance of a point to the nearest chosen one."""
    return float(torch.cdist(points.double(), points[chosen].double()).amin(1).max())


points_of = st.integers(0, 2**16).map(lambda seed: torch.randn(9, 3, generator=torch.Generator().manual_seed(seed)))


@settings(max_examples=60, deadline=None)
@given(points=points_of, n=st.integers(1, 4), seed=st.integers(0, 9))
def test_no_choice_is_better_than_twice_as_good(points, n, seed):
    """Gonzalez, "Clustering to minimize the maximum intercluster distance", 1985."""
    best = min(radius(points, torch.tensor(some)) for some in combinations(range(len(points)), n))
    assert radius(points, farthest_first(points, n, seed)) <= 2 * best + 1e-5


@given(seed=st.integers(0, 99), n=st.integers(1, 40), dimensions=st.sampled_from([2, 64, 150]))
def test_each_point_is_chosen_once(seed, n, dimensions):
    points = torch.randn(40, dimensions, generator=torch.Generator().manual_seed(seed))
    chosen = farthest_first(points, n, seed)
    assert len(set(chosen.tolist())) == n
    assert torch.equal(chosen, farthest_first(points, n, seed))


@pytest.mark.parametrize("dimensions", [10, 150])
def test_a_rare_group_is_not_missed_as_it_is_by_chance(dimensions):
    """1000 points of one kind, 5 of another far away; 20 prototypes. Projected, where there are many dimensions."""
    random = torch.Generator().manual_seed(0)
    points = torch.randn(1005, dimensions, generator=random)
    points[1000:] += 30
    chosen = farthest_first(points, 20)
    assert (chosen >= 1000).any()
    by_chance = [torch.randperm(1005, generator=random)[:20] for _ in range(20)]
    assert radius(points, chosen) < 0.5 * np.median([radius(points, some) for some in by_chance])


def test_patches_that_are_all_alike_can_be_chosen_from():
    assert len(set(farthest_first(torch.ones(10, 3), 10).tolist())) <= 10


def test_every_patch_of_few_is_a_prototype_and_some_stand_twice():
    store, owners = store_of(), np.arange(N_TILES)
    n_patches = N_TILES * HEIGHT * WIDTH
    chosen = choose_prototypes(store, owners, INFO, seed=0, n=n_patches + 10)
    for points, owner in zip(chosen.prototypes.points, chosen.owners, strict=True):
        assert len(points.unique(dim=0)) == n_patches
        assert np.bincount(owner[:n_patches]).tolist() == [HEIGHT * WIDTH] * N_TILES
    assert all(one.max() < 0.02 for one in chosen.prototypes(store[:]))  # of itself; half precision is exact here


def test_patches_are_in_units_of_their_spread():
    """A channel with a thousand times larger values than the others must not decide alone."""
    store, loud = store_of(), store_of()
    loud.stages[2][:, 0] *= 1000
    for one, two in zip(
        *(choose_prototypes(s, np.arange(N_TILES), INFO, 0, 30).prototypes(s[:]) for s in (store, loud)), strict=True
    ):
        np.testing.assert_allclose(one, two, rtol=0.05, atol=0.05)


def test_a_channel_that_never_changes_is_no_division_by_0():
    store = store_of()
    store.stages[1][:, 2] = 1.0
    chosen = choose_prototypes(store, np.arange(N_TILES), INFO, 0, 20)
    assert all(one.isfinite().all() for one in chosen.prototypes(store[:]))


def test_the_same_seed_chooses_the_same():
    def state(seed):
        chosen = choose_prototypes(store_of(), np.arange(N_TILES), INFO, seed, 30)
        return [value.numpy().tobytes() for value in (*chosen.prototypes.state_dict().values(), chosen.owners)]

    assert state(0) == state(0)
    assert state(0) != state(1)


def test_a_pictures_own_prototypes_do_not_vouch_for_it():
    """A scratch in a picture among the good ones is a prototype itself: only without it does it stand out."""
    store, owners = with_unique_patch(store_of(), tile=3), np.arange(N_TILES)
    chosen = choose_prototypes(store, owners, INFO, seed=0, n=N_TILES * HEIGHT * WIDTH)
    for bank, honest in enumerate(honest_maps(chosen, store, owners)):
        own = chosen.prototypes(store[:])[bank]
        assert own.max() < 0.02
        assert honest.dtype == np.float32
        assert honest.shape == (N_TILES, HEIGHT, WIDTH)
        assert honest[3].max() > 2 * np.delete(honest, 3, 0).max()
        if WINDOWS[bank] == 1:
            assert honest[3].argmax() == 1 * WIDTH + 2


def test_what_is_left_out_is_the_picture_and_not_the_tile():
    """Two tiles of one picture show the same defect: the prototypes of both are left out for both."""
    store = with_unique_patch(with_unique_patch(store_of(), tile=2), tile=3)
    n = N_TILES * HEIGHT * WIDTH
    for owners, is_seen in ((np.array([0, 0, 1, 1, 2, 2]), True), (np.arange(N_TILES), False)):
        chosen = choose_prototypes(store, owners, INFO, seed=0, n=n)
        honest = honest_maps(chosen, store, owners)[0]
        assert (honest[2:4, 1, 2] > 2 * honest[[0, 1, 4, 5]].max()).all() == is_seen


def test_a_new_picture_is_compared_with_all():
    store, owners = store_of(), np.arange(N_TILES)
    chosen = choose_prototypes(store, owners, INFO, seed=0, n=40)
    new = store_of(seed=1)
    honest = honest_maps(chosen, new, np.full(N_TILES, -1))
    for one, two in zip(honest, chosen.prototypes(new[:]), strict=True):
        np.testing.assert_allclose(one, two, rtol=1e-5, atol=1e-5)


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 99), n=st.integers(20, 150))
def test_to_leave_some_out_brings_nothing_nearer(seed, n):
    store, owners = store_of(seed), np.arange(N_TILES)
    chosen = choose_prototypes(store, owners, INFO, seed, n)
    honest = honest_maps(chosen, store, owners)
    assert all((h >= m.numpy() - 1e-4).all() for h, m in zip(honest, chosen.prototypes(store[:]), strict=True))
