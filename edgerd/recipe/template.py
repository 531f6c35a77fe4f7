"""The recipe that `edgerd init` writes: a camera that works, and everything else as comments."""

from __future__ import annotations

import json
import os
from pathlib import Path

from edgerd.cameras import camera_kind
from edgerd.errors import InputError
from edgerd.recipe.camera import camera_name
from edgerd.redaction import HIDDEN, without_secrets

PASSWORD_VARIABLE = "CAMERA_PASSWORD"  # noqa: S105  the name of a variable
_PASSWORD = "{password}"  # noqa: S105  a placeholder

_TEMPLATE = """\
# The recipe of a line: what its cameras inspect, and where alerts go. All keys: docs/reference/recipe.md of edgerd.
# Lines that begin with "# " are explanations; take the "#" away from the others to use them.
# Relative paths begin at this file's folder.

[[camera]]
# Its name in events, metrics and topics.
name = {name}
# Tried when this file was written: frames of {frame_size} pixels.
uri = {uri}
{password}# The bundle that says what good parts look like.
bundle = {bundle}
# NG is a score above the threshold. Without this, it is the bundle's own{threshold}.
#threshold = {threshold_example}
# Instead of a threshold, the share of good parts that may be called NG: false_alarm_rate = 0.01

# What is not inspected, in pixels of the frame. A margin helps: what shines under a mask shines a little beyond it.
#masks = [{{ rectangle = [0, 0, 40, 30] }}, {{ polygon = [[0, 0], [40, 0], [0, 40]] }}]
# Which frames are judged: free (each one), every (each N-th, with every = N), motion, hardware, http, mqtt, modbus.
#trigger = "free"
# A verdict that comes later after the capture than this is NO_DECISION.
#deadline_ms = 200
# part: every NG is an alert. stream: an alert lasts until the score has fallen again; confirm asks for K NG of N.
#policy = "stream"
#confirm = "1/1"
# newest drops frames that there is no time for, every judges them all.
#frames = "newest"

# Several products for one camera, in place of bundle and threshold above:
#     default_product = "nut"
#     [camera.products.nut]
#     bundle = "bundles/nut"
#     [camera.products.bolt]
#     bundle = "bundles/bolt"
#     index = 2

# Where alerts go. There may be several of each kind. Secrets come from environment variables (*_env) or files (*_file).
#[[sink]]
#type = "jsonl"
#path = "events.jsonl"

#[[sink]]
#type = "webhook"
#url = "https://example.com/alerts"
#secret_env = "WEBHOOK_SECRET"

#[[sink]]
#type = "mqtt"
#host = "broker.example.com"
#tls = true
#user = "line"
#password_env = "MQTT_PASSWORD"

#[[sink]]
#type = "modbus"
#address = "127.0.0.1:502"

#[[sink]]
#type = "opcua"
#address = "127.0.0.1:4840"

# Pictures to keep: all NG and NO_DECISION, and a share of the OK ones.
#[archive]
#folder = "archive"
#quota_gb = 10
#ok_share = 0.01

# Events that wait to be delivered.
#[outbox]
#path = "edgerd-outbox"
#retention_days = 7

# Metrics and health over HTTP.
#[monitor]
#bind = "127.0.0.1:9108"

# Triggers and product change-overs over HTTP.
#[control]
#bind = "127.0.0.1:9109"
#token_env = "CONTROL_TOKEN"

# Who changed what when.
#[audit]
#path = "edgerd-audit.jsonl"
"""
_WITH_PASSWORD = f"""\
# The environment variable that holds the password, as it is and not percent-encoded.
password_env = "{PASSWORD_VARIABLE}"
"""


def recipe_text(uri: str, bundle: Path, folder: Path, frame_size: tuple[int, int], threshold: float | None) -> str:
    """Write a recipe for a camera.

    Args:
        uri: As `edgerd.cameras.open_camera` takes it; a password in it is left out, and the recipe has a placeholder.
        bundle: Folder of the bundle.
        folder: Where the recipe will lie; paths below it become relative.
        frame_size: Width and height of the camera's frames in pixels.
        threshold: The bundle's own, for a comment; None where it has none.

    Returns:
        TOML.

    Raises:
        InputError: The URI holds several secrets, or a path is not UTF-8.
    """
    shown = without_secrets(uri)
    if shown.count(HIDDEN) > 1:
        raise InputError(
            f"{shown} holds several secrets, and a recipe has one for each camera.",
            expected="one password in the address of a camera",
            hint="Write the recipe for another camera, then change the uri by hand.",
        )
    has_password = shown != uri
    if has_password:
        uri = shown.replace(HIDDEN, _PASSWORD)
    elif "://" not in uri and camera_kind(uri) in ("files", "video"):
        path = _relative(Path(uri), folder)
        uri = f"./{path}" if path.isdecimal() else path  # a number alone is a device
    return _TEMPLATE.format(
        name=_toml(camera_name(uri)),
        frame_size=f"{frame_size[0]}x{frame_size[1]}",
        uri=_toml(uri),
        password=_WITH_PASSWORD if has_password else "",
        bundle=_toml(_relative(bundle, folder)),
        threshold="" if threshold is None else f", {threshold:.4f} for its FP32 engine",
        threshold_example=0.5 if threshold is None else round(threshold, 4),
    )


def _relative(path: Path, folder: Path) -> str:
    """A path as it is written in a recipe in that folder: relative where it lies below it."""
    absolute, folder = Path(os.path.abspath(path)), Path(os.path.abspath(folder))  # noqa: PTH100  links are kept
    return str(absolute.relative_to(folder) if absolute.is_relative_to(folder) else absolute)


def _toml(text: str) -> str:
    """Text as a TOML string.

    Raises:
        InputError: It is not UTF-8, and nothing in TOML is another.
    """
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise InputError(
            f"{text!r} is not UTF-8, and cannot stand in a recipe.",
            expected="names of files and folders in UTF-8",
            hint="Rename it, or give it a link with another name.",
        ) from error
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")
