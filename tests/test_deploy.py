"""Container files and the systemd unit: what they install, where they keep things, which commands they give."""

from __future__ import annotations

import configparser
import re
import shlex
import shutil
import subprocess
from pathlib import Path

import click
import pytest

from edgerd.cli.main import INTERRUPTED, edgerd
from edgerd.errors import (
    AuditError,
    BundleError,
    CameraError,
    DeviceError,
    DeviceNotReadyError,
    EdgerdError,
    InputError,
    MissingDependencyError,
)
from edgerd.monitor.snapshot import STALLED_AFTER_S
from edgerd.paths import cache_folder
from edgerd.recipe import load_recipe

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
    assert "[tensorrt,line]" in commands
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


def unit_section(name):
    """A section of the unit; a setting that stands twice is an error."""
    parser = configparser.ConfigParser(interpolation=None)
    parser.optionxform = str
    parser.read_string(UNIT.read_text(encoding="utf-8"))
    return parser[name]


def test_the_service_runs_a_command_that_exists_and_gives_up_where_trying_again_is_no_use(monkeypatch):
    service = unit_section("Service")
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


def every_error(error=EdgerdError):
    yield error
    for kind in error.__subclasses__():
        yield from every_error(kind)


def test_the_service_is_started_again_after_every_error_that_time_may_mend():
    """Each error of the package, by its exit code: given up are those that somebody has to mend first."""
    given_up = {int(code) for code in unit_section("Service")["RestartPreventExitStatus"].split()}
    # and what is not installed, but for a driver that is not ready yet
    hopeless = {InputError, BundleError, AuditError}
    for error in every_error():
        is_hopeless = issubclass(error, tuple(hopeless)) or error is MissingDependencyError
        assert (error.exit_code in given_up) is is_hopeless, error
    assert click.UsageError.exit_code in given_up
    assert INTERRUPTED not in given_up


def test_a_stop_in_the_middle_of_a_video_is_no_failure():
    assert unit_section("Service")["SuccessExitStatus"].split() == [str(INTERRUPTED)]


def test_systemd_is_told_when_the_line_works_and_kills_one_that_is_stuck():
    service = unit_section("Service")
    assert (service["Type"], service["NotifyAccess"]) == ("notify", "main")
    watchdog_s = float(service["WatchdogSec"])
    # a line that people are told is stuck is not killed before they are told
    assert watchdog_s / 2 > STALLED_AFTER_S
    assert service["Restart"] == "always"  # the watchdog's kill is none of the exit codes


def test_the_service_keeps_its_files_where_systemd_made_room_for_them():
    """The recipe that is installed with it writes nothing into its own folder, which the service may only read."""
    service = unit_section("Service")
    *_, recipe_file = shlex.split(service["ExecStart"])
    assert Path(recipe_file).parent == Path("/etc", service["ConfigurationDirectory"])
    assert service["ProtectSystem"] == "strict"  # all but the following is read-only
    writable = (Path("/var/lib", service["StateDirectory"]), Path("/var/log", service["LogsDirectory"]))
    recipe = load_recipe(DEPLOY / "edgerd.toml").recipe
    written = [recipe.outbox.path, recipe.audit.path, *(sink.path for sink in recipe.sinks)]
    assert all(path.parent in writable for path in written)
    assert recipe.cameras[0].bundle.parent == writable[0]
    rotated = DEPLOY.joinpath("edgerd.logrotate").read_text(encoding="utf-8")
    assert f"{recipe.sinks[0].path.parent}/*{recipe.sinks[0].path.suffix} {{" in rotated
    assert recipe.audit.path.parent == writable[0]  # a trail is not thrown away after a month


def test_what_the_service_needs_is_installed_by_the_commands_on_top_of_it():
    commands = [line.removeprefix("#").split() for line in UNIT.read_text().splitlines() if line.startswith("#   sudo")]
    installed = {words[-1]: words[-2] for words in commands if "install" in words}
    assert set(installed.values()) == {"deploy/edgerd.toml", "deploy/edgerd.service", "deploy/edgerd.logrotate"}
    assert all((DEPLOY.parent / file).is_file() for file in installed.values())
    assert installed[shlex.split(unit_section("Service")["ExecStart"])[-1]] == "deploy/edgerd.toml"


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="systemd-analyze is not installed")
def test_systemd_understands_the_unit(tmp_path):
    program = shlex.split(unit_section("Service")["ExecStart"])[0]
    unit = tmp_path / "edgerd.service"  # systemd wants the program to be there
    unit.write_text(UNIT.read_text(encoding="utf-8").replace(program, "/bin/true"), encoding="utf-8")
    verified = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", str(unit)], capture_output=True, text=True, check=False
    )
    assert verified.returncode == 0, verified.stderr
    assert unit.name not in verified.stderr  # a warning names the file
