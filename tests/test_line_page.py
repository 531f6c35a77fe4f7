"""docs/tutorials/first-line.md: its recipes are valid, its commands work, and its numbers are those of the code."""

from __future__ import annotations

import contextlib
import json
import re
import shlex
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import cv2
import pytest
from grey_bundle import save_grey_bundle
from inspection_parts import DEFECTIVE, GOOD
from json_lines import lines_of
from mosquitto import free_port

from edgerd.cli.main import INTERRUPTED, main
from edgerd.delivery.deliverer import BackOff
from edgerd.delivery.writer import MAX_UNCOMMITTED
from edgerd.errors import BundleError, CameraError, DeviceError, InputError, MissingDependencyError, StorageError
from edgerd.line.decision import StreamPolicy
from edgerd.line.supervised import MAX_PAUSE_S
from edgerd.recipe.load import recipe_from_bytes
from edgerd.recipe.watch import INTERVAL_S
from edgerd.station.outgoing import FLUSH_S

DOCS = Path(__file__).parents[1] / "docs"
TUTORIAL = (DOCS / "tutorials" / "first-line.md").read_text(encoding="utf-8")
SERVICE = (DOCS / "how-to" / "service.md").read_text(encoding="utf-8")
ALERTS = (DOCS / "how-to" / "alerts.md").read_text(encoding="utf-8")
FAQ = (DOCS / "faq.md").read_text(encoding="utf-8")
PORTS = ("8080", "8090", "9108")
"""Of the tutorial's camera, receiver and monitor."""


def blocks(page: str, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", page, re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("page", [TUTORIAL, ALERTS], ids=["first-line", "alerts"])
def test_their_recipes_are_valid(page: str, tmp_path: Path) -> None:
    recipes = blocks(page, "toml")
    assert recipes
    for text in recipes:
        recipe_from_bytes(text.encode(), tmp_path / "edgerd.toml")


def demo_in(folder: Path) -> None:
    """What the tutorial takes of `edgerd demo`: a bundle, and a video with a defective part among good ones."""
    save_grey_bundle(folder / "bundle")
    height, width = GOOD.shape[:2]
    video = cv2.VideoWriter(
        str(folder / "line.avi"), cv2.CAP_FFMPEG, cv2.VideoWriter.fourcc(*"FFV1"), 10, (width, height)
    )
    for frame in (GOOD, GOOD, DEFECTIVE, GOOD):
        video.write(frame)
    video.release()


@contextlib.contextmanager
def running(script: Path, text: str, port: int) -> Iterator[subprocess.Popen[str]]:
    """A script of the tutorial in a process of its own, once it answers."""
    script.write_text(text)
    process = subprocess.Popen([sys.executable, script], stdout=subprocess.PIPE, text=True, cwd=script.parent)
    try:
        deadline = time.monotonic() + 20
        while True:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
                break
            assert process.poll() is None, f"{script.name} has ended"
            assert time.monotonic() < deadline, f"{script.name} does not answer"
            time.sleep(0.05)
        yield process
    finally:
        process.kill()
        process.communicate()


def run(command: str, capfd: pytest.CaptureFixture[str]) -> str:
    with pytest.raises(SystemExit) as ended:
        main(shlex.split(command)[1:])
    out, err = capfd.readouterr()
    assert not ended.value.code, (command, err)
    return out


def test_the_tutorial_works_from_top_to_bottom(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """As it stands there, but for the ports, and with a run that ends by itself."""
    pytest.importorskip("httpx")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "edgerd-demo").mkdir()
    demo_in(tmp_path / "edgerd-demo")
    ports = {port: free_port() for port in PORTS}
    page = TUTORIAL.replace("\n[monitor]", f'\n[monitor]\nbind = "127.0.0.1:{ports["9108"]}"')
    for port, free in ports.items():
        page = page.replace(f"127.0.0.1:{port}", f"127.0.0.1:{free}").replace(
            f'"127.0.0.1", {port}', f'"127.0.0.1", {free}'
        )
    camera, receiver = blocks(page, "python")
    init, check, start, outbox, audit = (block.strip() for block in blocks(page, "console"))
    recipe = next(text for text in blocks(page, "toml") if "webhook" in text)

    with running(tmp_path / "camera.py", camera, ports["8080"]):
        run(init, capfd)
        assert "The check passed" in run(check, capfd)
        (tmp_path / "edgerd.toml").write_text(recipe)
        with running(tmp_path / "receiver.py", receiver, ports["8090"]) as receiving:
            out = run(f"{start} --max-frames 12", capfd)
            assert receiving.stdout
            posted = [receiving.stdout.readline().split()[:3] for _ in lines_of(tmp_path / "events.jsonl")]
    assert "12 frames" in out
    alerts = lines_of(tmp_path / "events.jsonl")
    assert [alert["kind"] for alert in alerts[:2]] == ["alert", "alert"]
    assert [alert["state"] for alert in alerts[:2]] == ["raised", "cleared"]
    assert posted == [[alert["kind"], alert["state"], alert["id"]] for alert in alerts]
    assert "webhook" in run(outbox, capfd)
    run(audit, capfd)


def test_the_example_of_an_event_has_the_keys_of_an_event() -> None:
    from edgerd.events import Alert

    (shown,) = (json.loads(text) for text in blocks(ALERTS, "json"))
    assert Alert.from_json(shown).to_json() == shown


@pytest.mark.parametrize(
    ("page", "sentence"),
    [
        (SERVICE, f"tries again after {BackOff().cap_s:g} s at most"),
        (SERVICE, f"holds up to {MAX_UNCOMMITTED:,} events in memory"),
        (SERVICE, f"waits up to {FLUSH_S:g} seconds for receivers"),
        (TUTORIAL, f"waits up to {FLUSH_S:g} seconds for its receivers"),
        (TUTORIAL, f"or below {StreamPolicy().clear_ratio:.0%} of the threshold".replace("%", " %")),
        (FAQ, f"scores below {StreamPolicy().clear_ratio:.0%} of the threshold".replace("%", " %")),
    ],
)
def test_their_numbers_are_those_of_the_code(page: str, sentence: str) -> None:
    assert sentence in " ".join(page.split())


def test_what_they_say_happens_so_often_does() -> None:
    tutorial, service = (" ".join(page.split()) for page in (TUTORIAL, SERVICE))
    assert "looked at each second" in tutorial
    assert INTERVAL_S == 1.0
    assert "for ever, twice a second" in tutorial
    assert "for ever, twice a second" in service
    assert MAX_PAUSE_S == 0.5


def test_the_exit_codes_are_those_that_a_run_can_have() -> None:
    errors = (StorageError, DeviceError, InputError, BundleError, CameraError, MissingDependencyError)
    listed = {int(code) for code in re.findall(r"^\| (\d+) \|", SERVICE, re.MULTILINE)}
    assert listed == {0, INTERRUPTED, *(error.exit_code for error in errors)}
