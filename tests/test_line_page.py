"""docs/tutorials/first-line.md: its recipes are valid, its commands work in order, its numbers are the code's."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from edgerd.cli.main import INTERRUPTED, main
from edgerd.delivery.deliverer import BackOff
from edgerd.delivery.writer import MAX_UNCOMMITTED
from edgerd.errors import BundleError, CameraError, DeviceError, InputError, MissingDependencyError, StorageError
from edgerd.line.supervised import MAX_PAUSE_S
from edgerd.recipe.load import recipe_from_bytes
from edgerd.recipe.watch import INTERVAL_S
from edgerd.station.outgoing import FLUSH_S

PAGE = (Path(__file__).parents[1] / "docs" / "tutorials" / "first-line.md").read_text(encoding="utf-8")
CAMERA = "sample://ring?n=6&size=96"


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)


def test_its_recipes_are_valid(tmp_path: Path) -> None:
    recipes = blocks("toml")
    assert recipes
    for text in recipes:
        recipe_from_bytes(text.encode(), tmp_path / "edgerd.toml")


def test_its_commands_work_one_after_the_other(
    bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """With sample parts in place of a camera, and a file for events, as the page says that there may be."""
    monkeypatch.chdir(tmp_path)
    assert bundle.path == tmp_path / "bundle"
    commands = [shlex.split(line) for block in blocks("console") for line in block.splitlines()]
    assert [" ".join(words[:2]) for words in commands] == [
        *("pip install", "edgerd init", "edgerd run", "edgerd run", "edgerd outbox", "edgerd audit")
    ]
    for _, *words in commands[1:]:
        with pytest.raises(SystemExit) as ended:
            main([CAMERA if word == "0" else word for word in words])
        assert not ended.value.code, (words, capfd.readouterr().err)
        if words[0] == "init":
            with Path("edgerd.toml").open("a") as recipe:
                recipe.write('\n[[sink]]\ntype = "jsonl"\npath = "events.jsonl"\n')
    assert Path("events.jsonl").exists()


@pytest.mark.parametrize(
    "sentence",
    [
        f"tries again after {BackOff().cap_s:g} s at most",
        f"holds up to {MAX_UNCOMMITTED:,} events in memory",
        f"waits up to {FLUSH_S:g} seconds for receivers",
    ],
)
def test_its_numbers_are_those_of_the_code(sentence: str) -> None:
    assert sentence in " ".join(PAGE.split())


def test_what_it_says_happens_so_often_does() -> None:
    assert "looked at each second" in PAGE
    assert INTERVAL_S == 1.0
    assert "for ever, twice a second" in PAGE
    assert MAX_PAUSE_S == 0.5


def test_its_exit_codes_are_those_that_a_run_can_have() -> None:
    errors = (StorageError, DeviceError, InputError, BundleError, CameraError, MissingDependencyError)
    listed = {int(code) for code in re.findall(r"^\| (\d+) \|", PAGE, re.MULTILINE)}
    assert listed == {0, INTERRUPTED, *(error.exit_code for error in errors)}
