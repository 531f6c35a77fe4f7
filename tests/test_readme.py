"""What README and documentation tell people to type exists: commands, flags, files, names."""

from __future__ import annotations

import ast
import re
import shlex
import sys
from importlib import import_module
from pathlib import Path

import click
import pytest

from edgerd.cli.main import COMMANDS, edgerd

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

REPOSITORY = Path(__file__).parents[1]
FOLDERS = ("docs", "benchmarks", "calibration", "deploy", "edgerd", "tests/emulation")
PAGES = sorted(
    file for pattern in ("*.md", *(f"{folder}/**/*.md" for folder in FOLDERS)) for file in REPOSITORY.glob(pattern)
)
SHELL = {"bash", "console", "sh", "shell"}

on_every_page = pytest.mark.parametrize("page", PAGES, ids=lambda file: file.relative_to(REPOSITORY).as_posix())


def blocks(page):
    """Language and content of each fenced block."""
    text = page.read_text(encoding="utf-8")
    return re.findall(r"^ *```(\w*)[^\n]*\n(.*?)^ *```", text, re.MULTILINE | re.DOTALL)


def prose(page):
    return re.sub(r"^ *```.*?^ *```", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)


def shell_commands(page):
    """Words of every command in the shell blocks, without prompts, comments and output."""
    for language, content in blocks(page):
        if language not in SHELL:
            continue
        lines = content.replace("\\\n", " ").splitlines()
        prompted = any(line.startswith("$ ") for line in lines)
        for line in lines:
            if not prompted or line.startswith("$ "):
                words = _words(line.removeprefix("$ "))
                for start in (index for index, word in enumerate(words) if Path(word).name in ("edgerd", "make")):
                    if start == 0 or words[start - 1] in ("&&", ";", "|"):
                        yield [Path(words[start]).name, *_up_to_the_next(words[start + 1 :])]


def _words(line):
    try:
        return shlex.split(line, comments=True)
    except ValueError:  # an apostrophe: what a command prints, not a command
        return []


def _up_to_the_next(words):
    ends = [index for index, word in enumerate(words) if word in ("&&", ";", "|", ">", "2>", ">>")]
    return words[: ends[0]] if ends else words


def command(name):
    found = edgerd.get_command(click.Context(edgerd), name)
    assert found is not None, f"there is no command {name!r}"
    return found


def flags(name):
    return {flag for parameter in [*command(name).params, *edgerd.params] for flag in parameter.opts} | {"--help", "-h"}


@on_every_page
def test_commands_in_shell_blocks_parse(page):
    for program, *arguments in shell_commands(page):
        if program == "edgerd" and arguments and not arguments[0].startswith("-"):
            name, *rest = arguments
            command(name).make_context(name, rest, parent=click.Context(edgerd), help_option_names=[])


@on_every_page
def test_make_targets_exist(page):
    targets = set(re.findall(r"^([\w-]+):", (REPOSITORY / "Makefile").read_text(), re.MULTILINE))
    used = {word for program, *words in shell_commands(page) if program == "make" for word in words}
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
    named = re.findall(r"(?:edgerd|/src)\[([\w,]+)\]", page.read_text(encoding="utf-8"))
    assert {extra for extras in named for extra in extras.split(",")} <= set(declared["optional-dependencies"])


@on_every_page
def test_links_lead_somewhere(page):
    for target in re.findall(r"\]\(([^)\s]+)\)", prose(page)):
        if re.match(r"[a-z]+:", target):
            continue
        path, _, anchor = target.partition("#")
        linked = page.parent / path if path else page
        assert linked.exists(), target
        if anchor:
            headings = re.findall(r"^#+ (.+)$", linked.read_text(encoding="utf-8"), re.MULTILINE)
            assert anchor in {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@on_every_page
def test_python_snippets_compile_and_import_what_exists(page):
    for language, content in blocks(page):
        if language not in ("python", "py"):
            continue
        for node in ast.walk(ast.parse(content)):
            if isinstance(node, ast.ImportFrom) and node.module.partition(".")[0] == "edgerd":
                module = import_module(node.module)
                missing = [name.name for name in node.names if not hasattr(module, name.name)]
                assert not missing, f"{node.module} has no {missing}"


def test_the_readme_begins_with_what_works_on_a_fresh_machine_and_names_every_command():
    readme = REPOSITORY / "README.md"
    assert [" ".join(words) for words in shell_commands(readme)][:2] == ["make demo", "make test"]
    assert set(re.findall(r"`edgerd ([a-z][\w-]*)", readme.read_text(encoding="utf-8"))) >= set(COMMANDS)
