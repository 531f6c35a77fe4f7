"""`edgerd run --recipe` as a service: a service manager is told how it is, as deploy/edgerd.service expects."""

from __future__ import annotations

import configparser
import shlex
import signal
from pathlib import Path

from json_lines import lines_of
from service_managers import Listening

UNIT = Path(__file__).parents[2] / "deploy" / "edgerd.service"
RECIPE = """
[[camera]]
name = "belt"
uri = "sample://ring?live=1&fps=50&size=96&pool=20"
bundle = "{bundle}"

[[camera]]
name = "absent"
uri = "http://127.0.0.1:9/stream"
bundle = "{bundle}"
"""
WATCHDOG_S = 2


def unit_command(recipe: Path) -> list[str]:
    """The words behind the program in the unit's ExecStart, for a recipe that lies elsewhere."""
    parser = configparser.ConfigParser(interpolation=None)
    parser.read_string(UNIT.read_text(encoding="utf-8"))
    words = shlex.split(parser["Service"]["ExecStart"])[1:]
    return [str(recipe) if word.startswith("/") else word for word in words]


def test_it_is_ready_alive_and_stopping_and_ends_with_0(edgerd_process, bundle, tmp_path, monkeypatch):
    recipe = tmp_path / "edgerd.toml"
    recipe.write_text(RECIPE.replace("{bundle}", str(bundle.path)))
    with Listening(str(tmp_path / "notify")) as manager:
        monkeypatch.setenv("NOTIFY_SOCKET", manager.address)
        monkeypatch.setenv("WATCHDOG_USEC", str(WATCHDOG_S * 1_000_000))
        process = edgerd_process(*unit_command(recipe))
        told = [manager.heard()]
        while told.count("WATCHDOG=1") < 3 or not any("1 of 2 cameras running" in message for message in told):
            told.append(manager.heard())
        assert told.index("READY=1") < told.index("WATCHDOG=1")
        assert told.count("READY=1") == 1
        assert "STOPPING=1" not in told
        process.send_signal(signal.SIGTERM)
        _, err = process.communicate(timeout=30)
        assert process.returncode == 0, err
        assert manager.heard_so_far()[-1] == "STOPPING=1"
    audited = [entry["kind"] for entry in lines_of(tmp_path / "edgerd-audit.jsonl")]
    assert (audited[:2], audited[-1]) == (["begin", "start"], "stop")
