"""Recipes for tests: a small one, one with every table in it, and ways to spoil them."""

from __future__ import annotations

import random
from pathlib import Path

from edgerd.recipe.load import LoadedRecipe, recipe_from_bytes

SMALL = """\
[[camera]]
uri = "0"
bundle = "bundles/nut"
"""

FULL = """\
# line 3
[[camera]]
name = "left"
uri = "rtsp://admin:{password}@10.0.0.3:554/live"
password_env = "LEFT_PASSWORD"
default_product = "nut"
masks = [
    { rectangle = [0, 0, 100, 20] },   # the time stamp
    { polygon = [[0, 0], [10, 0], [0, 10]] },
]
trigger = "modbus"
trigger_timeout_ms = 500
deadline_ms = 80.5

[camera.products.nut]
bundle = "bundles/nut"
bundle_id = "0123abcd"
region = { x = 10, y = 20 }
threshold = 0.8
index = 1

[camera.products."bolt-8"]
bundle = '/srv/bundles/bolt "8"'
false_alarm_rate = 0.01
index = 2

[[camera]]
name = "right"
uri = "/dev/video1"
bundle = "bundles/nut"
threshold = 0.7
trigger = "every"
every = 5
policy = "stream"
confirm = "2/3"
frames = "newest"
runtime = "openvino"
precision = "int8"
threads = 2

[[sink]]
type = "jsonl"
path = "events.jsonl"

[[sink]]
type = "webhook"
name = "hook"
url = "https://hooks.example.com/{token}"
token_file = "token"
secret_env = "HOOK_SECRET"
ca_file = "ca.pem"

[[sink]]
type = "mqtt"
host = "broker"
tls = true
user = "line3"
password_file = "mqtt-password"
topic = "plant/line3"
port = 8884

[[sink]]
type = "modbus"
role = "server"
address = "0.0.0.0:502"
allowed_clients = ["10.0.0.7", "10.1.0.0/16"]

[[sink]]
type = "opcua"
address = "127.0.0.1:4840"

[archive]
folder = "archive"
quota_gb = 50
ok_share = 0.01

[outbox]
path = "outbox"
retention_days = 3

[monitor]
bind = "127.0.0.1:9108"
host_names = ["line3"]

[control]
bind = "0.0.0.0:9109"
token_env = "CONTROL_TOKEN"

[audit]
path = "audit.jsonl"
"""
FILE = Path("/plant/edgerd.toml")


def loaded(text: str, file: Path = FILE) -> LoadedRecipe:
    return recipe_from_bytes(text.encode(), file)


ODD_VALUES = (
    *("0", "-1", "1", "true", "nan", "-inf", "1e308", "9" * 400, "9" * 5000, "0x" + "f" * 5000, "0.5", "1.0"),
    *('""', '"x"', "'2/3'", '"\\u0000"', '"\\U0001F980"', '"é\u202e\u0301"', '"' + "x" * 70_000 + '"', '"{password}"'),
    *("[]", "[[]]", "[1, 2]", "[1, [2, {}]]", "{}", "{ x = 1 }", "{ type = 1 }", "[" * 200 + "]" * 200),
    *("1979-05-27", "07:32:00", "1979-05-27T07:32:00Z", '"a://b"', '"http://["', '"[::1]:99999"', '"."', '".."'),
)


def spoiled(text: str, random: random.Random) -> bytes:
    """A recipe that was changed in one of the ways in which people and disks change files."""
    lines = text.splitlines(keepends=True) or ["\n"]
    number = random.randrange(len(lines))
    line = lines[number]
    match random.randrange(9):
        case 0:
            del lines[number]
        case 1:
            lines.insert(random.randrange(len(lines)), line)
        case 2:  # misspelt
            at = random.randrange(len(line))
            lines[number] = (
                line[:at] + random.choice("abz_.\"'=[]{}#\\ \u00e9\u2028\x00") + line[at + random.randrange(2) :]
            )
        case 3:
            key, equals, _ = line.partition("=")
            lines[number] = f"{key}= {random.choice(ODD_VALUES)}\n" if equals else line
        case 4:  # written in part
            return text[: random.randrange(len(text) + 1)].encode()
        case 5:
            whole = text.encode()
            at = random.randrange(len(whole) + 1)
            return whole[:at] + random.randbytes(random.randrange(1, 9)) + whole[at + random.randrange(9) :]
        case 6:
            lines[number], other = lines[random.randrange(len(lines))], number
            lines.insert(random.randrange(len(lines)), lines[other])
        case 7:
            return text.encode(random.choice(["utf-16", "utf-16-le", "utf-8-sig", "utf-32"]))
        case 8:
            lines.insert(number, f"{random.choice(['x', 'a.b', 'name', 'uri', '[x]', '[[x]]', '[camera]'])}\n")
    return "".join(lines).encode()
