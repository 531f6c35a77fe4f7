"""This machine's CPU: its name, its features, and how many of its cores this process may use."""

from __future__ import annotations

import os
import platform
from pathlib import Path

_FEATURES = frozenset(
    {
        # x86: what ONNX Runtime and OpenVINO choose their kernels by
        *("avx", "avx2", "fma", "f16c", "avx_vnni", "avx512f", "avx512bw", "avx512vl", "avx512_vnni"),
        *("avx512_bf16", "avx512_fp16", "amx_tile", "amx_bf16", "amx_int8", "amx_fp16"),
        # Arm
        *("asimd", "asimdhp", "asimddp", "bf16", "i8mm", "sve", "sve2"),
    }
)

_CPUINFO = Path("/proc/cpuinfo")
_BOARD = Path("/proc/device-tree/model")
_CGROUPS = Path("/sys/fs/cgroup")
_OWN_CGROUP = Path("/proc/self/cgroup")


def cpu_name() -> str:
    """Name of this machine's CPU, or of the board where the CPU has none of its own (a Jetson)."""
    cores = _read_cores(_CPUINFO)
    first = cores[0] if cores else {}
    arm = f"Arm CPU, implementer {first['CPU implementer']}, part {first.get('CPU part')}" if _is_arm(first) else ""
    names = (_read_text(_BOARD).strip("\0\n") if arm else "", arm, first.get("model name", ""), platform.processor())
    return next((name for name in names if name), platform.machine())


def cpu_features() -> tuple[str, ...]:
    """The CPU features that decide which kernels a runtime picks, as Linux names them, sorted.

    A feature counts if every core has it. The tuple is empty where /proc/cpuinfo does not exist.
    """
    listed = [set(core.get("flags", core.get("Features", "")).split()) for core in _read_cores(_CPUINFO)]
    return tuple(sorted(_FEATURES.intersection(*listed))) if listed else ()


def int8_flavour() -> str:
    """Which 8-bit integers this CPU multiplies fast, an entry of `edgerd.precision.flavours.FLAVOURS`.

    The name is empty where the CPU has no such instruction, or its features are not known.
    """
    features = set(cpu_features())
    if features & {"avx_vnni", "avx512_vnni", "amx_int8"}:
        return "u8s8"
    if "avx2" in features:
        return "u8s7"
    return "s8s8" if "asimddp" in features else ""


def usable_cores() -> int:
    """Cores this process may use: its affinity, and the whole cores of its cgroup's CPU quota; 1 at least."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    # Rounded down: one thread more than the quota pays for gets the whole group stopped in mid-picture.
    return max(1, min(cores, int(_cgroup_quota())))


def _is_arm(core: dict[str, str]) -> bool:
    return "CPU implementer" in core


def _read_cores(cpuinfo: Path) -> list[dict[str, str]]:
    """Read /proc/cpuinfo: one mapping per processor. Paragraphs about the board, with a serial number, are left out."""
    cores = []
    for paragraph in _read_text(cpuinfo).split("\n\n"):
        pairs = (line.partition(":") for line in paragraph.splitlines())
        core = {key.strip(): value.strip() for key, _, value in pairs}
        if "processor" in core:
            cores.append(core)
    return cores


def _cgroup_quota() -> float:
    """CPU seconds per second that the cgroups above this process allow; a very large number without a limit.

    Source: https://docs.kernel.org/admin-guide/cgroup-v2.html, cpu.max; version 1 is read at its mount only, which
    inside a container is the container's own group.
    """
    limits = [float(1 << 20)]
    groups = [_CGROUPS / line[3:].strip("/") for line in _read_text(_OWN_CGROUP).splitlines() if line.startswith("0::")]
    folders = [folder for group in groups for folder in (group, *group.parents) if folder.is_relative_to(_CGROUPS)]
    limits.extend(_quota_of(*_read_text(folder / "cpu.max").split()) for folder in folders)
    v1 = _CGROUPS / "cpu"
    limits.append(_quota_of(_read_text(v1 / "cpu.cfs_quota_us"), _read_text(v1 / "cpu.cfs_period_us")))
    return min(limits)


def _quota_of(quota: str = "", period: str = "") -> float:
    try:
        return int(quota) / int(period) if int(quota) > 0 else float("inf")
    except (ValueError, ZeroDivisionError):  # "max", or no such file
        return float("inf")


def _read_text(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
