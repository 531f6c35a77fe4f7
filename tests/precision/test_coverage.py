"""What a set of pictures lacks: what others show beyond it, and how far its halves agree."""

from __future__ import annotations

import numpy as np
import pytest

from edgerd.precision.coverage import growth, halving, picture_histograms
from edgerd.precision.scales import RangeChoice


@pytest.fixture(scope="module")
def found(graph, pictures):
    """8 pictures, the same with half the light, and the first one again."""
    few = pictures[:8]
    return picture_histograms(graph, np.concatenate([few, (few * 0.5).astype(np.uint8), few[:1]]))


DAY, DARK, AGAIN = np.arange(8), np.arange(8, 16), [16]


def test_all_values_of_each_picture_are_counted_in_the_same_ranges_as_for_int8(found, ranges, graph, pictures):
    assert set(found.names) == set(ranges.tensors)
    assert len(set(map(tuple, found.counts.sum(axis=2)))) == 1
    whole = picture_histograms(graph, pictures)
    for index, name in enumerate(found.names):
        assert (whole.low[index], whole.high[index]) == (ranges.tensors[name].low, ranges.tensors[name].high)
        np.testing.assert_array_equal(whole.counts[:, index].sum(axis=0), ranges.tensors[name].counts)


def test_nothing_is_outside_of_a_set_that_holds_it(found):
    assert found.outside(AGAIN, DAY).max() == 0
    assert found.outside(DAY, DAY).max() == 0


def test_daylight_is_outside_of_a_set_taken_in_the_dark(found):
    in_the_dark = found.outside(DAY, DARK)
    assert in_the_dark.max() > 0.001
    assert (found.outside(DAY, np.concatenate([DARK, DAY[:4]])) <= in_the_dark).all()


def test_a_growing_set_leaves_less_outside(found):
    shares = growth(found, [*DAY, *DARK], [*DAY, *DARK], (1, 4, 16))
    assert shares[0] > shares[1] > shares[2] == 0


def test_halves_of_a_set_with_one_odd_picture_disagree(found):
    alike = halving(found, [0, 16] * 4, RangeChoice("minmax"))
    assert alike.max() == pytest.approx(1)
    odd = halving(found, [*DARK, 0], RangeChoice("minmax"))
    assert odd.max() > 1.2
    assert odd.min() >= 1
