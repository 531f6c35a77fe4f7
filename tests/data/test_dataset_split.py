"""Hold-out and fingerprint of the pictures of a data set."""

import shutil
from pathlib import Path

import pytest
from dataset_files import put
from hypothesis import given
from hypothesis import strategies as st

from edgerd.data.dataset import Dataset, fingerprint, split_holdout
from edgerd.errors import DatasetError


class TestHoldout:
    @given(st.integers(16, 400), st.floats(0.01, 0.5), st.integers(0, 2**32))
    def test_splits_without_loss_and_the_same_way_again(self, n, fraction, seed):
        paths = tuple(Path(f"{index}.png") for index in range(n))
        train, holdout = split_holdout(paths, fraction, seed)
        assert sorted(train + holdout) == sorted(paths)
        assert len(holdout) >= max(8, fraction * n)
        assert len(train) >= 8
        assert (train, holdout) == split_holdout(paths, fraction, seed)
        assert list(train) == [path for path in paths if path in set(train)]

    def test_another_seed_another_choice(self):
        paths = tuple(Path(f"{index}.png") for index in range(100))
        assert len({split_holdout(paths, 0.1, seed)[1] for seed in range(5)}) == 5

    @pytest.mark.parametrize("n", [0, 1, 15])
    def test_too_few(self, n):
        with pytest.raises(DatasetError, match=f"{n} good pictures are too few") as caught:
            split_holdout([Path(f"{index}.png") for index in range(n)], 0.1, 0)
        assert "16 at least" in str(caught.value)

    def test_too_much_held_out(self):
        with pytest.raises(DatasetError, match="36 are held out") as caught:
            split_holdout([Path(f"{index}.png") for index in range(40)], 0.9, 0)
        assert "--holdout" in str(caught.value)


class TestFingerprint:
    def test_is_the_same_for_a_copy_elsewhere_in_any_order(self, mvtec, tmp_path):
        copy = shutil.copytree(mvtec, tmp_path / "copy")
        first, second = Dataset.open(mvtec).train_good, Dataset.open(copy).train_good
        assert fingerprint(first, mvtec) == fingerprint(second[::-1], copy)

    def test_changes_with_content_and_name(self, mvtec):
        paths = Dataset.open(mvtec).train_good
        prints = {fingerprint(paths, mvtec), fingerprint(paths[1:], mvtec)}
        put(paths[0], seed=1)
        prints.add(fingerprint(paths, mvtec))
        prints.add(fingerprint((paths[0].rename(paths[0].with_name("new.png")), *paths[1:]), mvtec))
        assert len(prints) == 4

    def test_a_file_that_has_gone(self, mvtec):
        paths = Dataset.open(mvtec).train_good
        paths[0].unlink()
        with pytest.raises(DatasetError, match=r"1\.png cannot be read"):
            fingerprint(paths, mvtec)
