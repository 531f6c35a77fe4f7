"""Type stubs of the loaded bindings, for mypy."""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
from pathlib import Path
from unittest import mock

from .install import FOLDER
from .loading import Emulation

REPOSITORY = Path(__file__).parents[2]


def write_stubs(emulation: Emulation, target: Path) -> None:
    """Write `target/tensorrt.pyi`, by pybind11-stubgen, with what it gets wrong put right."""
    sys.path.append(str(FOLDER / "tools"))
    import pybind11_stubgen

    with tempfile.TemporaryDirectory() as folder:
        words = ["pybind11-stubgen", emulation.trt.tensorrt.__name__, "--ignore-all-errors", "-o", folder]
        with mock.patch.object(sys, "argv", words):
            pybind11_stubgen.main()
        text = (Path(folder) / "tensorrt_bindings" / "tensorrt.pyi").read_text("utf-8")
    text = re.sub(r"\bin: ", "in_: ", text)  # an argument named like a keyword
    text = re.sub(
        r"def add_scale_nd\(.*\)", "def add_scale_nd(self, *args: typing.Any)", text
    )  # defaults before others
    text = re.sub(r"(: |\[|-> |\| )bool\b", r"\1builtins.bool", text)  # `bool` is one of tensorrt's data types there
    head = "# mypy: ignore-errors\nimport builtins\n__version__: str\n"
    (target / "tensorrt.pyi").write_text(head + text, "utf-8")


def mypy(stubs: Path, *what: str) -> str:
    """mypy's findings in code that uses TensorRT, empty where there are none. One cache serves all versions."""
    command = [
        sys.executable,
        "-m",
        "mypy",
        "--strict",
        "--no-error-summary",
        "--cache-dir",
        str(FOLDER / "mypy"),
        *what,
    ]
    environment = {"MYPYPATH": str(stubs), "PATH": ""}
    done = subprocess.run(command, cwd=REPOSITORY, env=environment, capture_output=True, text=True)
    assert done.returncode in (0, 1), done.stdout + done.stderr  # 2: mypy itself failed, and found nothing
    return done.stdout
