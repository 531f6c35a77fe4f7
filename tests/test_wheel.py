"""The wheel: all that is needed, nothing else, and what its metadata promises."""

from __future__ import annotations

import shutil
import subprocess
import sys
import zipfile
from email import message_from_bytes
from importlib.util import find_spec
from pathlib import Path, PurePosixPath

import pytest

REPOSITORY = Path(__file__).parents[1]
SOURCES = ("edgerd", "tests", "tools", "benchmarks", "docs", "pyproject.toml", "README.md", "LICENSE")
MAX_MB = 6


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """Built from a copy, so that the checkout stays clean."""
    if not (find_spec("setuptools") and find_spec("pip")):
        pytest.skip("pip and setuptools are not in this environment")
    source, target = (tmp_path_factory.mktemp(name) for name in ("source", "wheel"))
    for name in SOURCES:
        path = REPOSITORY / name
        if path.is_dir():
            shutil.copytree(path, source / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(path, source)
    build = ["wheel", "--no-deps", "--no-build-isolation", "--no-index", "--quiet", "--wheel-dir", target, source]
    ended = subprocess.run([sys.executable, "-m", "pip", *map(str, build)], capture_output=True, text=True, timeout=120)
    assert ended.returncode == 0, ended.stderr
    (file,) = target.iterdir()
    with zipfile.ZipFile(file) as archive:
        yield archive


@pytest.fixture(scope="module")
def metadata(wheel):
    (name,) = (name for name in wheel.namelist() if name.endswith(".dist-info/METADATA"))
    return message_from_bytes(wheel.read(name))


def test_it_holds_the_package_and_nothing_else(wheel):
    folders = {PurePosixPath(name).parts[0] for name in wheel.namelist()}
    assert {folder for folder in folders if not folder.endswith(".dist-info")} == {"edgerd"}


def test_every_module_and_data_file_is_in_it(wheel):
    package = REPOSITORY / "edgerd"
    files = {file.relative_to(REPOSITORY).as_posix() for file in package.rglob("*.py")}
    weights = {f"edgerd/models/weights/{name}" for name in ("lite0.safetensors", "README.md", "LICENSE-lite0")}
    page = {f"edgerd/evaluation/report/report.{kind}" for kind in ("css", "js")}
    assert files | weights | page | {"edgerd/py.typed"} <= set(wheel.namelist())


def test_no_file_is_large(wheel):
    sizes = {item.filename: item.file_size / 1e6 for item in wheel.infolist()}
    assert {name: size for name, size in sizes.items() if size > MAX_MB} == {}


def test_torch_comes_with_an_extra_only(metadata):
    assert set(metadata.get_all("Provides-Extra")) >= {"train", "openvino"}
    requirements = metadata.get_all("Requires-Dist")
    base = {line.partition(">")[0].strip() for line in requirements if "extra ==" not in line}
    assert all("python_version" in line for line in requirements if line.startswith("tomli"))  # in Python since 3.11
    assert base - {"tomli"} == {
        *("av", "click", "numpy", "onnx", "onnxruntime", "opencv-python", "platformdirs", "pydantic", "rich"),
    }
    assert any(line.startswith("torch") and "extra == 'train'" in line.replace('"', "'") for line in requirements)


def test_the_command_is_installed(wheel):
    (name,) = (name for name in wheel.namelist() if name.endswith("entry_points.txt"))
    assert "edgerd = edgerd.cli.main:main" in wheel.read(name).decode()
