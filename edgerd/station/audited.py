"""What happens to cameras, written into the audit trail."""

from __future__ import annotations

from edgerd.audit import AuditTrail
from edgerd.events import CameraEvent, Message


class CameraAudit:
    """A sink that writes into the audit trail when a camera is lost, fails, or is back; it ignores other messages.

    Args:
        trail: Takes the entries; stays open.
    """

    name = "audit trail"

    def __init__(self, trail: AuditTrail) -> None:
        self._trail = trail

    def send(self, message: Message) -> None:
        """Write an entry where the message is about a camera; returns at once."""
        if isinstance(message, CameraEvent):
            self._trail.record(
                "camera", f"Camera {message.camera}: {message.reason}", camera=message.camera, state=message.state
            )

    def close(self) -> None:
        """Do nothing: the trail is somebody else's."""
