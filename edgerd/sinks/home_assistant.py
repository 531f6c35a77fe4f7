"""What Home Assistant is told over MQTT so that it shows cameras without being configured.

Form: https://www.home-assistant.io/integrations/mqtt/#mqtt-discovery and .../binary_sensor.mqtt
"""

from __future__ import annotations

import hashlib
import re
from typing import Any, Final

from edgerd import __version__

_PREFIX: Final = "homeassistant"


def discovery_messages(topic: str, camera: str, level: str) -> list[tuple[str, dict[str, Any]]]:
    """Topics and payloads, to be retained, that make a device of a camera with two sensors.

    "Defect" is on while an alert is raised; its attributes are the event. "Camera" is on while the camera gives frames,
    and unknown until something happened to it.

    Args:
        topic: Begin of the topics at which events are published.
        camera: Name of the camera.
        level: That name as a level of a topic.
    """
    device = f"edgerd_{_identifier(f'{topic}/{level}')}"
    shared = {
        "availability_topic": f"{topic}/status",
        "device": {
            "identifiers": [device],
            "name": camera,
            "manufacturer": "edgerd",
            "model": "defect alert",
            "sw_version": __version__,
        },
        "origin": {"name": "edgerd", "sw_version": __version__},
    }
    sensors = (
        ("defect", "Defect", "alert", "raised", "problem"),
        ("camera", "Camera", "camera", "back", "connectivity"),
    )
    return [
        (
            f"{_PREFIX}/binary_sensor/{device}/{key}/config",
            {
                "name": name,
                "unique_id": f"{device}_{key}",
                "state_topic": f"{topic}/{level}/{kind}",
                "value_template": f"{{{{ 'ON' if value_json.state == '{on_state}' else 'OFF' }}}}",
                "json_attributes_topic": f"{topic}/{level}/{kind}",
                "device_class": device_class,
                **shared,
            },
        )
        for key, name, kind, on_state, device_class in sensors
    ]


def _identifier(text: str) -> str:
    """Letters, digits and underscores, readable, and different for different texts."""
    readable = re.sub(r"[^A-Za-z0-9]+", "_", text).strip("_")[:40]
    return f"{readable}_{hashlib.sha256(text.encode()).hexdigest()[:8]}"
