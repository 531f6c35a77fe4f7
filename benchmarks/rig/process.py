"""What the system says of a process (Linux)."""

from __future__ import annotations

import os
from pathlib import Path


def resident_mb(pid: int) -> float:
    """Megabytes (10^6 bytes) of its own in memory: files that it only maps, as libraries, do not count."""
    status = Path(f"/proc/{pid}/status").read_text()
    return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("RssAnon:")) * 1024 / 1e6


def n_threads(pid: int) -> int:
    """Threads that it has."""
    return len(list(Path(f"/proc/{pid}/task").iterdir()))


def n_descriptors(pid: int) -> int:
    """Files, sockets and pipes that it has open."""
    return len(list(Path(f"/proc/{pid}/fd").iterdir()))


def cpu_s(pid: int) -> float:
    """Seconds of CPU time that it has taken so far, in all its threads."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
