import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest

from edgerd.errors import InputError
from edgerd.evaluation.intervals import wilson_interval

counts = st.integers(1, 5000).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n)))


@given(counts)
def test_the_interval_is_scipys(counted):
    expected = binomtest(*counted).proportion_ci(0.95, method="wilson")
    assert wilson_interval(*counted) == pytest.approx((expected.low, expected.high), abs=1e-6)


@given(counts)
def test_the_rate_lies_in_its_interval(counted):
    low, high = wilson_interval(*counted)
    assert 0 <= low <= counted[0] / counted[1] <= high <= 1
    assert low < high


def test_none_or_all_of_few_pictures_is_not_certain():
    assert wilson_interval(0, 22) == (0.0, pytest.approx(0.1487, abs=1e-4))
    assert wilson_interval(22, 22) == (pytest.approx(1 - 0.1487, abs=1e-4), 1.0)


@pytest.mark.parametrize(("count", "n"), [(0, 0), (-1, 5), (6, 5)])
def test_what_is_no_rate(count, n):
    with pytest.raises(InputError, match=f"{count} of {n} pictures"):
        wilson_interval(count, n)
