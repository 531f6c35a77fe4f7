"""The wheel and the sdist: all that is needed, nothing else, and that they install without a network."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tarfile
import zipfile
from email import message_from_bytes
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path, PurePosixPath

import numpy
import pytest
from packaging.requirements import Requirement

from edgerd.precision.scales import RANGE_METHODS

REPOSITORY = Path(__file__).parents[1]
SOURCES = (
    *("edgerd", "tests", "tools", "benchmarks", "calibration", "docs"),
    *("pyproject.toml", "README.md", "LICENSE", "CHANGELOG.md", "MANIFEST.in"),
)
MAX_MB = 6


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    """A copy, so that the checkout stays clean."""
    if not (find_spec("setuptools") and find_spec("pip")):
        pytest.skip("pip and setuptools are not in this environment")
    source = tmp_path_factory.mktemp("source")
    for name in SOURCES:
        path = REPOSITORY / name
        if path.is_dir():
            shutil.copytree(path, source / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(path, source)
    return source


def started(*arguments, cwd=None):
    """Run Python in a process, without this checkout on its path."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    command = [str(argument) for argument in arguments]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=240, cwd=cwd, env=environment)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return ended.stdout


def built_wheel(source, target):
    options = ("--no-deps", "--no-build-isolation", "--no-index", "--quiet", "--wheel-dir", target)
    started(sys.executable, "-m", "pip", "wheel", *options, source)
    (file,) = target.iterdir()
    return file


@pytest.fixture(scope="module")
def wheel_file(source, tmp_path_factory):
    return built_wheel(source, tmp_path_factory.mktemp("wheel"))


@pytest.fixture(scope="module")
def wheel(wheel_file):
    with zipfile.ZipFile(wheel_file) as archive:
        yield archive


@pytest.fixture(scope="module")
def sdist_file(source, tmp_path_factory):
    target = tmp_path_factory.mktemp("sdist")
    code = f"from setuptools import build_meta; build_meta.build_sdist({str(target)!r})"
    started(sys.executable, "-c", code, cwd=source)
    (file,) = target.iterdir()
    return file


@pytest.fixture(scope="module")
def fresh_environment(wheel_file, tmp_path_factory):
    """A new environment with the wheel in it; what the wheel needs comes from the environment of the tests."""
    folder = tmp_path_factory.mktemp("fresh") / "venv"
    started(sys.executable, "-m", "venv", "--without-pip", folder)
    python = folder / "bin" / "python"
    options = ("--quiet", "--no-index", "--no-deps", "--disable-pip-version-check")
    started(sys.executable, "-m", "pip", "--python", python, "install", *options, wheel_file)
    (packages,) = folder.glob("lib/python*/site-packages")
    (packages / "dependencies.pth").write_text(f"{Path(numpy.__file__).parents[1]}\n")
    return folder


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


def test_the_wheel_works_in_a_fresh_environment(fresh_environment, tmp_path):
    """Folders of the checkout must not be what answers."""
    code = (
        "import edgerd; from edgerd.inspection.inspector import Inspector; print(edgerd.__file__, edgerd.__version__)"
    )
    file, number = started(fresh_environment / "bin" / "python", "-c", code, cwd=tmp_path).split()
    assert Path(file).is_relative_to(fresh_environment)
    assert number in started(fresh_environment / "bin" / "edgerd", "--version", cwd=tmp_path)
    assert "train" in started(fresh_environment / "bin" / "edgerd", "--help", cwd=tmp_path)


def test_the_sdist_makes_the_same_wheel(sdist_file, wheel, tmp_path):
    with tarfile.open(sdist_file) as archive:
        archive.extractall(tmp_path / "unpacked", filter="data")
    (unpacked,) = (tmp_path / "unpacked").iterdir()
    with zipfile.ZipFile(built_wheel(unpacked, tmp_path / "wheel")) as again:
        assert set(again.namelist()) == set(wheel.namelist())
        for name in again.namelist():
            if not name.endswith("/RECORD"):
                assert again.read(name) == wheel.read(name), name


def test_the_sdist_has_what_people_look_up_beside_the_package(sdist_file):
    with tarfile.open(sdist_file) as archive:
        files = {"/".join(name.split("/")[1:]) for name in archive.getnames()}
    package = {f"edgerd/{name}" for name in ("py.typed", "models/weights/lite0.safetensors", "recipe/template.py")}
    pages = {"LICENSE", "README.md", "CHANGELOG.md", "docs/reference/recipe.schema.json"}
    presets = {f"calibration/presets/{method}.toml" for method in RANGE_METHODS}
    assert package | pages | presets <= files


def test_it_says_which_versions_of_python_it_is_for(metadata):
    classifiers = metadata.get_all("Classifier")
    assert [f"Programming Language :: Python :: 3.{minor}" in classifiers for minor in range(9, 16)] == [
        *(False, True, True, True, True, True, False)
    ]
    assert metadata["Requires-Python"] == ">=3.10"


def test_a_new_extra_is_for_the_tests_too(metadata):
    extras = set(metadata.get_all("Provides-Extra"))
    requirements = map(Requirement, metadata.get_all("Requires-Dist"))
    brought = {extra for requirement in requirements if requirement.name == "edgerd" for extra in requirement.extras}
    assert brought == extras - {"dev", "tensorrt", "timm"}


def test_one_environment_has_what_all_extras_ask_for(metadata):
    """As far as it is installed here: two extras that exclude each other would show."""
    extras = metadata.get_all("Provides-Extra")
    unmet = []
    for requirement in map(Requirement, metadata.get_all("Requires-Dist")):
        applies = requirement.marker is None or any(requirement.marker.evaluate({"extra": each}) for each in extras)
        try:
            installed = version(requirement.name)
        except PackageNotFoundError:
            continue
        if applies and not requirement.specifier.contains(installed, prereleases=True):
            unmet.append(f"{requirement}: {installed}")
    assert unmet == []
