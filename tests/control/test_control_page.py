"""docs/reference/control.md: its recipes can be loaded, and its examples give what they show."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from control_parts import judged_at_once, until
from mosquitto import Broker
from pydantic import SecretStr

from edgerd.control import Commands, open_control
from edgerd.control.fake import FakeCamera, FakeLine
from edgerd.control.mqtt import MqttControl
from edgerd.recipe import load_recipe
from edgerd.sinks.plc import CameraState

PAGE = (Path(__file__).parents[2] / "docs" / "reference" / "control.md").read_text(encoding="utf-8")
RECIPES = re.findall(r"```toml\n(.*?)```", PAGE, re.DOTALL)
EXAMPLES = re.findall(r"```sh\n(.*?)```(?:\n\n```json\n(.*?)```)?", PAGE, re.DOTALL)
BY_CURL = [example for example in EXAMPLES if "curl" in example[0]]
BY_MOSQUITTO = [example for example in EXAMPLES if "mosquitto" in example[0]]
OF_THE_MOMENT = {"frame", "source", "captured_at", "decided_at", "frame_ms", "bundle", "trigger", "product"}
TOKEN = "of-the-page"


@pytest.fixture
def commands() -> Commands:
    line = FakeLine(
        {"left": FakeCamera("http", {"bottle": 1, "can": 2}), "right": FakeCamera("mqtt", {"default": None})}
    )
    commands = judged_at_once(line)
    commands.set_state("left", CameraState.READY)
    return commands


def printed(script: str) -> str:
    environment = {"PATH": "/usr/local/bin:/usr/bin:/bin", "TOKEN": TOKEN}
    done = subprocess.run(
        ["sh", "-e", "-c", script], capture_output=True, text=True, timeout=60, env=environment, check=True
    )
    return done.stdout


def without_the_moment(value: Any) -> Any:
    """What is the same each time; of a verdict the other keys are left."""
    if isinstance(value, dict) and "captured_at" in value:
        return {key: None if key in OF_THE_MOMENT else item for key, item in value.items()}
    return value


def test_the_examples_are_found() -> None:
    assert (len(RECIPES), len(BY_CURL), len(BY_MOSQUITTO)) == (2, 6, 3)


def test_the_recipes_are_right(tmp_path: Path) -> None:
    file = tmp_path / "edgerd.toml"
    whole, control = RECIPES
    file.write_text(whole)
    recipe = load_recipe(file).recipe
    assert [camera.trigger for camera in recipe.cameras] == ["http", "mqtt"]
    file.write_text(whole[: whole.index("[control]")] + whole[whole.index("[[sink]]") :] + control)
    assert load_recipe(file).recipe.control == recipe.control.model_copy(
        update={"bind": "0.0.0.0:9109", "token_file": tmp_path / "control.token"}
    )


@pytest.mark.parametrize(("script", "answer"), BY_CURL)
def test_curl(commands: Commands, script: str, answer: str) -> None:
    if not shutil.which("curl"):
        pytest.skip("curl is not installed: apt-get install curl")
    if "-X" not in script:  # the page has changed the product over before
        commands.change_product("left", b'{"product": "can"}', "the page")
    if "trigger -d" in script:  # nobody judges the part at once
        commands._line.cameras["left"].on_fire = None  # type: ignore[attr-defined]
    token = SecretStr(TOKEN) if "TOKEN" in script else None
    with open_control(commands, port=0, token=token) as control:
        told = json.loads(printed(script.replace("127.0.0.1:9109", urlsplit(control.url).netloc)))
    if "trigger -d" in script:
        told["trigger"] = json.loads(answer)["trigger"]
    if token is None:
        assert without_the_moment(told) == without_the_moment(json.loads(answer))
    else:
        assert told[0]["camera"] == "left"


@pytest.mark.service
def test_mosquitto(make_broker: Callable[..., Broker], commands: Commands) -> None:
    broker = make_broker()
    control = MqttControl(commands, f"mqtt://127.0.0.1:{broker.port}")
    until(lambda: control.failure is None)

    def told(script: str) -> Any:
        text = printed(script.replace("-h 127.0.0.1", f"-h 127.0.0.1 -p {broker.port}"))
        return without_the_moment(json.loads(text or "null"))

    (trigger, verdict), (change, nothing), (look, product) = BY_MOSQUITTO
    assert told(trigger) == without_the_moment(json.loads(verdict))
    assert nothing == ""
    assert told(change) is None
    until(lambda: told(look) == json.loads(product))  # the change may be on its way still
    control.close()
