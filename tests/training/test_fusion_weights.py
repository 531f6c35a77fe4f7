"""Weights and honest scores where pictures are padded: what lies in the padding has no part in either."""

import numpy as np
import pytest

from edgerd.bundle.manifest import PreprocessSpec
from edgerd.data.preprocess import prepare
from edgerd.models.fusion import Fusion
from edgerd.training.fusion_weights import fusion_of, scores_of_tiles

SIZE = (128, 128)


@pytest.fixture
def padded():
    """Twenty pictures four times as wide as high, uint8 (20, 128, 128, 3): the rows 48 to 79 show them."""
    spec = PreprocessSpec(height=SIZE[0], width=SIZE[1], aspect="letterbox")
    rng = np.random.default_rng(0)
    return np.concatenate([prepare(rng.integers(0, 256, (64, 256, 3), np.uint8), spec) for _ in range(20)])


@pytest.fixture
def quiet():
    """Maps float32 (20, 16, 16), whose maxima vary a little."""
    levels = np.random.default_rng(1).normal(1, 0.1, 20)
    return np.broadcast_to(levels[:, None, None], (20, 16, 16)).astype(np.float32)


@pytest.fixture
def loud_in_the_padding(quiet):
    """The same in the picture, and wild at the upper edge, where nothing is inspected."""
    maps = quiet.copy()
    maps[:, :2] += 9 * np.random.default_rng(2).random((20, 1, 1), np.float32)
    return maps


def test_maps_that_differ_in_the_padding_alone_weigh_the_same(padded, quiet, loud_in_the_padding):
    one, other = fusion_of((quiet, loud_in_the_padding), SIZE, padded).weights
    assert other == pytest.approx(one, rel=1e-3)
    one, other = fusion_of((quiet, loud_in_the_padding), SIZE).weights
    assert other < one / 5  # so that padding would have counted


def test_scores_are_those_of_the_picture(padded, quiet, loud_in_the_padding):
    fusion = Fusion((1.0,), 0.01)
    expected = scores_of_tiles((quiet,), fusion, SIZE, padded)
    np.testing.assert_allclose(scores_of_tiles((loud_in_the_padding,), fusion, SIZE, padded), expected, rtol=1e-3)
    assert (scores_of_tiles((loud_in_the_padding,), fusion, SIZE) > 1.5 * expected).any()
