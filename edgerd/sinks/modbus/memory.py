"""The registers, coils and discrete inputs of a Modbus server, over the stations."""

from __future__ import annotations

from collections.abc import Sequence

from edgerd.sinks.modbus.registers import (
    BLOCK_WORDS,
    CONTROL,
    CONTROL_BITS,
    STATUS_OFFSET,
    STRIDE,
    bits_to_word,
    status_bits,
    status_words,
    word_to_bits,
)
from edgerd.sinks.modbus.stations import Stations


class Memory:
    """What a PLC reads and writes, by address.

    Args:
        stations: The cameras, in the order of their blocks.
    """

    def __init__(self, stations: Stations) -> None:
        self._stations = stations

    def block(self, index: int) -> list[int]:
        """The registers of a camera, each 0 to 65535: what the PLC has written, then what edgerd says.

        All are of one moment.
        """
        words = [0] * BLOCK_WORDS
        words[0] = bits_to_word(self.control_bits(index))
        words[1] = self._stations.inputs(index).product
        words[STATUS_OFFSET:] = status_words(self._stations.status(index))
        return words

    def control_bits(self, index: int) -> list[bool]:
        """The coils of a camera, in the order of `CONTROL_BITS`."""
        inputs = self._stations.inputs(index)
        return [bool(inputs.enable), bool(inputs.trigger), bool(inputs.ack)]

    def status_bits(self, index: int) -> list[bool]:
        """The discrete inputs of a camera, in the order of `STATUS_BITS`."""
        return status_bits(self._stations.status(index).outputs)

    def write_registers(self, address: int, values: Sequence[int]) -> bool:
        """Write registers that follow on one another.

        Returns:
            False, with nothing written, where one of them is not the PLC's to write.
        """
        changes: dict[int, dict[str, bool | int]] = {}
        for place, value in enumerate(values, start=address):
            index, offset = divmod(place, STRIDE)
            if index >= len(self._stations) or offset >= len(CONTROL):
                return False
            change = changes.setdefault(index, {})
            if offset == CONTROL[0].offset:
                change.update(zip(CONTROL_BITS, word_to_bits(value, len(CONTROL_BITS)), strict=True))
            else:
                change["product"] = value
        self._observe(changes)
        return True

    def write_coils(self, address: int, values: Sequence[bool]) -> bool:
        """Write coils that follow on one another.

        Returns:
            False, with nothing written, where one of them is not the PLC's to write.
        """
        changes: dict[int, dict[str, bool | int]] = {}
        for place, value in enumerate(values, start=address):
            index, offset = divmod(place, STRIDE)
            if index >= len(self._stations) or offset >= len(CONTROL_BITS):
                return False
            changes.setdefault(index, {})[CONTROL_BITS[offset]] = value
        self._observe(changes)
        return True

    def _observe(self, changes: dict[int, dict[str, bool | int]]) -> None:
        for index, change in changes.items():
            self._stations.observe(index, change)
