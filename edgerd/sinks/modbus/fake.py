"""The other side: what the program of a PLC does, for tests, and as an example for those who write one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Final

from edgerd.sinks.modbus.registers import (
    BLOCK_WORDS,
    CONTROL_BITS,
    MAP_VERSION,
    STATUS,
    STATUS_BITS,
    STATUS_OFFSET,
    bits_to_word,
    decode,
    word_to_bits,
)

LOST: Final = 0
"""Outcome of a part that edgerd gave no result for; the PLC treats it as an ERROR."""


@dataclass(frozen=True)
class PartResult:
    """How a part ended for the PLC.

    Attributes:
        product: What the PLC wrote into the product register for it.
        outcome: 1 OK, 2 NG, 3 ERROR as in the register map, or `LOST`.
        result_product: What the result named as its product; `product` unless something is wrong.
        score: Score as float32; -1 where there is none.
    """

    product: int
    outcome: int
    result_product: int
    score: float


class _Step(Enum):
    SYNCHRONISING = "everything off, until edgerd has everything off"
    WAITING_FOR_READY = "enabled"
    TRIGGERING = "trigger on, until edgerd is busy or has a result"
    WAITING_FOR_RESULT = "trigger off"
    ACKNOWLEDGING = "ack on, until the result is gone"


class PlcProgram:
    """One cycle of a PLC's program per call of `scan`, for one camera.

    A part begins with `begin_part` and ends in `results`, exactly once. It is lost where edgerd restarts, or shows no
    sign of life, before it has given a result.

    Attributes:
        results: Parts that have ended, in their order.
        is_ready: Whether a part may begin.
        is_dead: Whether edgerd's heartbeat has stood still for too long.
    """

    def __init__(self) -> None:
        self.results: list[PartResult] = []
        self.is_ready = False
        self.is_dead = False
        self._step = _Step.SYNCHRONISING
        self._product = 0
        self._sequence_before = 0
        self._session = 0
        self._heartbeat = -1
        self._heard_s = 0.0

    @property
    def has_part(self) -> bool:
        """Whether a part has begun and has not ended."""
        return self._product != 0

    def begin_part(self, product: int) -> None:
        """A part stands before the camera; only where `is_ready`.

        Args:
            product: 1 to 65535.
        """
        self._product = product
        self.is_ready = False
        self._step = _Step.TRIGGERING

    def scan(self, block: Sequence[int], now_s: float) -> list[int]:
        """One cycle.

        Args:
            block: The camera's registers as they stand, each 0 to 65535.
            now_s: Seconds of the PLC's clock.

        Returns:
            The control word and the product, to be written into the first two registers.
        """
        status = decode(STATUS, block[STATUS_OFFSET:BLOCK_WORDS])
        bits = dict(zip(STATUS_BITS, word_to_bits(int(status["status"]), len(STATUS_BITS)), strict=True))
        self._watch(status, now_s)
        if self._step is _Step.SYNCHRONISING:
            if (
                status["map_version"] == MAP_VERSION
                and status["session"]
                and not any(bits[name] for name in ("ready", "busy", "result_ready", "enabled"))
            ):
                self._session = int(status["session"])
                self._step = _Step.WAITING_FOR_READY
        elif self._step is _Step.WAITING_FOR_READY:
            self.is_ready = bits["ready"] and not self.is_dead
            self._sequence_before = int(status["accepted_sequence"])
        elif self._step in (_Step.TRIGGERING, _Step.WAITING_FOR_RESULT):
            self._await_result(status, bits)
        elif not bits["result_ready"]:
            self._step = _Step.WAITING_FOR_READY
        return self._written()

    def _watch(self, status: dict[str, int | float], now_s: float) -> None:
        """Begin again where edgerd has restarted or is silent; the part in flight is lost."""
        if status["heartbeat"] != self._heartbeat:
            self._heartbeat, self._heard_s = int(status["heartbeat"]), now_s
        timeout_s = status["heartbeat_timeout_ms"] / 1000
        self.is_dead = now_s - self._heard_s > timeout_s
        has_restarted = self._step is not _Step.SYNCHRONISING and status["session"] != self._session
        if has_restarted or (self.is_dead and self.has_part):
            self.is_ready = False
            self._step = _Step.SYNCHRONISING
            if self.has_part:
                self._end_part(LOST, self._product, -1.0)

    def _await_result(self, status: dict[str, int | float], bits: dict[str, bool]) -> None:
        is_taken = status["accepted_sequence"] != self._sequence_before
        if self._step is _Step.TRIGGERING and is_taken:
            self._step = _Step.WAITING_FOR_RESULT
        if bits["result_ready"] and is_taken and status["result_sequence"] == status["accepted_sequence"]:
            outcome = bits["ok"] * 1 + bits["ng"] * 2 + bits["error"] * 3
            self._end_part(outcome, int(status["result_product"]), status["score"])
            self._step = _Step.ACKNOWLEDGING

    def _end_part(self, outcome: int, result_product: int, score: float) -> None:
        self.results.append(PartResult(self._product, outcome, result_product, score))
        self._product = 0

    def _written(self) -> list[int]:
        levels = {
            "enable": self._step is not _Step.SYNCHRONISING,
            "trigger": self._step is _Step.TRIGGERING,
            "ack": self._step is _Step.ACKNOWLEDGING,
        }
        return [bits_to_word([levels[name] for name in CONTROL_BITS]), self._product]
