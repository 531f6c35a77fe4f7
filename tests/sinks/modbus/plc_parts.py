"""What the tests of Modbus share: a PLC's side of a server, verdicts, and waiting."""

from __future__ import annotations

import time
from collections.abc import Callable

from pymodbus.client import ModbusTcpClient

from edgerd.events import FrameVerdict
from edgerd.sinks.modbus.registers import BLOCK_WORDS, STATUS, STATUS_BITS, STATUS_OFFSET, STRIDE, decode, word_to_bits
from edgerd.types import Inspection, Verdict

ENABLE, TRIGGER, ACK = 1, 2, 4


def eventually(is_so: Callable[[], object], timeout_s: float = 10.0) -> bool:
    """Whether something becomes so before a time-out that is far longer than it takes."""
    end = time.monotonic() + timeout_s
    while time.monotonic() < end:
        if is_so():
            return True
        time.sleep(0.005)
    return False


def found(verdict: Verdict, score: float | None = 0.75, camera: str = "top") -> FrameVerdict:
    return FrameVerdict(Inspection(verdict, score, 0.5), camera, 1, camera, 1.0, 2.0, "bundle")


class PlcClient:
    """A PLC's side of a server."""

    def __init__(self, port: int) -> None:
        self.modbus = ModbusTcpClient("127.0.0.1", port=port, timeout=5, retries=0)

    def write(self, control: int, product: int = 0, camera: int = 0) -> None:
        assert not self.modbus.write_registers(camera * STRIDE, [control, product]).isError()

    def status(self, camera: int = 0) -> dict[str, int | float]:
        answer = self.modbus.read_input_registers(camera * STRIDE, count=BLOCK_WORDS)
        return decode(STATUS, answer.registers[STATUS_OFFSET:])

    def bits(self, camera: int = 0) -> set[str]:
        """Names of the bits of the status word that are on."""
        on = word_to_bits(int(self.status(camera)["status"]), len(STATUS_BITS))
        return {name for name, bit in zip(STATUS_BITS, on, strict=True) if bit}
