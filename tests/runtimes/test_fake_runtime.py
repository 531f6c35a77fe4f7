from __future__ import annotations

import numpy as np
import pytest

from edgerd.errors import EdgerdError, InputError
from edgerd.runtimes.fake import FakeEngine, FakeRuntime


@pytest.mark.parametrize(("grey", "score"), [(128, 0.0), (192, 0.5), (64, 0.5), (0, 1.0)])
def test_score_is_the_distance_from_mid_grey(grey, score):
    maps = FakeEngine().infer(np.full((2, 4, 6, 3), grey, np.uint8))
    np.testing.assert_array_equal(maps.anomaly_map, np.full((2, 4, 6), score, np.float32))
    np.testing.assert_array_equal(maps.score, [score, score])
    assert maps.anomaly_map.dtype == maps.score.dtype == np.float32


def test_it_keeps_the_contract():
    runtime = FakeRuntime()
    engine = runtime.load(b"", runtime.key("int8", "0" * 64), runtime.build(b"", "int8"), threads=2)
    assert (engine.key.precision, engine.threads) == ("int8", 2)
    with pytest.raises(InputError):
        engine.infer(np.zeros((4, 6, 3), np.uint8))
    engine.close()
    engine.close()
    with pytest.raises(EdgerdError, match="closed"):
        engine.infer(np.zeros((1, 4, 6, 3), np.uint8))
