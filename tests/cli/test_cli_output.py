"""A full disk behind stdout, a reader that has gone, or no stdout at all: a command does its work all the same."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

COMMAND = [sys.executable, "-c", "from edgerd.cli.main import main; main()"]
pytestmark = pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")


def ended(arguments, stdout="/dev/null", stderr="/dev/null", closed=()):
    """Run a command over files that may be full or closed; gives its exit code."""

    def close():
        for number in closed:
            os.close(number)

    with Path(stdout).open("w") as out, Path(stderr).open("w") as err:
        words = [*COMMAND, *map(str, arguments)]
        return subprocess.run(words, stdout=out, stderr=err, preexec_fn=close, check=False, timeout=100).returncode


def test_a_full_disk_behind_stdout_is_said_once_and_the_work_is_done(bundle, parts, tmp_path):
    figures, err = tmp_path / "figures.json", tmp_path / "err"
    assert ended(["evaluate", bundle.path, parts, "--json", figures], "/dev/full", err) == 1
    assert json.loads(figures.read_text())["n_good"] == 8
    said = err.read_text()
    assert said.count("the output cannot be written (No space left on device)") == 1
    assert "Internal error" not in said
    assert "Traceback" not in said


def test_help_on_a_full_disk(tmp_path):
    assert ended(["--help"], "/dev/full", tmp_path / "err") == 1
    assert "Traceback" not in (tmp_path / "err").read_text()


def test_stderr_may_be_full_and_the_exit_code_is_that_of_the_error(tmp_path):
    assert ended(["show", tmp_path / "nothing"], stderr="/dev/full") == 3


@pytest.mark.parametrize("closed", [(1,), (2,), (0, 1, 2)])
def test_closed_files_are_no_error_and_nothing_takes_their_place(bundle, parts, tmp_path, closed):
    figures = tmp_path / "figures.json"
    assert ended(["evaluate", bundle.path, parts, "--json", figures], closed=closed) == 0
    assert json.loads(figures.read_text())["n_good"] == 8


def test_a_reader_that_has_read_enough_does_not_end_the_work(bundle, parts, tmp_path):
    figures = tmp_path / "figures.json"
    words = [*COMMAND, "evaluate", str(bundle.path), str(parts), "--json", str(figures)]
    process = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    process.stdout.readline()
    process.stdout.close()
    err = process.stderr.read()
    process.stderr.close()
    assert process.wait(timeout=100) in (0, 1)
    assert "Traceback" not in err
    assert "cannot be written" not in err
    assert json.loads(figures.read_text())["n_good"] == 8
