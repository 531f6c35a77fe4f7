"""A recipe is read, or every error in it is named with its place."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

import pytest
from recipes import FILE, FULL, SMALL, loaded

from edgerd.errors import InputError, RecipeError
from edgerd.recipe import load_recipe
from edgerd.recipe.load import recipe_from_bytes


def lines_of(text):
    """The errors of a recipe: key -> (line, column, text)."""
    with pytest.raises(RecipeError) as caught:
        loaded(text)
    found = re.findall(rf"^  {re.escape(str(FILE))}:(\d+):(\d+): (?:(\S+): )?(.*)$", caught.value.what, re.MULTILINE)
    assert found, caught.value.what
    return {key: (int(line), int(column), text) for line, column, key, text in found}


def test_the_smallest_recipe_is_a_camera_and_a_bundle():
    recipe = loaded(SMALL).recipe
    (camera,) = recipe.cameras
    assert (camera.name, camera.first_product) == ("camera-0", "default")
    assert camera.all_products["default"].bundle == Path("/plant/bundles/nut")
    assert recipe.outbox.path == Path("/plant/edgerd-outbox")
    assert recipe.audit.path == Path("/plant/edgerd-audit.jsonl")
    assert (recipe.sinks, recipe.archive, recipe.monitor, recipe.control) == ((), None, None, None)


def test_a_full_recipe_is_what_it_says():
    recipe = loaded(FULL).recipe
    left, right = recipe.cameras
    assert (left.first_product, list(left.all_products)) == ("nut", ["nut", "bolt-8"])
    assert left.products["bolt-8"].bundle == Path('/srv/bundles/bolt "8"')
    assert (left.masks[0].rectangle, left.masks[1].polygon) == ((0, 0, 100, 20), ((0, 0), (10, 0), (0, 10)))
    assert (right.confirmation, right.every, right.all_products["default"].threshold) == ((2, 3), 5, 0.7)
    assert [sink.name for sink in recipe.sinks] == ["jsonl", "hook", "mqtt", "modbus", "opcua"]
    assert recipe.sinks[2].address == "mqtts://broker:8884"
    assert recipe.sinks[0].path == Path("/plant/events.jsonl")


def test_the_hash_is_that_of_the_files_bytes(tmp_path):
    file = tmp_path / "edgerd.toml"
    file.write_bytes(b"\xef\xbb\xbf" + SMALL.replace("\n", "\r\n").encode())
    read = load_recipe(file)
    assert read.sha256 == hashlib.sha256(file.read_bytes()).hexdigest()
    assert read.recipe.cameras[0].bundle == tmp_path / "bundles/nut"


def test_all_errors_are_named_at_once_each_with_its_place():
    errors = lines_of(
        """\
[[camera]]
urii = "0"
bundle = "b"
threshold = 9.5

[[camera]]
name = "left side"
uri = "rtps://10.0.0.3/live"
trigger = "evry"
deadline_ms = nan
products.nut = { bundle = 3, index = true, thresold = 1 }

[[camera]]
name = "a"
uri = "0"
bundle = "b"
trigger = "http"

[[camera]]
name = "a"
uri = "1"
bundle = "b"

[[sink]]
type = "mqt"

[archiv]
folder = "x"
"""
    )
    assert {key: place[:2] for key, place in errors.items()} == {
        "camera[0].uri": (1, 3),
        "camera[0].urii": (2, 1),
        "camera[0].threshold": (4, 1),
        "camera[1].name": (7, 1),
        "camera[1].uri": (8, 1),
        "camera[1].trigger": (9, 1),
        "camera[1].deadline_ms": (10, 1),
        "camera[1].products.nut.bundle": (11, 18),
        "camera[1].products.nut.index": (11, 30),
        "camera[1].products.nut.thresold": (11, 44),
        "camera[2].trigger": (17, 1),
        "camera[3].name": (20, 1),
        "sink[0].type": (25, 1),
        "archiv": (27, 2),
    }
    for key, meant in {
        "camera[0].urii": "uri",
        "camera[1].uri": "rtsps",
        "camera[1].trigger": "every",
        "camera[1].products.nut.thresold": "threshold",
        "sink[0].type": "mqtt",
        "archiv": "archive",
    }.items():
        assert f"Did you mean '{meant}'?" in errors[key][2]
    assert errors["camera[0].threshold"][2] == "9.5 stands there, expected a number up to 6.0"
    assert "[control]" in errors["camera[2].trigger"][2]


@pytest.mark.parametrize(
    ("text", "key", "expected"),
    [
        ("", "camera", "missing"),
        ("camera = 1\n", "camera", "a list"),
        ("camera = []\n", "camera", "at least 1"),
        ('[[camera]]\nuri = "0"\n', "camera[0]", "bundle"),
        (SMALL + "[camera.products.x]\nbundle = 'b'\n", "camera[0]", "either bundle"),
        (SMALL + 'name = ""\n', "camera[0].name", "letters"),
        (SMALL + 'confirm = "2/3"\n', "camera[0].confirm", "stream"),
        (SMALL + 'policy = "stream"\nconfirm = "3/2"\n', "camera[0].confirm", "1 <= K <= N"),
        (SMALL + "every = 5\n", "camera[0].every", "every"),
        (SMALL + 'trigger = "every"\n', "camera[0].trigger", "every = N"),
        (SMALL + "threshold = 1\nfalse_alarm_rate = 0.1\n", "camera[0].false_alarm_rate", "not both"),
        (SMALL + "masks = [{ rectangle = [1, 2, 3, 0] }]\n", "camera[0].masks[0].rectangle[3]", "from 1"),
        (SMALL + "masks = [{}]\n", "camera[0].masks[0]", "either rectangle"),
        (SMALL + 'trigger = "mqtt"\n', "camera[0].trigger", "[[sink]]"),
        (SMALL + 'runtime = "openvin"\n', "camera[0].runtime", "Did you mean 'openvino'?"),
        (SMALL + 'threads = "2"\n', "camera[0].threads", "a whole number"),
        (SMALL + 'default_product = "x"\n', "camera[0].default_product", "one of default"),
        (SMALL + '[control]\nbind = "0.0.0.0:9109"\n', "control.bind", "token"),
        (SMALL + '[[sink]]\ntype = "opcua"\naddress = "10.0.0.1:4840"\n', "sink[0].address", "certificate_file"),
        (SMALL + '[[sink]]\ntype = "opcua"\nuser = "a"\n', "sink[0]", "all of certificate_file"),
        (SMALL + '[[sink]]\ntype = "modbus"\naddress = "0.0.0.0:502"\n', "sink[0].address", "allowed_clients"),
        (SMALL + '[[sink]]\ntype = "modbus"\nallowed_clients = ["x"]\n', "sink[0].allowed_clients", "10.0.0.0/24"),
        (SMALL + '[[sink]]\ntype = "modbus"\nrole = "client"\n', "sink[0]", "where the PLC is"),
        (SMALL + '[[sink]]\ntype = "modbus"\nunit = 3\n', "sink[0].unit", 'role = "client"'),
        (SMALL + '[[sink]]\ntype = "mqtt"\nhost = "mqtt://a"\n', "sink[0].host", "alone"),
        (SMALL + '[[sink]]\ntype = "mqtt"\nhost = "a"\ntopic = "a//b"\n', "sink[0].topic", "joined by"),
        (SMALL + '[[sink]]\ntype = "mqtt"\nhost = "a"\nca_file = "b"\n', "sink[0].ca_file", "tls = true"),
        (SMALL + '[[sink]]\ntype = "mqtt"\nhost = "a"\npassword_env = "B"\n', "sink[0]", "user"),
        (SMALL + '[[sink]]\ntype = "webhook"\nurl = "ftp://x"\n', "sink[0].url", "https://"),
        (SMALL + '[[sink]]\ntype = "jsonl"\n', "sink[0].path", "missing"),
        (SMALL + "[archive]\nfolder = 1979-05-27\n", "archive.folder", "a path"),
    ],
)
def test_what_does_not_go(text, key, expected):
    assert expected in lines_of(text)[key][2]


@pytest.mark.parametrize(
    ("content", "place", "expected"),
    [
        (SMALL.encode("utf-16"), (1, 1), "UTF-16"),
        ("# für\n".encode("latin-1"), (1, 4), "0xFC"),
        (b"a = 1\na = 2\n", (2, 6), "TOML"),
        (b"a = [1,\n", (2, 1), "TOML"),
        (b"a = " + b"[" * 5000 + b"]" * 5000, (1, 1), "nested"),
        (b"a = " + b"9" * 5000, (1, 1), "64 bits"),
        (b"a = 1\nb = [0, 0x" + b"f" * 5000 + b"]", (2, 9), "64 bits"),
    ],
)
def test_what_is_not_toml(content, place, expected):
    with pytest.raises(RecipeError) as caught:
        recipe_from_bytes(content, FILE)
    assert f"{FILE}:{place[0]}:{place[1]}: " in caught.value.what
    assert expected in caught.value.what


def test_a_missing_or_huge_file_is_named(tmp_path):
    with pytest.raises(InputError, match="no recipe at"):
        load_recipe(tmp_path / "edgerd.toml")
    (tmp_path / "edgerd.toml").write_bytes(b"#" * (1 << 21))
    with pytest.raises(InputError, match="bytes"):
        load_recipe(tmp_path / "edgerd.toml")
