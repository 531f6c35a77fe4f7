"""What README and documentation tell people to type, write and follow exists: commands, flags, recipes, code, links.

The rules that a page keeps to:

- Each line of a `console`, `sh` or `bash` block is typed; where some begin with `$ `, the others are output.
- A `toml` block is a recipe. One without a camera is a part of a recipe, and is read below the smallest camera. Any
  other file is named: ```` ```toml title="target.toml" ````.
- A `json` block is one JSON value, a `jsonl` block one in each line.
- A `python` block compiles, and what it takes from edgerd is there.
- A link within the repository is relative, and leads to a file, or to a heading as GitHub names it.
"""

from __future__ import annotations

import ast
import json
import re
import shlex
import sys
from importlib import import_module
from pathlib import Path

import click
import pytest

import edgerd as package
from edgerd.cli.main import COMMANDS, edgerd
from edgerd.recipe.load import recipe_from_bytes
from tools import pages

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

REPOSITORY = Path(__file__).parents[1]
FOLDERS = ("docs", "benchmarks", "calibration", "deploy", "edgerd", "examples", "tests/emulation")
PAGES = sorted(
    file for pattern in ("*.md", *(f"{folder}/**/*.md" for folder in FOLDERS)) for file in REPOSITORY.glob(pattern)
)
SHELL = {"bash", "console", "sh", "shell"}
SMALLEST_RECIPE = '[[camera]]\nuri = "0"\nbundle = "bundle"\n'

on_every_page = pytest.mark.parametrize("page", PAGES, ids=lambda file: file.relative_to(REPOSITORY).as_posix())


def blocks(page, *languages):
    return [block for block in pages.blocks(page.read_text(encoding="utf-8")) if block.language in languages]


def prose(page):
    return pages.prose(page.read_text(encoding="utf-8"))


def shell_commands(page):
    """Words of every command in the shell blocks, without prompts, comments and output."""
    for block in blocks(page, *SHELL):
        lines = block.content.replace("\\\n", " ").splitlines()
        prompted = any(line.startswith("$ ") for line in lines)
        for line in lines:
            if not prompted or line.startswith("$ "):
                words = _words(line.removeprefix("$ "))
                for start in (index for index, word in enumerate(words) if Path(word).name in ("edgerd", "make")):
                    if start == 0 or _goes_before_a_command(words[start - 1]):
                        yield [Path(words[start]).name, *_up_to_the_next(words[start + 1 :])]


def _words(line):
    try:
        return shlex.split(line, comments=True)
    except ValueError:  # an apostrophe: what a command prints, not a command
        return []


def _goes_before_a_command(word):
    return word in ("&&", ";", "|", "sudo", "exec", "time") or re.fullmatch(r"\w+=.*", word)


def _up_to_the_next(words):
    ends = [index for index, word in enumerate(words) if word in ("&&", ";", "|", ">", "2>", ">>", "&")]
    return words[: ends[0]] if ends else words


def command(name):
    found = edgerd.get_command(click.Context(edgerd), name)
    assert found is not None, f"there is no command {name!r}"
    return found


def parse(command, name, words, parent):
    """Read the words of a command as click does, without running it."""
    below = [index for index, word in enumerate(words) if word in getattr(command, "commands", ())]
    end = below[0] + 1 if below else len(words)
    context = command.make_context(name, words[:end], parent=parent, help_option_names=[])
    if below:
        name = words[end - 1]
        parse(command.commands[name], name, words[end:], context)


def flags(name):
    found = command(name)
    below = getattr(found, "commands", {}).values()
    parameters = [parameter for one in (found, edgerd, *below) for parameter in one.params]
    return {flag for parameter in parameters for flag in (*parameter.opts, *parameter.secondary_opts)} | {
        "--help",
        "-h",
    }


@on_every_page
def test_commands_in_shell_blocks_parse(page):
    for program, *arguments in shell_commands(page):
        if program == "edgerd" and arguments and not arguments[0].startswith("-"):
            name, *rest = arguments
            parse(command(name), name, rest, click.Context(edgerd))


@pytest.mark.parametrize(
    ("words", "is_one"),
    [
        ("outbox box list", True),
        ("outbox box drop 3 --sink plant --waiting", True),
        ("outbox box list --all", False),
        ("run --camera 0 --bundle bundle", True),
        ("run --camera 0 --bundel bundle", False),
        ("export run", False),
        ("show bundle other", False),
        ("train data -o run --steps many", False),
    ],
)
def test_the_reader_of_commands_sees_what_is_wrong(words, is_one):
    name, *rest = words.split()
    try:
        parse(command(name), name, rest, click.Context(edgerd))
    except click.UsageError:
        assert not is_one
    else:
        assert is_one


@on_every_page
def test_make_targets_exist(page):
    targets = set(re.findall(r"^([\w-]+):", (REPOSITORY / "Makefile").read_text(), re.MULTILINE))
    used = {word for program, *words in shell_commands(page) if program == "make" for word in words if "=" not in word}
    used |= set(re.findall(r"`make ([\w-]+)`", prose(page)))
    assert used <= targets


@on_every_page
def test_commands_in_the_text_exist(page):
    for name, rest in re.findall(r"`edgerd ([a-z][\w-]*)([^`]*)`", prose(page)):
        assert name in COMMANDS
        assert set(re.findall(r"(?<![\w-])--?[a-z][\w-]*", rest)) <= flags(name), f"edgerd {name}{rest}"


@on_every_page
def test_flags_in_the_text_exist(page):
    all_flags = {flag for name in COMMANDS for flag in flags(name)} | _flags_of_scripts()
    assert set(re.findall(r"`(--[a-z][\w-]*)[^`]*`", prose(page))) <= all_flags


def _flags_of_scripts():
    scripts = [
        file for folder in ("tools", "benchmarks", "calibration") for file in REPOSITORY.glob(f"{folder}/**/*.py")
    ]
    return {flag for file in scripts for flag in re.findall(r"[\"'](--[a-z][\w-]*)", file.read_text(encoding="utf-8"))}


@on_every_page
def test_extras_exist(page):
    declared = tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    named = re.findall(r"(?:edgerd|/src|[\"']\.)\[([\w,]+)\]", page.read_text(encoding="utf-8"))
    assert {extra for extras in named for extra in extras.split(",")} <= set(declared["optional-dependencies"])


@on_every_page
def test_links_lead_somewhere(page):
    for link in pages.links(page.read_text(encoding="utf-8")):
        if pages.leaves_the_repository(link):
            continue
        path, _, anchor = link.partition("#")
        assert not path.startswith("/"), f"{link} is not relative"
        linked = page.parent / path if path else page
        assert linked.exists(), link
        if anchor:
            assert anchor in pages.anchors(linked.read_text(encoding="utf-8")), link


@on_every_page
def test_recipes_are_valid(page, tmp_path):
    for block in blocks(page, "toml"):
        content = tomllib.loads(block.content)
        if block.title in ("", "edgerd.toml"):
            text = block.content if "camera" in content else SMALLEST_RECIPE + block.content
            recipe_from_bytes(text.encode(), tmp_path / "edgerd.toml")


@on_every_page
def test_json_can_be_read(page):
    for block in blocks(page, "json"):
        json.loads(block.content)
    for block in blocks(page, "jsonl"):
        for line in block.content.splitlines():
            json.loads(line)


@on_every_page
def test_python_snippets_compile_and_take_from_edgerd_what_is_there(page):
    for block in blocks(page, "python", "py"):
        compile(block.content, f"{page.name}:{block.line}", "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
        for node in ast.walk(ast.parse(block.content)):
            if isinstance(node, ast.ImportFrom) and node.module.partition(".")[0] == "edgerd":
                module = import_module(node.module)
                missing = [name.name for name in node.names if not hasattr(module, name.name)]
                assert not missing, f"{node.module} has no {missing}"
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "edgerd":
                assert node.attr in package.__all__ or node.attr == "errors"


def test_the_readme_begins_with_what_works_on_a_fresh_machine():
    assert [" ".join(words) for words in shell_commands(REPOSITORY / "README.md")][:2] == ["make demo", "make test"]


def test_the_readme_fits_a_short_visit():
    assert len((REPOSITORY / "README.md").read_text(encoding="utf-8").split()) <= 700
