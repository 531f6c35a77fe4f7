"""Method `edge`, and `prototypes`, which is the same without a student.

1. Compute the teacher's features of every good picture, once.
2. Choose prototypes, and fit the statistics of each position. Make maps of each picture by those of all others.
3. Train students: one for each of K folds, on the other folds, which then makes maps of its fold; and one on all
   pictures, which is kept.
4. So every picture has honest maps: maps by models that never saw it. They show how much each kind of map varies on
   good parts, which decides its weight, and give the scores that the threshold is found from. This is cross-conformal
   prediction (Vovk, "Cross-conformal predictors", 2015; CV+, Barber et al., "Predictive inference with the
   jackknife+", Annals of Statistics 2021; for anomalies Hennhoefer and Preisach, arXiv:2402.16388).

Why these maps and these weights: docs/decisions/edge-method.md.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from itertools import count

import numpy as np
import numpy.typing as npt
import torch
from safetensors.torch import load_file

from edgerd.bundle.manifest import CrossFitRecord
from edgerd.models.positions import Positions
from edgerd.models.prototypes import N_PROTOTYPES, WINDOWS, Prototypes
from edgerd.models.teachers import Teacher, TeacherInfo
from edgerd.paths import exists
from edgerd.storage import storage_errors
from edgerd.training.checkpoint import Checkpoint, Progress, save_checkpoint
from edgerd.training.choose_prototypes import choose_prototypes, honest_maps
from edgerd.training.device import DeviceName, deterministic, torch_device
from edgerd.training.fusion_weights import fusion_of, scores_of_tiles
from edgerd.training.methods import make_method
from edgerd.training.position_statistics import position_statistics
from edgerd.training.restore import restore
from edgerd.training.run import RunFolder
from edgerd.training.step_report import StepReport
from edgerd.training.stored_features import FeatureStore, compute_features
from edgerd.training.student_processes import run_jobs
from edgerd.training.students import StudentJob
from edgerd.types import Float32Array

STEPS = 200
_SMALLEST_DISTANCE_SHARE = 0.1
"""Distances to prototypes below this share of a good picture's usual largest one are raised to it, so that rounding
does not change them."""
_STUDENTS_FOLDER = "students"
_FEATURES_FOLDER = "features"


@dataclass(frozen=True, eq=False)
class _HonestMaps:
    """Maps of every tile by models that never saw its picture.

    Attributes:
        maps: In the order in which they are fused, each float32 (tiles, h_k, w_k).
        folds: How many parts the pictures were divided into; each part was left out once.
    """

    maps: tuple[Float32Array, ...]
    folds: int


@dataclass(frozen=True, eq=False)
class Known:
    """What is known of good parts without training.

    Attributes:
        prototypes: Patches that stand for all.
        positions: Statistics of each position.
        maps: Honest maps of every tile: one per bank of prototypes, then the position statistics' map; each float32
            (tiles, h3, w3).
    """

    prototypes: Prototypes
    positions: Positions
    maps: tuple[Float32Array, ...]


@deterministic()
def train_edge(
    run: RunFolder,
    teacher: Teacher,
    *,
    device: DeviceName = "auto",
    processes: int = 1,
    on_step: Callable[[StepReport], None] = lambda _: None,
    say: Callable[[str], None] = lambda _: None,
    should_stop: Callable[[], bool] = lambda: False,
) -> Progress:
    """Train in the four steps above; students that an earlier call has finished are not trained again.

    A run that is stopped after its prototypes were chosen can be exported. It has no student then, or the one from
    before it was asked for another number of steps.

    Args:
        run: Prepared, with method "edge" or "prototypes".
        teacher: Pretrained; moved to the device. Where there is a checkpoint, the teacher is filled from it.
        device: "auto" takes CUDA where there is a CUDA device.
        processes: Students that are trained at the same time on a CPU.
        on_step: Called after each step of any student.
        say: Called with a line of text for each stage of the work.
        should_stop: Asked after each step, and between students; True stops the training.

    Returns:
        How far training is: `total_steps` counts the steps of the student that is kept.

    Raises:
        WeightsError: A loss is not finite, or the checkpoint cannot be used.
        InputError: The run's pictures cannot be read.
        MissingDependencyError: "cuda" without a CUDA device.
        StorageError: Disk full.
    """
    config, target = run.record.config, torch_device(device)
    n_steps = (config.steps or STEPS) if make_method(config.method).has_student else 0
    before = Checkpoint.open(run.checkpoint_file) if exists(run.checkpoint_file) else None
    if before:
        restore(teacher, None, before, run)
        if before.progress.total_steps == n_steps:
            _remove_intermediate(run)  # of a process that was killed before it did
            return before.progress
    height, width = config.preprocess.height, config.preprocess.width
    n_tiles = config.preprocess.n_tiles
    tiles = run.training_tiles()
    owners = np.repeat(np.arange(len(tiles) // n_tiles), n_tiles)

    say(f"Reading the teacher's features of {len(tiles)} {'tiles' if n_tiles > 1 else 'pictures'}.")
    store = compute_features(teacher.to(target), tiles, run.path / _FEATURES_FOLDER)
    say(f"Choosing {N_PROTOTYPES} prototypes for each of {len(WINDOWS)} maps.")
    known = fit_known(store, owners, teacher.info, config.seed)
    if not before:
        _save(run, teacher, Progress(), {}, known, _HonestMaps(known.maps, len(tiles) // n_tiles), (height, width))
    if not n_steps:
        _remove_intermediate(run)
        return Progress()

    jobs = _jobs(run, store, owners, n_steps)
    todo = [job for job in jobs if not exists(job.file)]
    say(f"Training {len(todo)} students: one that is kept, and one for each fold of pictures that it does not see.")
    on_loss = _step_reports(on_step, n_steps, len(jobs), n_done=(len(jobs) - len(todo)) * n_steps)
    if not run_jobs(todo, processes, target, on_loss, should_stop):
        return before.progress if before else Progress()
    student_maps = _fold_maps(jobs[1:], len(store))
    student = {
        key.removeprefix("student."): value
        for key, value in load_file(jobs[0].file).items()
        if key.startswith("student.")
    }
    done = Progress(total_steps=n_steps)
    honest = _HonestMaps((*student_maps, *known.maps), len(jobs) - 1)
    _save(run, teacher, done, student, known, honest, (height, width))
    _remove_intermediate(run)
    return done


def _step_reports(
    on_step: Callable[[StepReport], None], n_steps: int, n_students: int, n_done: int
) -> Callable[[str, float], None]:
    """What `run_jobs` is to call after each step: it counts the steps of all students together, and reports them.

    Args:
        on_step: Takes the reports.
        n_steps: Steps of each student.
        n_students: How many students there are, with those that were finished earlier.
        n_done: Steps of those that were finished earlier.
    """
    numbers = count(n_done)

    def on_loss(_: str, loss: float) -> None:
        number = next(numbers)
        student, step = divmod(number, n_steps)
        progress = Progress(student, step + 1, number + 1)
        on_step(StepReport(progress, n_students * n_steps, n_steps, loss, "student"))

    return on_loss


def _remove_intermediate(run: RunFolder) -> None:
    """Remove what only a training that goes on needs."""
    for folder in (_FEATURES_FOLDER, _STUDENTS_FOLDER):
        shutil.rmtree(run.path / folder, ignore_errors=True)


def fit_known(store: FeatureStore, owners: npt.NDArray[np.intp], info: TeacherInfo, seed: int) -> Known:
    """Choose prototypes and fit the statistics of positions.

    Args:
        store: Features of the good pictures' tiles.
        owners: intp (tiles,): index of each tile's picture, in ascending order; two pictures at least.
        info: The teacher that the features are from.
        seed: Seed of the random patches that prototypes are chosen from.
    """
    chosen = choose_prototypes(store, owners, info, seed, N_PROTOTYPES)
    prototypes, bank_maps = chosen.prototypes, honest_maps(chosen, store, owners)
    prototypes.nearest[:] = torch.tensor(
        [_SMALLEST_DISTANCE_SHARE * float(maps.max((1, 2)).mean()) for maps in bank_maps]
    )
    nearest = prototypes.nearest.numpy()
    positions, position_maps = position_statistics(store, owners, info)
    return Known(prototypes, positions, (*map(np.maximum, bank_maps, nearest), position_maps))


def fold_of_pictures(n: int, folds: int, seed: int) -> npt.NDArray[np.intp]:
    """A random fold for each of n pictures, folds as equal in size as possible: intp (n,), 0 to folds - 1."""
    return np.random.default_rng([seed, folds]).permutation(np.arange(n) % folds)


def _jobs(run: RunFolder, store: FeatureStore, owners: npt.NDArray[np.intp], n_steps: int) -> list[StudentJob]:
    """The job of the student that is trained on all pictures, then one job for each fold."""
    config = run.record.config
    n_pictures = int(owners[-1]) + 1
    n_folds = min(config.cross_fit, n_pictures)
    fold = fold_of_pictures(n_pictures, n_folds, config.seed)[owners]
    rows = np.arange(len(store))
    folder = run.path / _STUDENTS_FOLDER
    with storage_errors(folder, "Free some space, then go on with --resume."):
        folder.mkdir(exist_ok=True)

    def job(name: str, rows: npt.NDArray[np.intp], map_rows: npt.NDArray[np.intp]) -> StudentJob:
        return StudentJob(
            name=name,
            teacher=config.teacher,
            student=config.student,
            finest=make_method(config.method).finest,
            features=run.path / _FEATURES_FOLDER,
            rows=rows,
            map_rows=map_rows,
            steps=n_steps,
            batch_size=config.batch_size,
            seed=config.seed,
            file=folder / f"{name.replace(' ', '_')}_{n_steps}.safetensors",
        )

    by_fold = [job(f"fold {k + 1} of {n_folds}", rows[fold != k], rows[fold == k]) for k in range(n_folds)]
    return [job("all pictures", rows, rows[:0]), *by_fold]


def _fold_maps(jobs: list[StudentJob], n_tiles: int) -> tuple[Float32Array, ...]:
    """The maps that the folds' students made, put together: per scale float32 (n_tiles, h_k, w_k)."""
    maps: list[Float32Array] = []
    for job in jobs:
        found = load_file(job.file)
        for index in range(3 - job.finest):
            one = found[f"map.{index}"].numpy()
            if len(maps) <= index:
                maps.append(np.zeros((n_tiles, *one.shape[1:]), np.float32))
            maps[index][job.map_rows] = one
    return tuple(maps)


def _save(
    run: RunFolder,
    teacher: Teacher,
    progress: Progress,
    student: dict[str, torch.Tensor],
    known: Known,
    honest: _HonestMaps,
    size: tuple[int, int],
) -> None:
    spec = run.record.config.preprocess
    padded = run.training_tiles() if spec.aspect == "letterbox" else None
    fusion = fusion_of(honest.maps, size, padded)
    scores = scores_of_tiles(honest.maps, fusion, size, padded).reshape(-1, spec.n_tiles).max(1)
    save_checkpoint(
        run.checkpoint_file,
        progress,
        student,
        teacher.state_dict(),
        prototypes=known.prototypes.state_dict(),
        positions=known.positions.state_dict(),
        fusion=fusion,
        cross_fit=CrossFitRecord(folds=honest.folds, scores=tuple(float(score) for score in scores)),
    )
