"""The register map, and how values become registers. docs/reference/modbus.md is its description for PLC engineers.

Each camera has a block of `STRIDE` registers. The PLC writes the first ones of it, edgerd the rest. Whoever changes
what a register means gives the map another `MAP_VERSION`.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

from edgerd.sinks.modbus.handshake import Outputs, Result
from edgerd.sinks.plc import CameraState

MAP_VERSION: Final = 1
STRIDE: Final = 100
"""Registers from one camera's block to the next, and likewise coils and discrete inputs."""
STATUS_OFFSET: Final = 16
"""Where the part of a block begins that edgerd writes."""
SCORE_SCALE: Final = 10_000
"""An integer score is the score times this."""
NO_SCORE: Final = -1.0
"""Stands for a score or threshold that there is not; real ones are never negative."""

Kind: TypeAlias = Literal["uint16", "uint32", "int32", "float32"]
_LARGEST_FLOAT32: Final = 3.4028234e38
_FORMATS: Final[Mapping[Kind, str]] = {"uint16": ">H", "uint32": ">I", "int32": ">i", "float32": ">f"}


@dataclass(frozen=True, slots=True)
class Register:
    """A value in a block: one register, or two of which the first holds the high word.

    Attributes:
        name: Name of the value.
        offset: Of its first register from the block's beginning.
        kind: Its type.
    """

    name: str
    offset: int
    kind: Kind = "uint16"

    @property
    def words(self) -> int:
        """How many registers it takes."""
        return struct.calcsize(_FORMATS[self.kind]) // 2


CONTROL: Final = (Register("control", 0), Register("product", 1))
"""What the PLC writes."""

IDENTITY: Final = (
    Register("map_version", 16),
    Register("heartbeat_timeout_ms", 17),
    Register("session", 18, "uint32"),
)
"""What edgerd writes once, when it has found a PLC that does not know it."""

STATUS: Final = (
    *IDENTITY,
    Register("status", 20),
    Register("heartbeat", 21),
    Register("camera_state", 22),
    Register("trigger_errors", 23),
    Register("accepted_sequence", 24, "uint32"),
    Register("result_sequence", 26, "uint32"),
    Register("outcome", 28),
    Register("error_cause", 29),
    Register("score_scaled", 30, "int32"),
    Register("threshold_scaled", 32, "int32"),
    Register("score", 34, "float32"),
    Register("threshold", 36, "float32"),
    Register("result_product", 38),
    Register("regions", 39),
    Register("discarded_results", 40),
    Register("latest_outcome", 41),
    Register("latest_count", 42, "uint32"),
    Register("latest_score", 44, "float32"),
)
"""What edgerd writes."""

STATUS_WORDS: Final = STATUS[-1].offset + STATUS[-1].words - STATUS_OFFSET
BLOCK_WORDS: Final = STATUS_OFFSET + STATUS_WORDS
IDENTITY_WORDS: Final = sum(register.words for register in IDENTITY)

CONTROL_BITS: Final = ("enable", "trigger", "ack")
"""Bits 0, 1 and 2 of the control word, and the coils of the same numbers."""
STATUS_BITS: Final = ("ready", "busy", "result_ready", "ok", "ng", "error", "trigger_error", "enabled")
"""Bits 0 to 7 of the status word, and the discrete inputs of the same numbers."""

CAMERA_STATES: Final = {
    CameraState.STARTING: 0,
    CameraState.READY: 1,
    CameraState.STOPPED: 2,
    CameraState.ERROR: 3,
}


@dataclass(frozen=True, slots=True)
class Latest:
    """The last verdict about a camera, whoever asked for it.

    Attributes:
        count: Number of verdicts so far.
        result: The last one; None before the first.
    """

    count: int = 0
    result: Result | None = None


@dataclass(frozen=True, slots=True)
class Status:
    """Everything that a block says of its camera.

    Attributes:
        outputs: What the handshake says.
        heartbeat: Counts on as long as the line is alive.
        heartbeat_timeout_ms: If the heartbeat stands still for so long, the line is dead.
        camera_state: Whether the camera can judge parts now.
        session: Another number each time that edgerd starts; never 0.
        latest: The last verdict of the camera.
    """

    outputs: Outputs
    heartbeat: int
    heartbeat_timeout_ms: int
    camera_state: CameraState
    session: int
    latest: Latest


def status_words(status: Status) -> list[int]:
    """The registers that edgerd writes, from `STATUS_OFFSET` on, each 0 to 65535."""
    outputs, result, latest = status.outputs, status.outputs.result, status.latest.result
    score, threshold = (result.score, result.threshold) if result else (None, None)
    return encode(
        STATUS,
        {
            "status": bits_to_word(status_bits(outputs)),
            "heartbeat": status.heartbeat,
            "camera_state": CAMERA_STATES[status.camera_state],
            "map_version": MAP_VERSION,
            "session": status.session,
            "accepted_sequence": outputs.accepted_sequence,
            "result_sequence": outputs.result_sequence,
            "outcome": result.outcome.value if result else 0,
            "error_cause": result.cause.value if result else 0,
            "score_scaled": _shown(score) * SCORE_SCALE,
            "threshold_scaled": _shown(threshold) * SCORE_SCALE,
            "score": _shown(score),
            "threshold": _shown(threshold),
            "result_product": result.product if result else 0,
            "regions": min(result.n_regions, 0xFFFF) if result else 0,
            "trigger_errors": outputs.trigger_errors,
            "discarded_results": outputs.discarded_results,
            "latest_count": status.latest.count,
            "latest_outcome": latest.outcome.value if latest else 0,
            "heartbeat_timeout_ms": status.heartbeat_timeout_ms,
            "latest_score": _shown(latest.score if latest else None),
        },
    )


def status_bits(outputs: Outputs) -> list[bool]:
    """The bits of the status word, lowest first, in the order of `STATUS_BITS`."""
    return [
        outputs.ready,
        outputs.busy,
        outputs.result is not None,
        outputs.ok,
        outputs.ng,
        outputs.error,
        outputs.trigger_error,
        outputs.enabled,
    ]


def encode(registers: Sequence[Register], values: Mapping[str, float]) -> list[int]:
    """Registers that follow on one another, from the first one's offset on; gaps are 0.

    A counter that has outgrown its register begins again at 0; a scaled score that has is the largest that fits.

    Args:
        registers: In the order of their offsets.
        values: A value for each name.
    """
    first, last = registers[0], registers[-1]
    data = bytearray(2 * (last.offset + last.words - first.offset))
    for register in registers:
        value = _fitting(register.kind, values[register.name])
        struct.pack_into(_FORMATS[register.kind], data, 2 * (register.offset - first.offset), value)
    return list(struct.unpack(f">{len(data) // 2}H", data))


def decode(registers: Sequence[Register], words: Sequence[int]) -> dict[str, int | float]:
    """The values in registers that `encode` made, by name.

    Args:
        registers: In the order of their offsets.
        words: Registers from the first one's offset on, each 0 to 65535.
    """
    data = struct.pack(f">{len(words)}H", *words)
    offset = registers[0].offset
    return {
        register.name: struct.unpack_from(_FORMATS[register.kind], data, 2 * (register.offset - offset))[0]
        for register in registers
    }


def bits_to_word(bits: Sequence[bool]) -> int:
    """Bits, lowest first, as a number."""
    return sum(1 << position for position, bit in enumerate(bits) if bit)


def word_to_bits(word: int, count: int) -> list[bool]:
    """The lowest bits of a number, lowest first."""
    return [bool(word >> position & 1) for position in range(count)]


def _shown(score: float | None) -> float:
    return NO_SCORE if score is None else score


def _fitting(kind: Kind, value: float) -> float:
    if kind == "float32":
        return max(-_LARGEST_FLOAT32, min(_LARGEST_FLOAT32, value))
    if kind == "int32":
        return round(max(-(1 << 31), min((1 << 31) - 1, value)))
    return int(value) & (0xFFFF if kind == "uint16" else 0xFFFFFFFF)
