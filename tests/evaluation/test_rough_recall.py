import pytest

from edgerd.evaluation.rough_recall import describe_recall, is_too_low, rough_recall


def test_what_is_above_the_threshold_is_found_kind_by_kind():
    found = rough_recall([0.1, 0.5, 0.6, 0.9], ["thin", "small", "thin", "small"], 0.5)
    assert {kind: (part.found, part.n) for kind, part in found.per_kind.items()} == {"thin": (1, 2), "small": (1, 2)}
    assert (found.found, found.n) == (2, 4)
    assert describe_recall(found) == "2 of 4 pasted defects (thin 1 of 2, small 1 of 2)"


@pytest.mark.parametrize(("n_found", "low"), [(0, True), (11, True), (12, False), (48, False)])
def test_a_bundle_that_finds_less_than_a_quarter_finds_next_to_nothing(n_found, low):
    scores = [1.0] * n_found + [0.0] * (48 - n_found)
    assert is_too_low(rough_recall(scores, ["thin"] * 48, 0.5)) is low
