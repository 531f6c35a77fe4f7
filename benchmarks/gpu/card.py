"""What `nvidia-smi` says of the card: what it is, and how fast it runs while it works."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Callable
from typing import Any

_FACTS = {
    "name": "name",
    "driver_version": "driver",
    "vbios_version": "VBIOS",
    "pcie.link.gen.max": "PCIe generation, at most",
    "pcie.link.width.max": "PCIe lanes, at most",
    "power.limit": "power limit",
    "power.default_limit": "power limit, default",
    "clocks.max.sm": "SM clock, at most",
    "clocks.max.memory": "memory clock, at most",
    "clocks.applications.graphics": "application clock, SM",
    "clocks.applications.memory": "application clock, memory",
    "ecc.mode.current": "ECC",
    "ecc.errors.uncorrected.volatile.total": "ECC errors that were not corrected",
    "persistence_mode": "persistence mode",
    "compute_mode": "compute mode",
    "mig.mode.current": "MIG",
    "memory.total": "memory",
    "memory.used": "memory in use",
}
_SM_CLOCK = {"clocks.sm": "SM clock"}
_NOW = _SM_CLOCK | {
    "clocks.mem": "memory clock",
    "temperature.gpu": "temperature, degrees C",
    "power.draw": "power",
    "clocks_throttle_reasons.active": "what holds the clocks back",
}
"""`clocks_throttle_reasons`, not `clocks_event_reasons`: older drivers know the first, newer ones both."""
_LIMIT_S = 20
_BUSY_S = 1.0
_LONGEST_S = 10.0
_JETSON = (["nvpmodel", "-q"], ["jetson_clocks", "--show"])


def facts() -> dict[str, str]:
    """What the card is and how it is set, by people's names; on a Jetson its power mode. Empty where nothing says."""
    found = _asked(_FACTS)
    for command in _JETSON:
        if shutil.which(command[0]):
            found[" ".join(command)] = _output(command)
    return found


def now() -> dict[str, str]:
    """Clocks, temperature and power at this moment; empty without `nvidia-smi`."""
    return _asked(_NOW)


def clocks_while(work: Callable[[], Any]) -> dict[str, str]:
    """Do work over and over, for a second at least, until the clocks have been read: so the card is warm, too.

    Not while something is measured: reading the clocks disturbs what runs.

    Args:
        work: Waits for the GPU.

    Returns:
        Columns of a table; empty without `nvidia-smi`.
    """
    reading, started_s = _begun(_SM_CLOCK), time.perf_counter()

    def is_over() -> bool:
        busy_s = time.perf_counter() - started_s
        return busy_s > _BUSY_S and (reading is None or reading.poll() is not None or busy_s > _LONGEST_S)

    while not is_over():
        work()
    if reading is None or reading.poll() is None:
        if reading:
            reading.kill()
        return {}
    return _values(_SM_CLOCK, reading.communicate()[0])


def _asked(fields: dict[str, str]) -> dict[str, str]:
    """All at once; one by one where this driver does not know one of them."""
    found = _values(fields, _output(_command(fields)))
    if not found and shutil.which("nvidia-smi"):
        for field, name in fields.items():
            found |= _values({field: name}, _output(_command({field: name})))
    return found


def _command(fields: dict[str, str]) -> list[str]:
    card = os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",")[0] or "0"
    return ["nvidia-smi", f"--id={card}", f"--query-gpu={','.join(fields)}", "--format=csv,noheader"]


def _values(fields: dict[str, str], line: str) -> dict[str, str]:
    values = [value.strip() for value in line.strip().split(",")]
    if len(values) != len(fields):
        return {}
    return {
        name: value
        for name, value in zip(fields.values(), values, strict=True)
        if value not in ("", "[N/A]", "N/A", "[Not Supported]") and "not a valid field" not in value
    }


def _begun(fields: dict[str, str]) -> subprocess.Popen[str] | None:
    if not shutil.which("nvidia-smi"):
        return None
    return subprocess.Popen(_command(fields), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)


def _output(command: list[str]) -> str:
    try:
        ended = subprocess.run(command, capture_output=True, text=True, timeout=_LIMIT_S, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return "" if ended.returncode else ended.stdout.strip()
