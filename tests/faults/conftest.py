"""A trained run and a bundle of the smallest teacher, made once for all operations that begin with one."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from edgerd.exporting import package
from edgerd.models.teachers import TEACHERS, make_teacher
from faults.checks import names_left_by
from faults.commands import EDGE, RD4AD, SMALL, edgerd, write_pictures

MINI = "mini_teacher:mini"


@pytest.fixture
def whole(operation, tmp_path):
    """What is there when the operation of a test file has gone through undisturbed."""
    return names_left_by(operation, tmp_path / "undisturbed")


@dataclass(frozen=True)
class Made:
    """What was made once, in folders of its own; nothing of it is to be changed.

    Attributes:
        pictures: Of good parts, which the runs are trained on.
        others: More of them.
        weights: Of the teacher.
        run: A folder with `run`, of method edge.
        half_run: A folder with `run`, of method rd4ad, after half of its steps.
        bundle: A folder with `bundle`, of another run than `run`.
    """

    pictures: Path
    others: Path
    weights: Path
    run: Path
    half_run: Path
    bundle: Path


@pytest.fixture(autouse=True)
def _mini_teacher(monkeypatch):
    monkeypatch.setitem(TEACHERS, "mini", MINI)


@pytest.fixture(scope="session")
def made(tmp_path_factory):
    root = tmp_path_factory.mktemp("faults")
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setitem(TEACHERS, "mini", MINI)
        torch.manual_seed(0)
        weights = root / "weights.safetensors"
        save_file({key: value.contiguous() for key, value in make_teacher("mini").state_dict().items()}, weights)
        pictures, others = write_pictures(root / "pictures", 16, seed=0), write_pictures(root / "others", 9, seed=1)
        train = ("train", pictures, *SMALL, "--teacher-weights", weights)
        edgerd(*train, *EDGE, "-o", root / "one" / "run")
        edgerd(*train, *EDGE, "--seed", 1, "-o", root / "two" / "run")
        edgerd(*train, *RD4AD, "--steps", 2, "-o", root / "half" / "run")
        edgerd("export", root / "two" / "run", "-o", root / "bundle" / "bundle")
    return Made(pictures, others, weights, root / "one", root / "half", root / "bundle")


@pytest.fixture(scope="session")
def _graphs():
    return {}


@pytest.fixture
def exported_once(made, _graphs, monkeypatch):
    """The graph of `made.run` is made once: PyTorch takes a second for it each time."""
    real = package.graph_from_networks

    def graph_of(*arguments):
        if "graph" not in _graphs:
            _graphs["graph"] = real(*arguments)
        return _graphs["graph"]

    monkeypatch.setattr(package, "graph_from_networks", graph_of)


@pytest.fixture
def start(tmp_path):
    """Puts what was made into one folder to start from: `start(made.run, made.bundle)`."""

    def copy(*folders):
        (tmp_path / "start").mkdir()
        for folder in folders:
            shutil.copytree(folder, tmp_path / "start", dirs_exist_ok=True)
        return tmp_path / "start"

    return copy
