import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgerd.evaluation.report.rates import Rate, percent


def test_a_rate_with_its_interval():
    rate = Rate(45, 48)
    assert (rate.share, rate.counted, rate.interval) == ("93.8 %", "45 of 48", "83.2 % to 97.9 %")


@pytest.mark.parametrize("rate", [Rate(None, 5), Rate(0, 0), Rate(None, 0)])
def test_what_is_not_known_is_a_dash_and_not_poor(rate):
    assert {rate.share, rate.counted, rate.interval} == {"–"}
    assert not rate.is_poor_recall
    assert not rate.is_poor_false_alarm_rate(0.01)


@pytest.mark.parametrize(("rate", "is_poor"), [(Rate(9, 10), False), (Rate(89, 100), True), (Rate(0, 3), True)])
def test_a_recall_below_nine_tenths_is_poor(rate, is_poor):
    assert rate.is_poor_recall == is_poor


def test_one_false_alarm_among_few_pictures_is_no_proof():
    assert not Rate(0, 22).is_poor_false_alarm_rate(0.01)
    assert not Rate(1, 22).is_poor_false_alarm_rate(0.01)
    assert Rate(4, 22).is_poor_false_alarm_rate(0.01)
    assert not Rate(4, 22).is_poor_false_alarm_rate(0.2)


@given(st.integers(0, 3000), st.integers(1, 3000))
def test_percent_is_within_half_a_digit(count, more):
    share = count / (count + more)
    assert abs(float(percent(share).removesuffix(" %")) - 100 * share) <= 0.05 + 1e-9


def test_halves_are_rounded_up_as_the_script_does():
    assert percent(1 / 16) == "6.3 %"
