"""When a verdict becomes an alert."""

from __future__ import annotations

from collections import deque

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgerd.errors import InputError
from edgerd.line.decision import AlertState, PartPolicy, StreamPolicy
from edgerd.types import Inspection, Verdict

RAISED, CLEARED = AlertState.RAISED, AlertState.CLEARED


def inspection(score: float | None, threshold: float = 1.0, usual: float | None = None) -> Inspection:
    if score is None:
        return Inspection(Verdict.NO_DECISION, None, threshold, reason="black frame")
    return Inspection(Verdict.NG if score > threshold else Verdict.OK, score, threshold, usual_score=usual)


def states(
    policy: StreamPolicy | PartPolicy, scores: list[float | None], fps: float = 1.0, usual: float | None = None
) -> list[AlertState | None]:
    changes = [policy.update(inspection(score, usual=usual), number / fps) for number, score in enumerate(scores)]
    return [change and change.state for change in changes]


scores = st.lists(st.one_of(st.none(), st.sampled_from([0.2, 0.89, 0.9, 0.95, 1.0, 1.01, 2.0])), max_size=60)


@given(scores)
def test_part_policy_alerts_for_every_defective_part_and_for_nothing_else(scores: list[float | None]) -> None:
    alerts = [state is RAISED for state in states(PartPolicy(), scores)]
    assert alerts == [score is not None and score > 1.0 for score in scores]


@given(scores)
def test_what_is_cleared_is_what_was_raised_and_no_two_alerts_have_one_name(scores: list[float | None]) -> None:
    policy = StreamPolicy()
    changes = [change for score in scores if (change := policy.update(inspection(score), 0.0))]
    raised = [change.id for change in changes if change.state is RAISED]
    cleared = [change.id for change in changes if change.state is CLEARED]
    assert raised[: len(cleared)] == cleared
    assert sorted(set(raised)) == raised


@given(scores, st.integers(1, 5), st.integers(0, 3), st.floats(0, 10))
def test_stream_policy_raises_and_clears_in_turn_and_for_a_reason(
    scores: list[float | None], k: int, more: int, cooldown_s: float
) -> None:
    policy = StreamPolicy(k=k, n=k + more, cooldown_s=cooldown_s)
    decided: deque[bool] = deque(maxlen=k + more)
    raised, cleared_s = False, -1e9
    for now_s, (score, state) in enumerate(zip(scores, states(policy, scores), strict=True)):
        if score is None:
            assert state is None
            continue
        decided.append(score > 1.0)
        if state is RAISED:
            assert not raised
            assert score > 1.0
            assert sum(decided) >= k
            assert now_s - cleared_s >= cooldown_s
        if state is CLEARED:
            assert raised
            assert score < 0.9
            cleared_s = now_s
        raised = raised if state is None else state is RAISED


@given(scores, st.integers(1, 5))
def test_stream_policy_misses_no_run_of_k(scores: list[float | None], k: int) -> None:
    """Without a cooldown, k NG in a row are an alert unless one is raised already."""
    raised, in_a_row = False, 0
    for score, state in zip(scores, states(StreamPolicy(k=k, n=k), scores), strict=True):
        raised = raised if state is None else state is RAISED
        if score is not None:
            in_a_row = in_a_row + 1 if score > 1.0 else 0
        assert raised or in_a_row < k


@given(scores)
def test_by_default_every_ng_is_part_of_an_alert(scores: list[float | None]) -> None:
    policy, raised = StreamPolicy(), False
    for score, state in zip(scores, states(policy, scores), strict=True):
        raised = raised if state is None else state is RAISED
        assert raised or score is None or score <= 1.0
    assert policy.held_back == 0


@given(scores, st.integers(1, 5), st.integers(0, 3), st.floats(0, 10))
def test_ng_frames_belong_to_an_alert_or_are_counted_as_held_back(
    scores: list[float | None], k: int, more: int, cooldown_s: float
) -> None:
    policy = StreamPolicy(k=k, n=k + more, cooldown_s=cooldown_s)
    in_alert: set[int] = set()
    raised = False
    window: deque[int] = deque(maxlen=k + more)
    for number, (score, state) in enumerate(zip(scores, states(policy, scores), strict=True)):
        if score is None:
            continue
        window.append(number if score > 1.0 else -1)
        if state is RAISED:  # by this NG, and by those that confirm it
            in_alert |= set(window)
        raised = raised if state is None else state is RAISED
        if state is CLEARED:
            window.clear()
        elif raised:
            in_alert.add(number)
    swallowed = [n for n, score in enumerate(scores) if score is not None and score > 1.0 and n not in in_alert]
    assert policy.held_back == len(swallowed)


def test_parts_that_each_show_for_one_frame_are_an_alert_each() -> None:
    """A defect among good parts: with two of three frames to confirm it, none of these ten was told of."""
    line = [2.0, 0.3, 0.2] * 10
    policy = StreamPolicy()
    assert states(policy, line).count(RAISED) == 10
    confirmed = StreamPolicy(2, 3)
    assert states(confirmed, line).count(RAISED) == 0
    assert confirmed.held_back == 10


def test_two_of_three_raise() -> None:
    assert states(StreamPolicy(2, 3), [2.0, 0.5, 2.0, 2.0]) == [None, None, RAISED, None]
    assert states(StreamPolicy(2, 3), [2.0, 0.5, 0.5, 2.0]) == [None, None, None, None]


def test_frames_without_a_decision_neither_raise_nor_clear_nor_count() -> None:
    scores = [2.0, None, None, 2.0, None, 0.5]
    assert states(StreamPolicy(2, 3), scores) == [None, None, None, RAISED, None, CLEARED]


def test_score_that_hovers_at_the_threshold_is_one_alert() -> None:
    scores = [1.1, 1.1, 0.95, 1.1, 0.91, 1.1]
    assert states(StreamPolicy(), scores) == [RAISED, None, None, None, None, None]
    assert states(StreamPolicy(2, 3), scores) == [None, RAISED, None, None, None, None]


def test_an_alert_ends_with_the_first_frame_that_scores_as_good_parts_do() -> None:
    """Good parts of the demo score 0.86 to 0.98 of the threshold; alerts went on over them, and the next defect."""
    line = [1.4, 0.93, 0.95, 1.3, 0.96, 0.92, 1.5, 0.955]
    assert states(StreamPolicy(), line).count(RAISED) == 1
    assert states(StreamPolicy(), line, usual=0.96) == [RAISED, CLEARED, None, RAISED, CLEARED, None, RAISED, CLEARED]


def test_between_usual_scores_and_the_threshold_an_alert_goes_on() -> None:
    assert states(StreamPolicy(), [1.1, 0.97, 1.1, 1.0, 0.96], usual=0.96) == [RAISED, None, None, None, CLEARED]


def test_a_threshold_below_usual_scores_still_ends_alerts_with_ok_parts_alone() -> None:
    assert states(StreamPolicy(), [1.1, 1.05, 1.0], usual=1.2) == [RAISED, None, CLEARED]


def test_nothing_is_raised_during_the_cooldown_and_what_lasts_is_raised_after_it() -> None:
    policy = StreamPolicy(k=1, n=1, cooldown_s=3)
    assert states(policy, [2.0, 0.1, 2.0, 2.0, 2.0, 2.0]) == [RAISED, CLEARED, None, None, RAISED, None]


def test_after_a_clear_the_counting_starts_anew() -> None:
    assert states(StreamPolicy(2, 3), [2.0, 2.0, 0.1, 2.0, 2.0]) == [None, RAISED, CLEARED, None, RAISED]


@pytest.mark.parametrize(
    "arguments", [{"k": 0}, {"k": 4}, {"clear_ratio": 0}, {"clear_ratio": 1.1}, {"cooldown_s": -1}]
)
def test_policy_that_makes_no_sense_is_refused(arguments: dict[str, float]) -> None:
    with pytest.raises(InputError, match="is not an alert policy"):
        StreamPolicy(**arguments)  # type: ignore[arg-type]
