"""Type stubs of the loaded bindings, for mypy."""

from __future__ import annotations

import ast
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
    """mypy's findings in code that uses TensorRT, empty where there are none.

    One cache serves all calls, as long as their flags are the same.
    """
    command = [
        sys.executable,
        "-m",
        "mypy",
        "--strict",
        "--no-error-summary",
        "--enable-error-code=deprecated",
        "--cache-dir",
        str(FOLDER / "mypy"),
        *what,
    ]
    environment = {"MYPYPATH": str(stubs), "PATH": ""}
    done = subprocess.run(command, cwd=REPOSITORY, env=environment, capture_output=True, text=True)
    assert done.returncode in (0, 1), done.stdout + done.stderr  # 2: mypy itself failed, and found nothing
    return done.stdout


class _MarkUses(ast.NodeTransformer):
    """Deprecates members, with their names as the reason; attributes become properties, which can be deprecated.

    Without a setter: mypy says nothing of a deprecated property that has one and is read.
    """

    def __init__(self, members: dict[str, set[str]]) -> None:
        self._members = members
        self._kind = ""

    def visit_ClassDef(self, node: ast.ClassDef) -> ast.ClassDef:
        outer, self._kind = self._kind, node.name
        self.generic_visit(node)
        self._kind = outer
        return node

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.FunctionDef:
        if node.name in self._members.get(self._kind, ()):
            node.decorator_list.append(self._mark(node.name))
        return node

    def visit_AnnAssign(self, node: ast.AnnAssign) -> ast.stmt:
        if not isinstance(node.target, ast.Name) or node.target.id not in self._members.get(self._kind, ()):
            return node
        name, mark = node.target.id, ast.unparse(self._mark(node.target.id))
        return ast.parse(f"@property\n@{mark}\ndef {name}(self) -> {ast.unparse(node.annotation)}: ...").body[0]

    def _mark(self, name: str) -> ast.expr:
        return ast.parse(f"typing_extensions.deprecated('uses {self._kind}.{name}')", mode="eval").body


def used_members(stubs: Path, members: dict[str, set[str]], *what: str) -> set[str]:
    """Which members of TensorRT's classes code uses, "ICudaEngine.num_io_tensors", as far as mypy knows its types."""
    file = stubs / "tensorrt.pyi"
    marked = _MarkUses(members).visit(ast.parse(file.read_text("utf-8")))
    file.write_text("# mypy: ignore-errors\nimport typing_extensions\n" + ast.unparse(marked), "utf-8")
    findings = mypy(stubs, *what)
    written = re.findall(r'Property "(\w+)" defined in "(\w+)" is read-only', findings)
    return {f"{kind}.{name}" for name, kind in written} | set(re.findall(r"uses (\w+\.\w+)", findings))
