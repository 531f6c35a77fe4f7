"""OPC UA: results and states of the cameras for SCADA, MES and PLCs. docs/reference/opcua.md says what there is."""

from __future__ import annotations

from edgerd.sinks.opcua.security import OpcUaSecurity
from edgerd.sinks.opcua.server import OpcUaServer

__all__ = ["OpcUaSecurity", "OpcUaServer"]
