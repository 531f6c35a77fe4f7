"""A data set in MVTec's layout."""

import pytest
from dataset_files import put, put_mask


@pytest.fixture
def mvtec(tmp_path):
    root = tmp_path / "screws"
    for name in ("10.png", "9.png", "1.png"):
        put(root / "train/good" / name)
    put(root / "test/good/0.png")
    for defect in ("scratch", "bent"):
        put(root / "test" / defect / "0.png")
        put_mask(root / "ground_truth" / defect / "0_mask.png")
    return root
