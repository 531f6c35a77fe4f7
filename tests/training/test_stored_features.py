"""Stored features: the teacher's, picture by picture, in half precision."""

import resource

import numpy as np
import pytest
import torch

from edgerd.errors import StorageError
from edgerd.models.normalise import image_from_frames
from edgerd.models.teachers import make_teacher
from edgerd.training.stored_features import FeatureStore, compute_features


@pytest.fixture(scope="module")
def tiles():
    return np.random.default_rng(0).integers(0, 256, (19, 64, 96, 3), np.uint8)


@pytest.fixture
def teacher():
    torch.manual_seed(0)
    return make_teacher("mini")


def test_they_are_the_teachers_to_half_precision(teacher, tiles, tmp_path):
    store = compute_features(teacher, tiles, tmp_path / "features")
    assert len(store) == 19
    with torch.no_grad():
        expected = teacher(image_from_frames(torch.from_numpy(tiles), teacher.info))
    for given, wanted in zip(store[:], expected, strict=True):
        assert given.dtype == torch.float32
        np.testing.assert_allclose(given, wanted, rtol=1e-3, atol=1e-3)


def test_rows_come_in_the_order_asked_for_and_are_there_when_opened_again(teacher, tiles, tmp_path):
    store = compute_features(teacher, tiles, tmp_path)
    rows = np.array([7, 2, 2, 18])
    for stored, chosen in zip(store[:], FeatureStore.open(tmp_path)[rows], strict=True):
        assert torch.equal(chosen, stored[rows])
    assert [batch.tolist() for batch in store.batches(rows, 3)] == [[7, 2, 2], [18]]


def test_old_ones_are_replaced(teacher, tiles, tmp_path):
    compute_features(teacher, tiles, tmp_path)
    again = compute_features(teacher, tiles[5:9], tmp_path)
    assert len(again) == len(FeatureStore.open(tmp_path)) == 4


def test_values_beyond_half_precision_are_its_largest(teacher, tiles, tmp_path):
    with torch.no_grad():
        teacher.layer3[0].bn2.bias.fill_(1e6)
    store = compute_features(teacher, tiles[:2], tmp_path)
    assert float(store[:][2].max()) == 65504


def test_a_full_disk_is_an_error_with_what_to_do(teacher, tiles, tmp_path):
    """The limit on the size of a file stands for the disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, hard))
    try:
        with pytest.raises(StorageError, match="features could not be written") as caught:
            compute_features(teacher, tiles, tmp_path / "features")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert "--resume" in caught.value.hint
