import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from edgerd.errors import InputError
from edgerd.evaluation.threshold import describe, realised_rate_interval, threshold_from_scores, threshold_like

scores_of_good = st.lists(st.floats(0, 6), min_size=3, max_size=300)
rates = st.floats(1e-4, 0.9)


def test_99_pictures_settle_one_in_a_hundred_and_98_do_not():
    scores = np.linspace(0.2, 0.4, 99)
    settled = threshold_from_scores(scores, 0.01)
    assert (settled.value, settled.rank, settled.extrapolated, settled.n_more_needed) == (0.4, 99, False, 0)
    short = threshold_from_scores(scores[:98], 0.01)
    assert (short.rank, short.extrapolated, short.realised_rate_90, short.n_more_needed) == (None, True, None, 1)


@given(scores_of_good, rates)
def test_the_rank_is_the_split_conformal_one(scores, rate):
    record = threshold_from_scores(scores, rate)
    n = len(scores) - record.n_left_out
    assert record.extrapolated == (record.n_more_needed > 0) == (record.rank is None)
    if record.rank is not None:
        assert record.value == sorted(scores)[record.rank - 1]
        assert 1 - record.rank / (n + 1) <= rate + 1e-9
        assert record.rank == 1 or 1 - (record.rank - 1) / (n + 1) > rate - 1e-9


@given(scores_of_good, rates)
def test_nine_of_ten_good_scores_do_not_exceed_the_usual_score(scores, rate):
    record = threshold_from_scores(scores, rate)
    kept = sorted(scores)[: len(scores) - record.n_left_out]
    assert sum(score > record.usual_score for score in kept) <= 0.1 * len(kept)
    assert record.usual_score <= record.largest_score


@given(scores_of_good, rates)
def test_an_extrapolated_threshold_is_never_below_the_largest_score(scores, rate):
    record = threshold_from_scores(scores, rate)
    assert record.largest_score == sorted(scores)[len(scores) - 1 - record.n_left_out]
    if record.extrapolated:
        assert record.largest_score <= record.value < math.inf


def test_of_few_scores_one_far_outside_does_not_count():
    """One defect among thirty good pictures would lift the threshold above most defects."""
    scores = np.linspace(1.0, 1.2, 30)
    clean, spoilt = (threshold_from_scores(values, 0.01) for values in (scores, np.append(scores, 3.0)))
    assert spoilt.n_left_out == 1
    assert spoilt.value == pytest.approx(clean.value, rel=0.05)
    assert "one that stands far outside" in describe(spoilt)


def test_of_many_scores_all_count():
    """The promise of a rank holds whatever the law of the scores is, and only if none is left out."""
    scores = np.append(np.linspace(1.0, 1.2, 120), [3.0, 3.1])
    assert threshold_from_scores(scores, 0.01).value == 3.1


@given(scores_of_good)
def test_a_lower_rate_never_lowers_the_threshold(scores):
    values = [threshold_from_scores(scores, rate).value for rate in (0.5, 0.2, 0.1, 0.05, 0.01, 0.001)]
    assert values == sorted(values)


@given(scores_of_good, st.sampled_from([0.5, 2.0, 4.0]))
def test_the_threshold_scales_with_the_scores(scores, factor):
    value = threshold_from_scores(scores, 0.01).value
    scaled = threshold_from_scores(np.multiply(scores, factor), 0.01).value
    assert scaled == pytest.approx(factor * value, rel=1e-9, abs=1e-12)


@given(st.integers(1, 3000), st.data())
def test_the_interval_is_betas(n, data):
    rank = data.draw(st.integers(max(1, n - 60), n))
    expected = stats.beta.ppf([0.05, 0.95], n + 1 - rank, rank)
    assert realised_rate_interval(n, rank) == pytest.approx(tuple(expected), rel=1e-6, abs=1e-12)


@pytest.mark.parametrize("n", [8, 20, 60])
def test_extrapolating_from_few_scores_stays_near_the_rate(n):
    """Gumbel scores, like maxima of maps: the rate is at most twice what was asked for, the median height also."""
    law = stats.gumbel_r(0.3, 0.03)
    draws = law.rvs((400, n), random_state=0)
    thresholds = np.array([threshold_from_scores(draw, 0.01).value for draw in draws])
    assert law.sf(thresholds).mean() < 0.02
    assert np.median(thresholds) - law.median() < 2 * (law.isf(0.01) - law.median())


def test_equal_scores_give_that_score():
    assert threshold_from_scores([0.25] * 8, 0.01).value == 0.25


def test_the_message_says_what_is_promised():
    message = describe(threshold_from_scores(np.linspace(0.2, 0.4, 120), 0.01))
    assert "score above 0.4" in message
    assert "number 120 of the 120" in message
    assert "90 % interval" in message
    low, high = realised_rate_interval(120, 120)
    assert f"{100 * low:.2g} % to {100 * high:.2g} %" in message


def test_the_message_says_what_is_not_known():
    message = describe(threshold_from_scores(np.linspace(0.2, 0.4, 20), 0.01), "'my bundle'")
    assert "extrapolated" in message
    assert "largest is 0.4" in message
    assert "79 more good pictures" in message
    assert "edgerd calibrate 'my bundle' MORE_PICTURES, or --from-camera URI --minutes M" in message


@pytest.mark.parametrize("rate", [0.0, 1.0, -0.1, 1.5, math.nan])
def test_a_rate_that_makes_no_sense(rate):
    with pytest.raises(InputError, match="makes no sense"):
        threshold_from_scores([0.1] * 10, rate)


@pytest.mark.parametrize(
    ("scores", "words"), [([], "0 good pictures"), ([0.1, 0.2], "2 good"), ([0.1, math.nan], "not f")]
)
def test_scores_that_give_no_threshold(scores, words):
    with pytest.raises(InputError, match=words):
        threshold_from_scores(scores, 0.01)


@given(st.integers(0, 2**32), st.integers(20, 200), st.floats(0.005, 0.2), st.floats(-0.1, 0.1))
def test_an_engines_threshold_moves_as_its_scores_do(seed, n, rate, shift):
    scores = np.random.default_rng(seed).gamma(4.0, 0.1, n)
    reference = threshold_from_scores(scores, rate)
    own = threshold_like(scores + shift, scores, reference)
    assert own.value == pytest.approx(reference.value + shift, abs=1e-9)
    assert own.extrapolated == reference.extrapolated


def test_an_extrapolated_threshold_is_not_fitted_to_rounding():
    """A tail that is fitted again would amplify the rounding of ten scores."""
    rng = np.random.default_rng(0)
    scores = rng.gamma(4.0, 0.1, 70)
    noise = rng.normal(0, 0.005, 70)
    reference = threshold_from_scores(scores, 0.01)
    own = threshold_like(scores + noise, scores, reference)
    assert own.extrapolated
    assert abs(own.value - reference.value) < 0.002
    assert own.value >= own.largest_score == max(scores + noise)


def test_an_engine_whose_good_parts_score_higher_than_the_moved_threshold_is_not_set_below_them():
    scores = np.linspace(0.2, 0.5, 30)
    reference = threshold_from_scores(scores, 0.01)
    spoilt = scores.copy()
    spoilt[0] = reference.value + 1.0
    assert threshold_like(spoilt, scores, reference).value == spoilt[0]


def test_scores_known_as_numbers_alone_move_as_those_did_that_an_engine_can_see():
    """Cross-fitting leaves scores of models that are gone; INT8 stretches high scores more than low ones."""
    rng = np.random.default_rng(0)
    reference = threshold_from_scores(rng.gamma(4.0, 0.1, 150), 0.01)
    others = np.linspace(0.0, 2.0, 80)
    own = threshold_like((), (), reference, (1.1 * others, others))
    assert own.value == pytest.approx(1.1 * reference.value, rel=0.02)
    assert (own.n_good, own.rank, own.realised_rate_90) == (150, reference.rank, reference.realised_rate_90)


def test_fewer_pictures_than_a_threshold_was_found_from_do_not_take_its_place():
    scores = np.linspace(0.2, 0.5, 120)
    reference = threshold_from_scores(scores, 0.01)
    own = threshold_like(scores[:10] + 0.01, scores[:10], reference)
    assert own.value == pytest.approx(reference.value + 0.01)
    assert own.n_good == 120


def test_without_a_picture_to_compare_on_there_is_no_threshold():
    with pytest.raises(InputError, match="no pictures to compare"):
        threshold_like((), (), threshold_from_scores(np.linspace(0.2, 0.5, 120), 0.01))
