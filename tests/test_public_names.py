"""What `import edgerd` offers: every public name is found, by completion and by type checkers too."""

from __future__ import annotations

import ast
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

import edgerd

PACKAGE = Path(edgerd.__file__).parent


def test_completion_offers_every_public_name():
    assert set(edgerd.__all__) <= set(dir(edgerd))
    offered = {name for name in dir(edgerd) if not name.startswith("_")}
    assert offered == set(edgerd.__all__) - {"__version__"}


@pytest.mark.parametrize("name", edgerd.__all__)
def test_every_public_name_is_there(name):
    value = getattr(edgerd, name)
    assert name == "__version__" or value.__name__ == name


def test_no_folder_of_the_package_has_the_name_of_something_public():
    """Python would put the folder in its place as soon as anything in it is imported."""
    modules = {path.stem for path in PACKAGE.iterdir() if path.suffix in ("", ".py")}
    assert not modules & set(edgerd.__all__)


def test_type_checkers_are_told_of_every_public_name():
    tree = ast.parse((PACKAGE / "__init__.py").read_text())
    typed = {
        name.name
        for node in tree.body
        if isinstance(node, ast.If)
        for each in node.body
        if isinstance(each, ast.ImportFrom)
        for name in each.names
    }
    assert typed == set(edgerd.__all__) - {"__version__"}


def test_another_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'Inspekter'"):
        edgerd.Inspekter  # noqa: B018


def test_importing_edgerd_imports_no_library():
    code = "import sys, edgerd; dir(edgerd); print([m for m in ('numpy', 'cv2', 'torch', 'click') if m in sys.modules])"
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert ended.stdout.strip() == "[]"


@pytest.mark.slow
def test_mypy_knows_the_types_of_a_script(tmp_path):
    if find_spec("mypy") is None:
        pytest.skip("mypy is not installed")
    script = tmp_path / "script.py"
    script.write_text(
        "import edgerd\n"
        "inspection = edgerd.Inspector.open('bundle').inspect('part.png')\n"
        "reveal_type(inspection.verdict)\n"
        "reveal_type(edgerd.build_engine('bundle'))\n"
        "inspection.verdikt\n"
    )
    checked = [sys.executable, "-m", "mypy", "--config-file=", "--follow-imports=silent", f"--cache-dir={tmp_path}"]
    ended = subprocess.run(
        [*checked, script],
        capture_output=True,
        text=True,
        timeout=250,
        cwd=tmp_path,
        env={"PATH": "", "MYPYPATH": str(PACKAGE.parent)},
    )
    assert 'Revealed type is "edgerd.types.Verdict"' in ended.stdout
    assert 'Revealed type is "edgerd.bundle.bundle.Bundle"' in ended.stdout
    assert '"Inspection" has no attribute "verdikt"' in ended.stdout
