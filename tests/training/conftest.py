import numpy as np
import pytest

from edgerd.bundle.manifest import PreprocessSpec
from edgerd.data.pictures import write_png
from edgerd.models.teachers import TEACHERS
from edgerd.training.run import RunFolder, TrainingConfig

RD4AD = {"teacher": "mini", "method": "rd4ad", "student": "full", "holdout": 0.1}
EDGE = {"teacher": "mini", "method": "edge", "cross_fit": 3, "steps": 4, "batch_size": 5}


@pytest.fixture(autouse=True)
def _mini_teacher(monkeypatch):
    """The teacher "mini" is in the table of teachers while a test runs."""
    monkeypatch.setitem(TEACHERS, "mini", "mini_teacher:mini")


@pytest.fixture
def pictures(tmp_path):
    """A plain folder of 24 pictures, 70x50 px: 8 are held out, 16 remain."""
    rng = np.random.default_rng(0)
    for index in range(24):
        picture = np.full((50, 70, 3), rng.integers(60, 180, 3), np.uint8)
        picture[10:30, 20 + index % 5 : 50] = rng.integers(0, 256, 3)
        write_png(tmp_path / "pictures" / f"{index}.png", picture)
    return tmp_path / "pictures"


@pytest.fixture
def new_run(tmp_path, pictures):
    """Prepare another run of method rd4ad on the pictures: 3 batches of 5, 5 and 6 make an epoch."""

    def prepare(name="run", **settings):
        settings = RD4AD | {"batch_size": 5, "preprocess": PreprocessSpec(height=64, width=64)} | settings
        return RunFolder.prepare(tmp_path / name, pictures, TrainingConfig(**settings))

    return prepare


@pytest.fixture
def new_edge_run(tmp_path, pictures):
    """Prepare another run of method edge on the pictures: 3 folds of 8, 4 steps for each of 4 students."""

    def prepare(name="run", data=pictures, **settings):
        settings = EDGE | {"preprocess": PreprocessSpec(height=64, width=64)} | settings
        return RunFolder.prepare(tmp_path / name, data, TrainingConfig(**settings))

    return prepare
