"""The handshake between PLC and camera: what it may never do, whatever either side does."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from edgerd.events import FrameVerdict
from edgerd.sinks.modbus.handshake import ErrorCause, Handshake, Inputs, Outcome, Result, result_of
from edgerd.types import Inspection, Verdict

OFF = Inputs(enable=False, trigger=False, ack=False)
ENABLED = replace(OFF, enable=True)
TRIGGERED = replace(ENABLED, trigger=True)
ACKNOWLEDGED = replace(ENABLED, ack=True)
OK = Result(Outcome.OK, score=0.1, threshold=0.5)


def ready_handshake() -> Handshake:
    handshake = Handshake()
    handshake.is_online = True
    handshake.observe(OFF)
    handshake.observe(ENABLED)
    return handshake


def test_a_part_from_trigger_to_the_next_ready() -> None:
    handshake = ready_handshake()
    assert handshake.outputs().ready
    sequence = handshake.observe(TRIGGERED)
    assert sequence == 1
    assert (handshake.outputs().ready, handshake.outputs().busy) == (False, True)
    assert handshake.observe(ENABLED) is None
    assert handshake.publish(1, OK)
    outputs = handshake.outputs()
    assert (outputs.busy, outputs.ok, outputs.ng, outputs.error) == (False, True, False, False)
    assert outputs.result_sequence == 1
    handshake.observe(ACKNOWLEDGED)
    assert (handshake.outputs().result, handshake.outputs().ready) == (None, False)
    handshake.observe(ENABLED)
    assert handshake.outputs().ready
    assert handshake.observe(TRIGGERED) == 2


@pytest.mark.parametrize("start", [Inputs(), OFF, replace(OFF, trigger=True)])
def test_a_trigger_that_was_on_already_starts_nothing(start: Inputs) -> None:
    handshake = Handshake()
    handshake.is_online = True
    handshake.observe(start)
    assert handshake.observe(TRIGGERED) is None
    assert not handshake.outputs().ready
    assert handshake.observe(ENABLED) is None
    assert handshake.outputs().ready


def test_it_is_not_ready_before_every_level_was_said_once() -> None:
    """A PLC that writes its coils one by one may be about to repeat a trigger that is old."""
    handshake = Handshake()
    handshake.is_online = True
    handshake.observe(Inputs(enable=True))
    assert not handshake.outputs().ready
    handshake.observe(Inputs(enable=True, ack=False))
    assert not handshake.outputs().ready
    assert handshake.observe(Inputs(enable=True, ack=False, trigger=True)) is None
    assert handshake.outputs().trigger_errors == 0


def test_a_trigger_while_busy_is_shown_and_counted_and_no_second_part() -> None:
    handshake = ready_handshake()
    handshake.observe(TRIGGERED)
    handshake.observe(ENABLED)
    assert handshake.observe(TRIGGERED) is None
    outputs = handshake.outputs()
    assert (outputs.trigger_error, outputs.trigger_errors, outputs.accepted_sequence) == (True, 1, 1)
    handshake.publish(1, OK)
    handshake.observe(ENABLED)
    handshake.observe(ACKNOWLEDGED)
    handshake.observe(ENABLED)
    assert handshake.outputs().trigger_error
    assert handshake.observe(TRIGGERED) == 2
    assert not handshake.outputs().trigger_error
    assert handshake.outputs().trigger_errors == 1


def test_an_ack_that_was_on_before_the_result_acknowledges_nothing() -> None:
    handshake = ready_handshake()
    handshake.observe(TRIGGERED)
    handshake.observe(ACKNOWLEDGED)
    handshake.publish(1, OK)
    handshake.observe(ACKNOWLEDGED)
    assert handshake.outputs().ok
    handshake.observe(ENABLED)
    handshake.observe(ACKNOWLEDGED)
    assert handshake.outputs().result is None


def test_disabling_ends_a_part_and_its_late_result_is_for_nobody() -> None:
    handshake = ready_handshake()
    handshake.observe(TRIGGERED)
    handshake.observe(OFF)
    assert not handshake.outputs().busy
    assert handshake.outputs().discarded_results == 1
    assert not handshake.publish(1, OK)
    handshake.observe(ENABLED)
    assert handshake.observe(TRIGGERED) == 2
    assert not handshake.publish(1, OK)
    assert handshake.outputs().busy


def test_a_line_that_cannot_judge_takes_no_trigger_and_says_so() -> None:
    handshake = ready_handshake()
    handshake.is_online = False
    assert not handshake.outputs().ready
    assert handshake.observe(TRIGGERED) is None
    assert handshake.outputs().trigger_errors == 1
    handshake.is_online = True
    assert not handshake.outputs().ready, "the PLC still shows the trigger that was not taken"
    handshake.observe(ENABLED)
    assert handshake.outputs().ready


@given(st.sampled_from(Verdict), st.none() | st.floats(), st.floats(), st.integers(min_value=0, max_value=0xFFFF))
def test_no_decision_is_an_error_and_never_ok(
    verdict: Verdict, score: float | None, threshold: float, product: int
) -> None:
    found = FrameVerdict(Inspection(verdict, score, threshold), "cam", 1, "cam", 1.0, 2.0, "b")
    result = result_of(found, product)
    assert (result.outcome is Outcome.OK) is (verdict is Verdict.OK)
    assert (result.outcome is Outcome.ERROR) is (verdict is Verdict.NO_DECISION)
    assert (result.cause is ErrorCause.NO_DECISION) is (verdict is Verdict.NO_DECISION)
    assert result.score is None or math.isfinite(result.score)
    assert result.product == product


LEVELS = st.sampled_from([None, False, True])
RESULTS = st.sampled_from([Result(outcome) for outcome in Outcome])


class AnyBehaviour(RuleBasedStateMachine):
    """A PLC that sets any level at any time, restarts, and a line that answers whatever it likes, late or twice."""

    def __init__(self) -> None:
        super().__init__()
        self.handshake = Handshake()
        self.inputs = Inputs()
        self.accepted: list[int] = []
        self.answered: dict[int, Result] = {}
        self.shown: Result | None = None

    @rule(enable=LEVELS, trigger=LEVELS, ack=LEVELS)
    def observe(self, enable: bool | None, trigger: bool | None, ack: bool | None) -> None:
        was_ready = self.handshake.outputs().ready
        trigger_before, errors_before = self.inputs.trigger, self.handshake.outputs().trigger_errors
        self.inputs = Inputs(enable, trigger, ack)
        sequence = self.handshake.observe(self.inputs)
        is_edge = trigger_before is False and trigger is True
        assert (sequence is not None) is (was_ready and is_edge and enable is True)
        is_refused = is_edge and sequence is None
        assert self.handshake.outputs().trigger_errors == errors_before + is_refused
        if sequence is not None:
            assert sequence not in self.accepted
            self.accepted.append(sequence)

    @precondition(lambda self: self.accepted)
    @rule(data=st.data(), result=RESULTS)
    def publish(self, data: st.DataObject, result: Result) -> None:
        sequence = data.draw(st.sampled_from(self.accepted))
        was_busy = self.handshake.outputs().busy
        is_shown = self.handshake.publish(sequence, result)
        assert is_shown is (was_busy and sequence == self.accepted[-1])
        if is_shown:
            assert sequence not in self.answered, "a part has one result"
            self.answered[sequence] = result

    @rule(is_online=st.booleans())
    def line_comes_and_goes(self, is_online: bool) -> None:
        self.handshake.is_online = is_online

    @rule()
    def plc_restarts(self) -> None:
        self.handshake.desynchronise()
        self.inputs = Inputs()

    @invariant()
    def is_in_one_state(self) -> None:
        outputs = self.handshake.outputs()
        assert outputs.ready + outputs.busy + (outputs.result is not None) <= 1
        assert outputs.ok + outputs.ng + outputs.error == (outputs.result is not None)

    @invariant()
    def ready_means_that_a_trigger_would_be_taken(self) -> None:
        if self.handshake.outputs().ready:
            assert self.handshake.is_online
            assert self.inputs.enable

    @invariant()
    def a_result_is_that_of_its_part_and_stays(self) -> None:
        outputs = self.handshake.outputs()
        if outputs.result is not None:
            assert outputs.result is self.answered[outputs.result_sequence]
            assert outputs.result_sequence == self.accepted[-1]
        elif self.shown is not None and self.handshake.outputs().enabled:
            assert self.inputs.ack, "only an acknowledgement takes a result away"
        self.shown = outputs.result


TestAnyBehaviour = AnyBehaviour.TestCase
