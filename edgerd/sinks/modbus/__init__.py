"""Modbus TCP: a PLC asks for a verdict about each part and gets exactly one.

docs/reference/modbus.md has the register map.
"""

from __future__ import annotations

from edgerd.sinks.modbus.client import ModbusClient
from edgerd.sinks.modbus.server import ModbusServer

__all__ = ["ModbusClient", "ModbusServer"]
