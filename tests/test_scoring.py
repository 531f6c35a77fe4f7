"""The score of an anomaly map outside the graph; tests/models/test_fusion.py has what it shares with the graph."""

from __future__ import annotations

import numpy as np
import pytest

from edgerd.data.pictures import read_picture
from edgerd.inspection.inspector import Inspector
from edgerd.recipe.product import Mask
from edgerd.scoring import map_scores


def test_a_map_with_fewer_values_than_wanted_has_their_mean():
    """Where padding is cut off, a map may be that small."""
    assert map_scores(np.arange(25, dtype=np.float32).reshape(1, 5, 5), 9).tolist() == [12.0]  # 0, 4, 20 and 24


@pytest.mark.parametrize("of", ["edge_bundle", "bundle"])
def test_a_mask_beside_what_is_unusual_changes_no_score(of, request, parts):
    """Scores under a mask were maxima, which exceed the threshold of method edge more often than its own scores do."""
    with Inspector.open(request.getfixturevalue(of)) as inspector:
        for file in sorted((parts / "test").glob("*/000.png")):
            picture = read_picture(file)
            inspection = inspector.inspect(picture)
            corners = inspection.anomaly_map[0][[[0, 0], [-1, -1]], [[0, -1], [0, -1]]]
            y, x = np.unravel_index(corners.argmin(), (2, 2))
            mask = Mask(rectangle=(92 * int(x), 92 * int(y), 4, 4))
            with inspector.beside(masks=[mask]) as masked:
                assert masked.inspect(picture).score == pytest.approx(inspection.score, rel=1e-5)
