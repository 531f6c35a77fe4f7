"""Fixtures that run the command line: `edgerd(...)` in this process, `edgerd_process(...)` in another one."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from train_parts import EDGE, QUICK

from edgerd.bundle.bundle import Bundle
from edgerd.cameras.fake import FakeCamera
from edgerd.cli.main import main

MAIN = "import sys; sys.modules.update(dict.fromkeys({blocked!r})); from edgerd.cli.main import main; main()"
"""A module that is None in `sys.modules` cannot be imported, as if it were not installed."""


@dataclass(frozen=True)
class Result:
    exit_code: int
    out: str
    err: str


@pytest.fixture
def edgerd(capfd: pytest.CaptureFixture[str]) -> Callable[..., Result]:
    """Run a command; gives exit code, stdout, stderr. File descriptors are read: libraries write there."""

    def run(*arguments: object) -> Result:
        capfd.readouterr()
        with pytest.raises(SystemExit) as ended:
            main([str(argument) for argument in arguments])
        out, err = capfd.readouterr()
        return Result(int(ended.value.code or 0), out, err)

    return run


@pytest.fixture
def run(edgerd: Callable[..., Result], bundle: Bundle) -> Callable[..., Result]:
    """`edgerd run` over a bundle: `run(camera, *options)`."""

    def start(camera: object, *options: object) -> Result:
        return edgerd("run", "--camera", camera, "--bundle", bundle.path, *options)

    return start


@pytest.fixture
def fake_camera(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Let `edgerd run` open a camera that reads from a list: `fake_camera(script, live=..., n_frames=...)`."""

    def install(script: list[Any], **kind: Any) -> None:
        monkeypatch.setattr("edgerd.cli.run_cameras.open_camera", lambda uri: FakeCamera(script, uri=uri, **kind))

    return install


@pytest.fixture
def edgerd_process(tmp_path: Path) -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Start a command in a process of its own, in a folder of its own; it does not outlive the test."""
    processes: list[subprocess.Popen[str]] = []

    def start(
        *arguments: object, blocked: tuple[str, ...] = (), stderr: int = subprocess.PIPE
    ) -> subprocess.Popen[str]:
        command = [sys.executable, "-c", MAIN.format(blocked=blocked), *map(str, arguments)]
        pipes = {"stdout": subprocess.PIPE, "stderr": stderr, "stdin": subprocess.DEVNULL}
        processes.append(subprocess.Popen(command, text=True, encoding="utf-8", cwd=tmp_path, **pipes))
        return processes[-1]

    yield start
    for process in processes:
        process.kill()
        process.communicate()


@pytest.fixture
def on_terminal(edgerd_process: Callable[..., subprocess.Popen[str]]) -> Callable[..., tuple[str, int]]:
    """Run a command whose stderr is a terminal: `on_terminal(*arguments, columns=80)`; what it shows, and its code."""
    if sys.platform == "win32":
        pytest.skip("Windows has no pseudo-terminals")
    import fcntl
    import struct
    import termios

    def run(*arguments: object, columns: int = 80) -> tuple[str, int]:
        for name in ("COLUMNS", "LINES"):  # pytest imports readline, which sets them behind Python's back
            os.unsetenv(name)
        terminal, other_end = os.openpty()
        fcntl.ioctl(other_end, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
        process = edgerd_process(*arguments, stderr=other_end)
        os.close(other_end)
        shown = b""
        while some := _read(terminal):
            shown += some
        os.close(terminal)
        process.communicate(timeout=60)
        return shown.decode(), process.returncode

    return run


def _read(terminal: int) -> bytes:
    try:
        return os.read(terminal, 100_000)
    except OSError:  # Linux's way to say that the other end is closed
        return b""


@pytest.fixture
def start(edgerd_process: Callable[..., subprocess.Popen[str]], bundle: Bundle) -> Callable[..., subprocess.Popen[str]]:
    """Start `edgerd run` over a bundle in a process of its own: `start(camera, *options)`."""

    def process(camera: object, *options: object, **how: Any) -> subprocess.Popen[str]:
        return edgerd_process("run", "--camera", camera, "--bundle", bundle.path, *options, **how)

    return process


@pytest.fixture
def own_parts(parts: Path, tmp_path: Path) -> Path:
    """A copy of the sample parts that a test may spoil."""
    return shutil.copytree(parts, tmp_path / "parts")


@pytest.fixture
def train(edgerd: Callable[..., Result], tmp_path: Path) -> Callable[..., Result]:
    """`edgerd train DATA -o run`, small and short: a student that is kept and one for each of two folds."""

    def run(
        data: Path, *options: object, method: tuple = EDGE, out: Path = tmp_path / "run", steps: int | None = 2
    ) -> Result:
        return edgerd("train", data, "-o", out, *QUICK, *method, *(("--steps", steps) if steps else ()), *options)

    return run


@pytest.fixture
def trained_copy(trained_run: Path, tmp_path: Path) -> Path:
    """A copy of the run of the paper's method that a test may go on with."""
    return shutil.copytree(trained_run, tmp_path / "trained")
