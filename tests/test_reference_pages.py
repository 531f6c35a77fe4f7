"""Pages of docs/reference/ that scripts write: they are up to date, and they leave nothing out."""

from __future__ import annotations

import json
import re
from pathlib import Path

import click
import griffe
import pytest

import edgerd as package
from edgerd.cli.main import COMMANDS, INTERRUPTED, edgerd
from edgerd.events import Alert, CameraEvent, DeviceEvent, DiskEvent
from tools import api_page, commands_page, docstrings, events_page, exit_codes_page

REPOSITORY = Path(__file__).parents[1]
SCRIPTS = (api_page, commands_page, events_page, exit_codes_page)
EVENTS = (
    events_page.EXAMPLE,
    CameraEvent("id", "lost", "belt", "unplugged", 1.0, "4f1d2c"),
    DeviceEvent("id", "lost", "belt", "GPU", "reset", 1.0, "4f1d2c"),
    DiskEvent("id", "error", "belt", "full", 1.0, "4f1d2c"),
)


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.PAGE.name)
def test_the_page_is_what_its_script_writes(script):
    assert script.PAGE.read_text(encoding="utf-8") == script.page(), "make pages writes it anew"


def sections():
    """Heading -> text of each command's section."""
    pieces = re.split(r"^#+ `(edgerd[^`]*)`$", commands_page.page(), flags=re.MULTILINE)
    return dict(zip(pieces[1::2], pieces[2::2], strict=True))


def commands():
    """What is typed for every command, with the command."""
    top = click.Context(edgerd, info_name="edgerd", **edgerd.context_settings)
    for name in COMMANDS:
        command = edgerd.get_command(top, name)
        context = click.Context(command, top, name)
        yield context.command_path, command
        for below, one in getattr(command, "commands", {}).items():
            yield click.Context(one, context, below).command_path, one


def test_every_command_and_option_is_on_the_page_with_its_meaning():
    found = sections()
    assert set(found) == {path for path, _ in commands()}
    for path, command in commands():
        for option in command.params:
            if isinstance(option, click.Option):
                (row,) = re.findall(rf"^\| (?:.*, )?`{option.opts[-1]}`.*$", found[path], re.MULTILINE)
                assert len(row.rsplit(" | ", 1)[1]) > len("A few |"), f"{path} {option.opts[-1]} has no meaning"


@pytest.mark.parametrize(
    "row",
    [
        "| `--batch-size` | whole number, from 1 | `16` | Pictures in a batch. |",
        "| `-o`, `--out` | path | must be given | The bundle to create. |",
        "| `--max-frames` | whole number, from 1 |  | End after this many frames of each camera. |",
        "| `--false-alarm-rate` | number, above 0 below 1 | `0.01` | Share of good parts that may be called NG. |",
    ],
)
def test_a_row_says_what_may_be_typed(row):
    assert row in commands_page.page()


def test_every_exit_code_has_a_meaning():
    codes = {error.exit_code for error in exit_codes_page.error_classes()}
    assert set(exit_codes_page.MEANINGS) == codes | {0, INTERRUPTED}


def test_the_codes_that_end_the_service_are_those_of_its_unit():
    unit = (REPOSITORY / "deploy" / "edgerd.service").read_text(encoding="utf-8")
    (codes,) = re.findall(r"^RestartPreventExitStatus=(.*)$", unit, re.MULTILINE)
    assert "gives up after {}, {} and {}".format(*codes.split()) in exit_codes_page.page()


def test_every_public_name_is_on_the_page_about_python():
    named = [name for names in api_page.CHAPTERS.values() for name in names]
    assert sorted(named) == sorted(set(package.__all__) - {"__version__"})


def test_every_argument_of_what_is_public_is_explained():
    source = griffe.load("edgerd", search_paths=[REPOSITORY])
    for name in (one for names in api_page.CHAPTERS.values() for one in names):
        public = source[name].final_target
        functions = [public] if public.is_function else [one for one in public.members.values() if one.is_function]
        for function in functions:
            explained = {
                argument.name
                for part in docstrings.sections(function.docstring)
                if part.kind is griffe.DocstringSectionKind.parameters
                for argument in part.value
            }
            if not function.name.startswith("_") and explained:
                assert explained == {one.name for one in function.parameters} - {"self", "cls"}, function.path


@pytest.mark.parametrize("event", EVENTS, ids=lambda event: type(event).__name__)
def test_an_event_has_the_keys_of_the_page(event):
    record = event.to_json()
    assert list(record) == ["kind", *[key for key in record if key != "kind"]]
    assert set(events_page.keys_of(record["kind"])) == set(record)


def test_regions_have_the_keys_of_the_page():
    (region,) = events_page.EXAMPLE.to_json()["regions"]
    assert events_page.keys_of("Regions") == list(region)


def test_the_example_is_an_alert():
    (example,) = re.findall(r"```json\n(.*?)```", events_page.page(), re.DOTALL)
    assert Alert.from_json(json.loads(example)) == events_page.EXAMPLE
