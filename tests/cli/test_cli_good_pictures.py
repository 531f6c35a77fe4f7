"""`edgerd train` shows the good pictures that may not be good."""

from __future__ import annotations

import cv2
import numpy as np

QUICK = ("--image-size", 64, "--method", "prototypes")


def spoil(file):
    """Stripes in all colours over half the part."""
    picture = cv2.imread(str(file))
    for offset in range(0, 90, 6):
        picture[offset : offset + 3, :45] = np.random.default_rng(offset).integers(0, 256, (3, 1, 3))
    cv2.imwrite(str(file), picture)


def test_a_defect_among_the_good_pictures_is_shown(edgerd, own_parts, tmp_path):
    defective = own_parts / "train" / "good" / "007.png"
    spoil(defective)
    result = edgerd("train", own_parts, "-o", tmp_path / "run", *QUICK)
    assert result.exit_code == 0, result.err
    page = tmp_path / "run" / "good_pictures.html"
    assert f"warning: {defective} scores " in result.err
    assert f"Look at them, and read what to do, in {page}" in result.out
    assert f'alt="{defective}"' in page.read_text()


def test_without_one_there_is_no_page(edgerd, own_parts, tmp_path, monkeypatch):
    monkeypatch.setattr("edgerd.evaluation.good_pictures.far_outside", lambda scores: ())
    result = edgerd("train", own_parts, "-o", tmp_path / "run", *QUICK)
    assert result.exit_code == 0, result.err
    assert "far above" not in result.err
    assert not (tmp_path / "run" / "good_pictures.html").exists()
