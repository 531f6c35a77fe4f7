"""What happens to cameras, written into the audit trail."""

from __future__ import annotations

from edgerd.audit import AuditTrail
from edgerd.events import CameraEvent, Message


class CameraAudit:
    """A sink that takes note of cameras that are lost, refuse, and are back; other messages are no business of its.

    Args:
        trail: Stays open.
    """

    name = "audit trail"

    def __init__(self, trail: AuditTrail) -> None:
        self._trail = trail

    def send(self, message: Message) -> None:
        """Take note; never waits."""
        if isinstance(message, CameraEvent):
            self._trail.record(
                "camera", f"Camera {message.camera}: {message.reason}", camera=message.camera, state=message.state
            )

    def close(self) -> None:
        """Nothing to let go of."""
