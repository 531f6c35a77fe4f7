"""A part of the check in a process of its own: a GPU that is lost, a crash or a hang takes nothing else along."""

from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path

_GRACE_S = 5
_TAIL_LINES = 15


def run_process(command: list[str], log: Path, limit_s: float) -> str:
    """Run to the end; whatever it started ends with it.

    Args:
        command: What to run.
        log: For what it prints.
        limit_s: Seconds that it may take.

    Returns:
        How it failed, with the last that it printed; empty where it did not.
    """
    with log.open("w") as output:
        process = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT, preexec_fn=os.setpgrp)
        try:
            code = process.wait(limit_s)
        except subprocess.TimeoutExpired:
            _kill(process, signal.SIGABRT)  # faulthandler prints where it was
            return f"it took longer than {limit_s:.0f} s and was ended.\n{_tail(log)}"
        finally:
            _kill(process, signal.SIGKILL)
    if not code:
        return ""
    how = f"was ended by {_signal(-code)}" if code < 0 else f"ended with {code}"
    return f"its process {how}.\n{_tail(log)}"


def _kill(process: subprocess.Popen[bytes], number: signal.Signals) -> None:
    try:
        os.killpg(process.pid, number)
        process.wait(_GRACE_S)
    except (ProcessLookupError, subprocess.TimeoutExpired):
        return


def _signal(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def _tail(log: Path) -> str:
    return "\n".join(log.read_text(errors="replace").splitlines()[-_TAIL_LINES:])
