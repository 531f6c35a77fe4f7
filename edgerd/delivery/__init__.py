"""From events to their receivers: an outbox on the disk, and a thread per sink that delivers from it."""

from edgerd.delivery.deliverer import Deliverer, SinkStatus
from edgerd.delivery.outbox import Outbox
from edgerd.delivery.writer import Health

__all__ = ["Deliverer", "Health", "Outbox", "SinkStatus"]
