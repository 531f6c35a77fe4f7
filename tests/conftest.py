"""What the whole suite shares: one small data set, and a run and a bundle of either method, made once."""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

# before torch, OpenVINO or ONNX Runtime are imported: two shared cores collapse with more than one thread each
os.environ.setdefault("OMP_NUM_THREADS", "1")

from edgerd.bundle.bundle import Bundle
from edgerd.data.samples import write_dataset

pytest_plugins = ["emulation.plugin", "inspection_fixtures", "services_in_ci"]

SHARED = Path(__file__).parents[2] / "shared"


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--made", type=Path, help="the data, run and bundle of another session, in place of new ones")


@pytest.fixture(scope="session")
def made_once(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of what is made once, when a test first asks for it: `parts`, runs and bundles.

    The processes of a parallel session share it.
    """
    if made := request.config.getoption("--made"):
        return made
    if not hasattr(request.config, "workerinput"):
        return tmp_path_factory.mktemp("made")
    folder = tmp_path_factory.getbasetemp().parent / "made"
    folder.mkdir(exist_ok=True)
    return folder


@contextmanager
def _one_makes(folder: Path) -> Iterator[bool]:
    """True if this process must make the folder; other processes wait until it is made, and get False."""
    with folder.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield not folder.exists()


@pytest.fixture(scope="session")
def parts(made_once: Path) -> Path:
    """Sample parts in MVTec's layout, 96 px."""
    root = made_once / "parts"
    with _one_makes(root) as is_mine:
        if is_mine:
            write_dataset(root, "ring", n_train=40, n_test_good=8, n_per_defect=2, size=96)
    return root


@pytest.fixture(scope="session")
def trained_run(parts: Path, made_once: Path) -> Path:
    """A run of the paper's method on `parts`: 64 px, 24 steps, 10 pictures held out."""
    return _trained(made_once / "run", parts, method="rd4ad", student="full", steps=24, holdout=0.25)


@pytest.fixture(scope="session")
def edge_run(parts: Path, made_once: Path) -> Path:
    """A run as `edgerd train` makes it by default, on `parts`, but small: 64 px, 2 folds, 60 steps a student."""
    return _trained(made_once / "edge_run", parts, method="edge", student="light", steps=60, cross_fit=2)


def _trained(folder: Path, parts: Path, **settings: Any) -> Path:
    torch = pytest.importorskip("torch", reason="what trains the bundle is not installed", exc_type=ImportError)

    from edgerd.bundle.manifest import PreprocessSpec
    from edgerd.models.weights import load_teacher
    from edgerd.training.methods import make_method
    from edgerd.training.run import RunFolder, TrainingConfig

    torch.set_num_threads(1)
    config = TrainingConfig(preprocess=PreprocessSpec(height=64, width=64), batch_size=8, **settings)
    with _one_makes(folder) as is_mine:
        if is_mine:
            run = RunFolder.prepare(folder, parts, config)
            make_method(config.method).train(run, load_teacher("lite0"), device="cpu")
    return folder


@pytest.fixture(scope="session")
def _exported(trained_run: Path, made_once: Path) -> Path:
    return _bundle_of(trained_run, made_once / "bundle")


@pytest.fixture(scope="session")
def _edge_exported(edge_run: Path, made_once: Path) -> Path:
    return _bundle_of(edge_run, made_once / "edge_bundle")


def _bundle_of(run: Path, folder: Path) -> Path:
    from edgerd.calibration.calibrate import calibrate
    from edgerd.exporting.package import bundle_from_run
    from edgerd.training.run import RunFolder

    with _one_makes(folder) as is_mine:
        if is_mine:
            calibrate(bundle_from_run(RunFolder.open(run), folder), false_alarm_rate=0.01)
    return folder


@pytest.fixture
def bundle(_exported: Path, tmp_path: Path) -> Bundle:
    """A calibrated bundle of `trained_run`, with held-out pictures; a copy, so that a test may change it."""
    return Bundle.open(shutil.copytree(_exported, tmp_path / "bundle"))


@pytest.fixture
def edge_bundle(_edge_exported: Path, tmp_path: Path) -> Bundle:
    """A calibrated bundle of `edge_run`, whose threshold is from cross-fitting; a copy that a test may change."""
    return Bundle.open(shutil.copytree(_edge_exported, tmp_path / "edge_bundle"))


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Real pictures; they are not part of the repository."""
    folder = SHARED / "data"
    if not folder.is_dir():
        pytest.skip(f"no real pictures: {folder} is not there")
    return folder


@pytest.fixture(scope="session")
def resnet18_weights() -> Path:
    """ImageNet weights of ResNet18; they are not part of the repository."""
    file = SHARED / "weights" / "resnet18_imagenet_layers123.safetensors"
    if not file.is_file():
        pytest.skip(f"no ImageNet weights: {file} is not there")
    return file
