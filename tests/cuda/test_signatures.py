"""The signatures that ctypes calls the driver with are those of cuda.h: the library itself cannot be asked for them."""

import re
import subprocess

import pytest
from emulation.install import FOLDER

from edgerd.cuda.driver import _SIGNATURES

pytestmark = pytest.mark.emulated(once=True)


@pytest.fixture(scope="module")
def header():
    """cuda.h with its macros applied; they rename functions, `#define cuStreamBeginCapture cuStreamBeginCapture_v2`."""
    command = ["g++", "-E", "-P", "-x", "c", FOLDER / "headers" / "cuda.h"]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def declared(header, name):
    """Per parameter of a function, whether it is a pointer; None where there is no such function."""
    handles = re.findall(r"typedef struct \w+ \*(\w+);", header)
    found = re.search(rf"\bCUresult {name}\(([^()]*)\);", header)
    return found and ["*" in parameter or parameter.split()[0] in handles for parameter in found[1].split(",")]


def is_pointer(kind):
    return hasattr(kind, "contents") or kind._type_ in ("P", "z")


@pytest.mark.parametrize("name", _SIGNATURES)
def test_it_is_declared_with_these_parameters(header, name):
    assert declared(header, name) == [is_pointer(kind) for kind in _SIGNATURES[name]]


def test_a_name_without_its_suffix_is_not_found(header):
    assert declared(header, "cuStreamBeginCapture") is None
