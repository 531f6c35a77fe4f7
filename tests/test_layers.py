"""Who may import whom: the architecture as a table, read against every import in the package."""

import ast
import re
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "edgerd"

BOTTOM = {
    *("errors", "types", "events", "triggers", "paths", "redaction", "tables", "storage", "audit", "graph_names"),
    "scoring",
}
BASE = BOTTOM | {"bundle", "data"}
DEVICE = BASE | {"cuda", "cameras", "sinks", "evaluation", "precision", "runtimes"}

MAY_IMPORT = {
    # the bottom: values, errors, records, nothing that computes
    "errors": set(),
    "types": set(),
    "graph_names": set(),
    "scoring": {"types"},
    "events": {"types"},
    "triggers": set(),
    "redaction": set(),
    "service": set(),
    "paths": {"errors"},
    "tables": {"errors"},
    "storage": {"errors", "paths"},
    "audit": {"errors", "paths", "redaction", "storage"},
    "bundle": BOTTOM,
    "data": BOTTOM | {"bundle"},
    # side by side, blind to each other
    "cuda": BASE,
    "cameras": BASE,
    "sinks": BASE,
    "evaluation": BASE,
    "precision": BASE,
    "runtimes": BASE | {"cuda"},
    # what runs on a device
    "recipe": DEVICE,
    "delivery": BOTTOM | {"sinks"},
    "inspection": DEVICE | {"recipe"},
    "line": DEVICE | {"recipe", "inspection"},
    "acceptance": DEVICE | {"inspection"},
    "calibration": DEVICE | {"inspection", "acceptance"},
    "building": DEVICE | {"inspection", "acceptance", "calibration"},
    "web": set(),
    "control": BOTTOM | {"sinks", "web"},
    "monitor": DEVICE | {"service", "recipe", "inspection", "line", "web"},
    "station": DEVICE | {"recipe", "delivery", "inspection", "calibration", "line", "monitor", "service", "control"},
    # what trains, beside it
    "models": BASE,
    "training": BASE | {"models", "precision"},
    "exporting": BASE | {"models", "training"},
    # both: from pictures to an engine
    "steps": DEVICE | {"inspection", "acceptance", "calibration", "building", "models", "training", "exporting"},
}
ANYTHING = {"cli", "__main__", "__init__"}
"""`edgerd/__init__.py` names what is public, and loads it when it is used."""

LIBRARY_ONLY_IN = {
    "torch": {"models", "training", "exporting"},
    "safetensors": {"models", "training", "exporting"},
    "torchvision": set(),
    "timm": {"models"},
    "modelopt": {"precision"},
    "nncf": {"precision"},
    "pycuda": {"cuda"},
    "tensorrt": {"runtimes"},
    "openvino": {"runtimes"},
    "av": {"cameras", "cli", "data"},
    "gi": {"cameras"},
    "pymodbus": {"sinks"},
    "asyncua": {"sinks"},
    "prometheus_client": {"monitor"},
    "paho": {"sinks", "control"},
    "starlette": {"monitor", "control", "web"},
    "uvicorn": {"web"},
    # for tests only
    "scipy": set(),
    "sklearn": set(),
    "skimage": set(),
    "PIL": set(),
}

TABLE_ENTRY = re.compile(r"(edgerd(?:\.\w+)+):\w+")


def imported_modules(file, package):
    """Every module that a file imports, at its top, inside a function, or by an entry of a table."""
    tree = ast.parse(file.read_text(encoding="utf-8"), str(file))
    here = [package.name, *file.relative_to(package).with_suffix("").parts]
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names)
        elif isinstance(node, ast.ImportFrom):
            module = [*(here[: -node.level] if node.level else []), *([node.module] if node.module else [])]
            yield from (".".join([*module, name.name]) for name in node.names)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            entry = TABLE_ENTRY.fullmatch(node.value)
            if entry:
                yield entry.group(1)


def part_of(file, package):
    return file.relative_to(package).with_suffix("").parts[0]


def ways_back(package):
    """One line for every import that the tables above do not allow."""
    files = sorted(package.rglob("*.py"))
    parts = {part_of(file, package) for file in files}
    found = []
    for file in files:
        part = part_of(file, package)
        for module in imported_modules(file, package):
            top, *rest = module.split(".")
            where = f"{file.relative_to(package.parent)} imports {module}"
            if top in LIBRARY_ONLY_IN and part not in LIBRARY_ONLY_IN[top]:
                found.append(f"{where}: allowed in {', '.join(sorted(LIBRARY_ONLY_IN[top])) or 'tests only'}")
            is_part = top == package.name and rest and rest[0] in parts
            if is_part and part not in ANYTHING and rest[0] not in MAY_IMPORT[part] | {part}:
                found.append(f"{where}: {part} may import {', '.join(sorted(MAY_IMPORT[part])) or 'nothing of edgerd'}")
    return found


def test_every_part_has_its_place_in_the_table():
    parts = {part_of(file, PACKAGE) for file in PACKAGE.rglob("*.py")}
    assert parts <= set(MAY_IMPORT) | ANYTHING


def test_the_table_itself_has_no_way_back():
    """Each part stands above all that it may import."""
    order = list(MAY_IMPORT)
    for part, below in MAY_IMPORT.items():
        assert below <= set(order[: order.index(part)]), part


def test_no_import_goes_back():
    assert not ways_back(PACKAGE), "\n".join(ways_back(PACKAGE))


@pytest.mark.parametrize(
    ("file", "source", "is_allowed"),
    [
        ("errors.py", "import edgerd.types", False),
        ("errors.py", "from edgerd import types", False),
        ("errors.py", "from . import types", False),
        ("data/pictures.py", "from ..bundle import Bundle", True),
        ("data/pictures.py", "from .preprocess import prepare", True),
        ("data/pictures.py", "from ..cli import main", False),
        ("data/pictures.py", "def f():\n    from edgerd.line.line import Line", False),
        ("cameras/a.py", "from edgerd.sinks.jsonl import JsonlSink", False),
        ("runtimes/a.py", "from edgerd.cuda.context import Context", True),
        ("runtimes/a.py", "TABLE = {'x': 'edgerd.cameras.opencv:OpenCvCamera'}", False),
        ("inspection/a.py", "import torch.nn", False),
        ("cli/a.py", "from torch import nn", False),
        ("models/a.py", "from torch import nn", True),
        ("runtimes/a.py", "import pycuda.driver", False),
        ("evaluation/a.py", "from scipy import stats", False),
        ("evaluation/a.py", "from edgerd import __version__", True),
        ("cli/a.py", "from edgerd.training.run import RunFolder", True),
    ],
)
def test_the_reader_sees_each_kind_of_import(tmp_path, file, source, is_allowed):
    package = tmp_path / "edgerd"
    for part in [*MAY_IMPORT, "cli"]:
        (package / part).mkdir(parents=True)
        (package / part / "__init__.py").write_text("")
    target = package / file
    target.write_text(source)
    assert (not ways_back(package)) is is_allowed
