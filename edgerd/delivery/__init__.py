"""From events to their receivers: an outbox on the disk, and a thread per sink that delivers from it.

    outbox = Outbox.open(folder, [sink.name for sink in sinks], on_warning=warn)
    deliverer = Deliverer(outbox, sinks, on_warning=warn)
    for camera, state in outbox.open_alerts().items(): ...   # what the process before this one left open
    outbox.append([alert], {alert.camera: {"id": alert.id, "captured_at": alert.captured_at}})
    outbox.append([cleared], {alert.camera: None})

At the end, in this order: `outbox.flush`, `deliverer.close`, `outbox.close`, each with a time-out.
"""

from edgerd.delivery.deliverer import Deliverer
from edgerd.delivery.outbox import Outbox

__all__ = ["Deliverer", "Outbox"]
