from __future__ import annotations

import os

import pytest

from edgerd.runtimes import machine

X86 = """processor\t: 0
vendor_id\t: GenuineIntel
model name\t: Intel(R) Xeon(R) Platinum 8488C
flags\t\t: fpu vme avx avx2 fma avx512f avx512_bf16 amx_bf16 amx_int8

processor\t: 1
model name\t: Intel(R) Xeon(R) Platinum 8488C
flags\t\t: fpu vme avx avx2 fma avx512f avx512_bf16 amx_bf16

"""
ARM = """processor\t: 0
BogoMIPS\t: 62.50
Features\t: fp asimd evtstrm aes asimdhp asimddp
CPU implementer\t: 0x41
CPU part\t: 0xd42

processor\t: 1
Features\t: fp asimd evtstrm aes asimdhp asimddp i8mm bf16
CPU implementer\t: 0x41
CPU part\t: 0xd42

Hardware\t: board
Serial\t\t: 1
"""


@pytest.fixture
def files(tmp_path, monkeypatch):
    """Stand-ins for /proc and /sys, all missing until written."""
    for constant, name in (
        ("_CPUINFO", "cpuinfo"),
        ("_BOARD", "model"),
        ("_CGROUPS", "groups"),
        ("_OWN_CGROUP", "own"),
    ):
        monkeypatch.setattr(machine, constant, tmp_path / name)
    (tmp_path / "groups").mkdir()
    return tmp_path


def test_this_machine_has_a_name_and_cores():
    assert machine.cpu_name()
    assert 1 <= machine.usable_cores() <= (os.cpu_count() or 1)
    assert list(machine.cpu_features()) == sorted(set(machine.cpu_features()))


def test_x86_is_named_by_its_model_and_only_features_of_every_core_count(files):
    (files / "cpuinfo").write_text(X86)
    assert machine.cpu_name() == "Intel(R) Xeon(R) Platinum 8488C"
    assert machine.cpu_features() == ("amx_bf16", "avx", "avx2", "avx512_bf16", "avx512f", "fma")


def test_a_jetson_is_named_by_its_board(files):
    (files / "cpuinfo").write_text(ARM)
    (files / "model").write_bytes(b"NVIDIA Jetson AGX Orin Developer Kit\0")
    assert machine.cpu_name() == "NVIDIA Jetson AGX Orin Developer Kit"
    assert machine.cpu_features() == ("asimd", "asimddp", "asimdhp")


def test_an_arm_server_is_named_by_its_part(files):
    (files / "cpuinfo").write_text(ARM)
    assert machine.cpu_name() == "Arm CPU, implementer 0x41, part 0xd42"


def test_a_machine_without_proc_has_a_name_and_no_features(files):
    assert machine.cpu_name()
    assert machine.cpu_features() == ()
    assert machine.usable_cores() >= 1


@pytest.mark.parametrize(("limit", "cores"), [("max 100000", 8), ("250000 100000", 2), ("50000 100000", 1)])
def test_a_containers_quota_limits_the_cores(files, monkeypatch, limit, cores):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)), raising=False)
    (files / "own").write_text("0::/line/edgerd\n")
    (files / "groups" / "line" / "edgerd").mkdir(parents=True)
    (files / "groups" / "line" / "edgerd" / "cpu.max").write_text("max 100000\n")
    (files / "groups" / "line" / "cpu.max").write_text(limit + "\n")
    assert machine.usable_cores() == cores


def test_a_version_1_quota_limits_the_cores(files, monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)), raising=False)
    (files / "groups" / "cpu").mkdir()
    (files / "groups" / "cpu" / "cpu.cfs_quota_us").write_text("300000\n")
    (files / "groups" / "cpu" / "cpu.cfs_period_us").write_text("100000\n")
    assert machine.usable_cores() == 3


@pytest.mark.parametrize(
    ("features", "flavour"),
    [
        (("avx2", "avx512_vnni"), "u8s8"),
        (("avx2", "avx_vnni"), "u8s8"),
        (("avx2", "avx512f"), "u8s7"),
        (("asimd", "asimddp"), "s8s8"),
        (("asimd",), ""),
        ((), ""),
    ],
)
def test_the_flavour_of_int8_follows_the_cpu(monkeypatch, features, flavour):
    monkeypatch.setattr(machine, "cpu_features", lambda: features)
    assert machine.int8_flavour() == flavour
