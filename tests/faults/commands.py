"""Commands that write, each as an operation on a small tree, as a user would type it and read what is left."""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import re
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np

from edgerd.bundle.bundle import Bundle
from edgerd.bundle.file import MANIFEST_FILE
from edgerd.cli.main import main
from edgerd.data.pictures import write_png
from edgerd.inspection.inspector import Inspector
from edgerd.paths import exists
from edgerd.recipe import load_recipe
from edgerd.training.checkpoint import Checkpoint
from edgerd.training.restore import networks_in
from edgerd.training.run import RunFolder
from edgerd.training.run_files import RECORD_FILE

SMALL = ("--teacher", "mini", "--image-size", 64, "--threads", 1)
EDGE = ("--steps", 2, "--cross-fit", 2)
RD4AD = ("--method", "rd4ad", "--batch-size", 8)


class CommandError(Exception):
    """A command that ended with another exit code than 0; `err` is what it printed on stderr."""

    def __init__(self, exit_code: int, err: str) -> None:
        super().__init__(f"exit code {exit_code}: {err}")
        self.exit_code = exit_code
        self.err = err


def edgerd(*words: object) -> None:
    """Run a command in this process.

    Raises:
        CommandError: It did.
    """
    err, code = io.StringIO(), None
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(err):
        try:
            main([str(word) for word in words])
        except SystemExit as ended:
            code = ended.code
    if code:
        raise CommandError(int(code), err.getvalue())


def write_pictures(folder: Path, n: int, seed: int) -> Path:
    """A plain folder of pictures of one kind, 70x50 px."""
    rng = np.random.default_rng(seed)
    for index in range(n):
        picture = np.full((50, 70, 3), rng.integers(60, 180, 3), np.uint8)
        picture[10:30, 20 + index % 5 : 50] = rng.integers(0, 256, 3)
        write_png(folder / f"{index}.png", picture)
    return folder


def training(pictures: Path, weights: Path, *options: object) -> Callable[[Path], None]:
    """`edgerd train` into `run`; where there is one, it goes on with --resume, as the command itself proposes."""

    def run(root: Path) -> None:
        resume = ("--resume",) if exists(root / "run" / RECORD_FILE) else ()
        edgerd("train", pictures, "-o", root / "run", *SMALL, "--teacher-weights", weights, *options, *resume)

    return run


def state_of_run(root: Path, steps: int) -> str:
    """What has become of a training: "old" where none has begun, "new" where it is done, "going" in between."""
    if not exists(root / "run" / RECORD_FILE):
        return "old"
    run = RunFolder.open(root / "run")
    assert len(run.training_tiles()) == len(run.record.train)
    assert len(run.holdout_pictures()) == len(run.record.holdout)
    if not exists(run.newest_checkpoint_file):
        return "going"
    checkpoint = Checkpoint.open(run.newest_checkpoint_file)
    networks_in(checkpoint, run)
    return "new" if checkpoint.progress.total_steps == steps else "going"


def state_of_bundle(root: Path, picture: Path, is_new: Callable[[Bundle], bool]) -> str:
    """What has become of a bundle: "old" and "new" are whole, and judge a picture."""
    if not exists(root / "bundle") and not exists(root / ".bundle.old"):
        return "old"
    bundle = Bundle.open(root / "bundle")
    bundle.verify()
    there = {path.relative_to(bundle.path).as_posix() for path in bundle.path.rglob("*") if path.is_file()}
    assert there == {*bundle.manifest.files, MANIFEST_FILE}
    with Inspector.open(bundle.path) as inspector:
        assert inspector.inspect(cv2.imread(str(picture))).score > 0
    return "new" if is_new(bundle) else "old"


def state_of_tuned(root: Path, steps: int) -> str:
    """What has become of a fine-tune for INT8 of so many steps: "old" where another one is there, or none."""
    run = RunFolder.open(root / "run")
    checkpoint = Checkpoint.open(run.newest_checkpoint_file)
    networks_in(checkpoint, run)
    return "new" if checkpoint.progress.tuning_steps == steps else "old"


def state_of_recipe(root: Path) -> str:
    """What has become of a recipe that was not there: "new" where it can be loaded."""
    if not exists(root / "edgerd.toml"):
        return "old"
    return "new" if load_recipe(root / "edgerd.toml").recipe.cameras else "old"


def state_of_report(root: Path, data: Path) -> str:
    """What has become of a report: "new" is one on `data`, "old" another one, or none; its pictures are its own."""
    file = root / "report" / "index.html"
    if not exists(file):
        return "old"
    page = file.read_text(encoding="utf-8")
    assert page.rstrip().endswith("</html>")
    shown = set(re.findall(r"report-pictures/[^\"]+[.]jpg", page))
    assert shown
    for name in shown:
        content = (file.parent / name).read_bytes()
        assert hashlib.sha256(content).hexdigest()[:8] in name
    return "new" if f"on {data.name}" in page else "old"


def state_of_figures(root: Path, threshold: float) -> str:
    """What has become of the figures of an evaluation: "new" are those at this threshold."""
    if not exists(root / "figures.json"):
        return "old"
    return "new" if json.loads((root / "figures.json").read_text())["threshold"] == threshold else "old"


def state_of_demo(root: Path) -> str:
    """What has become of a demo: "old" while it has a report, "new" where parts and line are there and can be read."""
    demo = root / "demo"
    if exists(demo / "report" / "index.html"):
        return "old"
    if not exists(demo / "line.avi.json"):
        return "going"
    pictures = [*demo.rglob("*.png")]
    is_whole = all(cv2.imread(str(file)) is not None for file in pictures)
    return "new" if is_whole and json.loads((demo / "line.avi.json").read_text())["frames"] else "going"
