"""Container files and the systemd unit: what they install, where they keep things, which commands they give."""

from __future__ import annotations

import configparser
import re
import shlex
from pathlib import Path

import click
import pytest

from edgerd.cli.main import edgerd
from edgerd.errors import (
    BundleError,
    CameraError,
    DeviceError,
    DeviceNotReadyError,
    InputError,
    MissingDependencyError,
)
from edgerd.paths import cache_folder

DEPLOY = Path(__file__).parents[1] / "deploy"
CONTAINERS = sorted(DEPLOY.glob("*.Dockerfile"))
UNIT = DEPLOY / "edgerd.service"

every_container = pytest.mark.parametrize("file", CONTAINERS, ids=lambda file: file.stem)


def instructions(file):
    """Instruction and its arguments, lines joined."""
    text = re.sub(r"^#.*\n", "", file.read_text(encoding="utf-8"), flags=re.MULTILINE).replace("\\\n", " ")
    return [line.split(None, 1) for line in text.splitlines() if line.strip()]


def environment(file):
    words = [word for name, rest in instructions(file) if name == "ENV" for word in shlex.split(rest)]
    return dict(word.split("=", 1) for word in words)


def check_command(words):
    """Check that edgerd accepts a command line."""
    name, *rest = words
    command = edgerd.get_command(click.Context(edgerd), name)
    assert command is not None, name
    command.make_context(name, rest, parent=click.Context(edgerd), help_option_names=[])


def test_there_is_one_for_each_jetpack_and_for_servers():
    assert [file.stem for file in CONTAINERS] == ["datacenter", "jetson-jetpack6", "jetson-jetpack7"]


@every_container
def test_a_container_installs_what_doctor_asks_for_and_no_torch(file):
    commands = " ".join(rest for name, rest in instructions(file) if name == "RUN")
    for package in ("libgl1", "libglib2.0-0", "build-essential", "python3-dev"):
        assert re.search(rf"\s{re.escape(package)}(t64)?\s", commands), package
    assert "--system-site-packages" in commands
    assert "[tensorrt]" in commands
    assert "import tensorrt" in commands  # a build without bindings fails, not the first run
    assert "torch" not in commands
    variables = environment(file)
    assert "/usr/local/cuda/bin" in variables["PATH"].split(":")
    assert variables["CUDA_ROOT"] == "/usr/local/cuda"


@pytest.mark.parametrize("file", [file for file in CONTAINERS if "jetson" in file.stem], ids=lambda file: file.stem)
def test_a_jetson_reads_the_cameras_at_its_connectors(file):
    installed = " ".join(rest for name, rest in instructions(file) if name == "RUN").split()
    assert {f"gstreamer1.0-{part}" for part in ("tools", "plugins-base", "plugins-good")} <= set(installed)
    (commands,) = (
        block for block in (DEPLOY / "README.md").read_text().split("```console") if "--camera csi://0" in block
    )
    assert "-v /tmp/argus_socket:/tmp/argus_socket" in commands


@every_container
def test_what_was_compiled_outlives_the_container(file, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", environment(file)["XDG_CACHE_HOME"])
    volumes = next(rest for name, rest in instructions(file) if name == "VOLUME")
    assert f'"{cache_folder()}"' in volumes
    ignored = (DEPLOY.parent / ".dockerignore").read_text().split()
    assert {".venv", ".emulation", ".git"} <= set(ignored)


@every_container
def test_a_container_starts_edgerd(file):
    given = dict(instructions(file))
    assert given["ENTRYPOINT"] == '["edgerd"]'
    check_command(re.findall(r'"(\S+?)"', given["CMD"]))


def test_the_first_jetson_image_has_the_tensorrt_that_is_tested():
    from emulation.versions import VERSIONS

    found = next(version.name for version in VERSIONS.values() if version.found_in == "JetPack 6")
    assert f":r{found}." in (DEPLOY / "jetson-jetpack6.Dockerfile").read_text()


def test_the_service_runs_a_command_that_exists_and_gives_up_where_trying_again_is_no_use(monkeypatch):
    parser = configparser.ConfigParser(interpolation=None)
    parser.optionxform = str
    parser.read_string(UNIT.read_text(encoding="utf-8"))
    service = parser["Service"]
    program, *words = shlex.split(service["ExecStart"])
    assert Path(program).name == "edgerd"
    check_command(words)
    hopeless = {InputError.exit_code, BundleError.exit_code, MissingDependencyError.exit_code}
    assert {int(code) for code in service["RestartPreventExitStatus"].split()} == hopeless
    assert hopeless.isdisjoint({error.exit_code for error in (CameraError, DeviceError, DeviceNotReadyError)})
    assert service["Restart"] == "always"
    assert {"video", "render"} <= set(service["SupplementaryGroups"].split())
    variables = dict(word.split("=", 1) for word in service["Environment"].split())
    monkeypatch.setenv("XDG_CACHE_HOME", variables["XDG_CACHE_HOME"])
    assert str(cache_folder()) == f"/var/cache/{service['CacheDirectory']}"
