"""The handshake between a PLC and one camera, as a state machine without any input or output of its own.

The PLC holds three levels, edgerd answers with three, and each side keeps a level until it has seen the other's answer:

    edgerd: ready on                    the camera waits for a part
    PLC:    trigger on                  here is one
    edgerd: ready off, busy on          taken
    PLC:    trigger off
    edgerd: busy off, result ready on   with exactly one of OK, NG and ERROR
    PLC:    ack on                      read
    edgerd: result ready off
    PLC:    ack off
    edgerd: ready on

Turning `enable` off ends whatever is going on and discards its result, so it is how a PLC begins after a restart.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import Enum

from edgerd.events import FrameVerdict
from edgerd.types import Verdict

_LARGEST_SEQUENCE = 0xFFFFFFFF


class Outcome(Enum):
    """What a PLC is told about a part: one of these, never two."""

    OK = 1
    NG = 2
    ERROR = 3


class ErrorCause(Enum):
    """Why an outcome is ERROR."""

    NONE = 0
    NO_DECISION = 1
    """The part was looked at, or should have been, and nothing could be judged."""
    NOT_TAKEN = 2
    """The line could not take the trigger."""


@dataclass(frozen=True, slots=True)
class Result:
    """The answer to one trigger.

    Attributes:
        outcome: OK, NG or ERROR.
        cause: Why it is ERROR; NONE otherwise.
        score: Score of the part; None where there is none, and where it is no finite number.
        threshold: The one it was compared with; None where it is no finite number.
        n_regions: Number of defect regions.
        product: Index of the product that the PLC asked for; 0 where it named none.
    """

    outcome: Outcome
    cause: ErrorCause = ErrorCause.NONE
    score: float | None = None
    threshold: float | None = None
    n_regions: int = 0
    product: int = 0


def result_of(verdict: FrameVerdict, product: int = 0) -> Result:
    """The result of a verdict. Only an OK verdict is OK, only an NG one is NG; whatever else there may be is ERROR."""
    inspection = verdict.inspection
    outcomes = {Verdict.OK: Outcome.OK, Verdict.NG: Outcome.NG}
    outcome = outcomes.get(inspection.verdict, Outcome.ERROR)
    return Result(
        outcome,
        cause=ErrorCause.NO_DECISION if outcome is Outcome.ERROR else ErrorCause.NONE,
        score=_finite(inspection.score),
        threshold=_finite(inspection.threshold),
        n_regions=len(inspection.regions),
        product=product,
    )


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None


@dataclass(frozen=True, slots=True)
class Inputs:
    """What the PLC says. A level is None until the PLC has said it once since it is known.

    Attributes:
        enable: It wants parts to be inspected.
        trigger: A part is there.
        ack: It has read the result.
        product: Index of the product that the next part is; 0 for the camera's default.
    """

    enable: bool | None = None
    trigger: bool | None = None
    ack: bool | None = None
    product: int = 0


@dataclass(frozen=True, slots=True)
class Outputs:
    """What edgerd says.

    Attributes:
        enabled: It has seen `enable`.
        ready: A trigger will be taken.
        busy: A trigger was taken and has no result yet.
        result: The result of the part `result_sequence`, until it is acknowledged; None while there is none.
        trigger_error: A trigger came that was not taken. Stays until the next one is taken, or `enable` goes off.
        accepted_sequence: Number of the last trigger that was taken; 0 before the first.
        result_sequence: Number of the trigger that `result` answers; 0 while there is no result.
        trigger_errors: How many triggers were not taken.
        discarded_results: How many parts were taken whose result the PLC can no longer get.
    """

    enabled: bool
    ready: bool
    busy: bool
    result: Result | None
    trigger_error: bool
    accepted_sequence: int
    result_sequence: int
    trigger_errors: int
    discarded_results: int

    @property
    def ok(self) -> bool:
        """The part is good; never together with `ng` or `error`."""
        return self.result is not None and self.result.outcome is Outcome.OK

    @property
    def ng(self) -> bool:
        """The part is defective."""
        return self.result is not None and self.result.outcome is Outcome.NG

    @property
    def error(self) -> bool:
        """Nothing is known about the part, so it must not pass as good."""
        return self.result is not None and self.result.outcome is Outcome.ERROR


class _Phase(Enum):
    WAITING = "for enable on, trigger off and ack off"
    IDLE = "a trigger would be taken"
    BUSY = "a part has no result yet"
    RESULT = "a result is not acknowledged yet"


class Handshake:
    """Turns what the PLC says and what the line finds into what the PLC sees.

    It begins unsynchronised: the PLC must have enabled it and must have shown trigger and ack off before it is ready.
    So a trigger that was on already when edgerd came up starts nothing.

    Attributes:
        is_online: Whether the line can judge a part now. Without it, nothing is ready and no trigger is taken; a part
            that was taken stays busy until it has its result.
    """

    def __init__(self) -> None:
        self.is_online = False
        self._phase = _Phase.WAITING
        self._inputs = Inputs()
        self._result: Result | None = None
        self._trigger_error = False
        self._sequence = 0
        self._trigger_errors = 0
        self._discarded_results = 0

    def observe(self, inputs: Inputs) -> int | None:
        """Take in what the PLC says now.

        Args:
            inputs: All its levels, whether they changed or not.

        Returns:
            The sequence number of a part that is to be inspected, 1 to 2**32 - 1; None where nothing is to be done.
        """
        before, self._inputs = self._inputs, inputs
        is_triggered = before.trigger is False and bool(inputs.trigger)
        is_acknowledged = before.ack is False and bool(inputs.ack)
        if not inputs.enable:
            self._abandon()
            if before.enable:
                self._trigger_error = False
        elif self._phase is _Phase.IDLE and is_triggered and self.is_online:
            return self._accept()
        elif self._phase is _Phase.RESULT and is_acknowledged:
            self._phase, self._result = _Phase.WAITING, None
        if is_triggered:
            self._trigger_error = True
            self._trigger_errors += 1
            if self._phase is _Phase.IDLE:
                self._phase = _Phase.WAITING
        if self._phase is _Phase.WAITING and inputs.enable and inputs.trigger is False and inputs.ack is False:
            self._phase = _Phase.IDLE
        return None

    def publish(self, sequence: int, result: Result) -> bool:
        """Hand over the result of a part.

        Args:
            sequence: What `observe` returned for it.
            result: Its result.

        Returns:
            Whether the PLC will see it. It will not where the part was given up meanwhile, or has its result already.
        """
        if self._phase is not _Phase.BUSY or sequence != self._sequence:
            return False
        self._phase, self._result = _Phase.RESULT, result
        return True

    def desynchronise(self) -> None:
        """Forget the PLC's levels and the part in flight: the PLC has restarted and knows nothing of either."""
        self._abandon()
        self._inputs = Inputs()

    def outputs(self) -> Outputs:
        """What the PLC sees now."""
        return Outputs(
            enabled=bool(self._inputs.enable),
            ready=self._phase is _Phase.IDLE and self.is_online,
            busy=self._phase is _Phase.BUSY,
            result=self._result,
            trigger_error=self._trigger_error,
            accepted_sequence=self._sequence,
            result_sequence=self._sequence if self._result else 0,
            trigger_errors=self._trigger_errors,
            discarded_results=self._discarded_results,
        )

    def _accept(self) -> int:
        self._phase = _Phase.BUSY
        self._trigger_error = False
        self._sequence = 1 if self._sequence == _LARGEST_SEQUENCE else self._sequence + 1
        return self._sequence

    def _abandon(self) -> None:
        if self._phase in (_Phase.BUSY, _Phase.RESULT):
            self._discarded_results += 1
        self._phase, self._result = _Phase.WAITING, None
