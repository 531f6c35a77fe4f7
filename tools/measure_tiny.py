"""Measure the built-in teacher against ResNet18 and against random weights, on pictures that its training never saw.

    python -m tools.measure_tiny --teacher-weights resnet18.safetensors [--against FILE]

Prints the tables of `edgerd/models/weights/README.md`. About a quarter of an hour on one core.
"""

# ruff: noqa: T201  a script prints

from __future__ import annotations

import argparse
from collections.abc import Callable
from itertools import cycle, islice
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional as F

from edgerd.data.samples import KINDS, defects_of, render
from edgerd.evaluation.metrics import image_auroc
from edgerd.models.normalise import image_from_frames
from edgerd.models.student import make_student
from edgerd.models.teachers import Teacher, make_teacher
from edgerd.models.weights import load_teacher
from edgerd.training.methods import make_method
from tools.pictures import SOURCES, make_pool
from tools.pictures.photographs import held_out_crop

HELD_OUT_SEED = 90_000_000
N_GOOD, N_PER_DEFECT = 40, 10
RD_STEPS, RD_BATCH = 100, 8

Pictures = npt.NDArray[np.uint8]
Features = tuple[Tensor, ...]


def main() -> None:
    """Parse, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--teacher-weights", type=Path, required=True, help="ResNet18, .safetensors or .pth")
    parser.add_argument("--against", type=Path, help="other weights of tiny, to be compared with the package's")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    torch.manual_seed(0)
    large = load_teacher("resnet18", arguments.teacher_weights)
    teachers = {"tiny": load_teacher("tiny")}
    if arguments.against:
        teachers[arguments.against.stem] = load_teacher("tiny", arguments.against)
    teachers["random weights"] = make_teacher("tiny")
    print_similarity(teachers, large)
    teachers["resnet18"] = large
    print_auroc("nearest neighbour", teachers, nearest_neighbour_scores)
    print_auroc(f"reverse distillation, {RD_STEPS} steps", teachers, reverse_distillation_scores)


def print_similarity(teachers: dict[str, Teacher], large: Teacher) -> None:
    """Cosine to ResNet18's standardised features after the best linear map, per source of pictures and stage."""
    pools = {source: make_pool(maker, 60, HELD_OUT_SEED) for source, (maker, _) in SOURCES.items()}
    for_the_maps = np.concatenate([pool[:20] for pool in pools.values()])
    pools["photographs never seen"] = make_pool(held_out_crop, 60, HELD_OUT_SEED)
    pools["sample parts"] = np.stack([render(kind, HELD_OUT_SEED + i).picture for kind in KINDS for i in range(20)])
    print("| pictures | " + " | ".join(teachers) + " |\n|---|" + "---|" * len(teachers))
    maps = {
        name: linear_maps(features_of(teacher, for_the_maps), features_of(large, for_the_maps))
        for name, teacher in teachers.items()
    }
    for source, pool in pools.items():
        wanted = features_of(large, pool[20:])
        cells = []
        for name, teacher in teachers.items():
            given = features_of(teacher, pool[20:])
            cosines = [cosine(*stage) for stage in zip(maps[name], given, wanted, strict=True)]
            cells.append(" ".join(f"{value:.3f}" for value in cosines))
        print(f"| {source} | " + " | ".join(cells) + " |", flush=True)
    print()


def features_of(teacher: Teacher, pictures: Pictures) -> Features:
    """The three stages of all pictures, float32 (N, C, h, w)."""
    with torch.inference_mode():
        parts = [teacher(image_from_frames(torch.from_numpy(b), teacher.info)) for b in np.array_split(pictures, 10)]
    return tuple(torch.cat(stage) for stage in zip(*parts, strict=True))


def linear_maps(given: Features, wanted: Features) -> list[tuple[Tensor, Tensor, Tensor]]:
    """Per stage: least squares from one network's features to the other's, and the latter's mean and deviation.

    In float64 and with a little ridge, since channels of random weights are nearly the same.
    """
    maps = []
    for x, y in zip(map(positions, given), map(positions, wanted), strict=True):
        mean, std = y.mean(dim=0), y.std(dim=0) + 1e-6
        a, b = with_bias(x).double(), ((y - mean) / std).double()
        gram = a.T @ a
        ridge = 1e-6 * gram.diagonal().mean() * torch.eye(len(gram), dtype=torch.float64)
        maps.append((torch.linalg.solve(gram + ridge, a.T @ b).float(), mean, std))
    return maps


def cosine(fitted: tuple[Tensor, Tensor, Tensor], given: Tensor, wanted: Tensor) -> float:
    """Mean cosine over all positions between mapped and standardised wanted features."""
    weights, mean, std = fitted
    return float(F.cosine_similarity(with_bias(positions(given)) @ weights, (positions(wanted) - mean) / std).mean())


def positions(features: Tensor) -> Tensor:
    """(N, C, h, w) -> (N h w, C)."""
    return features.permute(0, 2, 3, 1).flatten(0, 2)


def with_bias(x: Tensor) -> Tensor:
    """A column of ones beside the features."""
    return torch.cat([x, torch.ones(len(x), 1)], dim=1)


def print_auroc(
    title: str,
    teachers: dict[str, Teacher],
    scores_of: Callable[[Teacher, Pictures, Pictures], npt.NDArray[np.float32]],
) -> None:
    """Image AUROC on sample parts, per kind and teacher; the three columns of stages, then all together."""
    print(f"| {title} | " + " | ".join(teachers) + " |\n|---|" + "---|" * len(teachers))
    for kind in KINDS:
        good = np.stack([render(kind, HELD_OUT_SEED + i).picture for i in range(N_GOOD)])
        wanted = [None] * N_GOOD + [defect for defect in defects_of(kind) for _ in range(N_PER_DEFECT)]
        test = np.stack([render(kind, HELD_OUT_SEED + N_GOOD + i, defect).picture for i, defect in enumerate(wanted)])
        labels = [defect is not None for defect in wanted]
        cells = []
        for teacher in teachers.values():
            scores = scores_of(teacher, good, test)
            cells.append(" ".join(f"{image_auroc(column, labels):.3f}" for column in scores.T))
        print(f"| {kind} | " + " | ".join(cells) + " |", flush=True)
    print()


def nearest_neighbour_scores(teacher: Teacher, good: Pictures, test: Pictures) -> npt.NDArray[np.float32]:
    """Largest cosine distance of any position to its nearest among good parts, (n, 4): each stage, then their sum."""
    distances = []
    for memory, features in zip(features_of(teacher, good), features_of(teacher, test), strict=True):
        known = F.normalize(positions(memory), dim=1)
        known = known[torch.randperm(len(known))[:8000]]
        flat = F.normalize(features, dim=1)
        nearest = [1 - (known @ picture.flatten(1)).amax(dim=0).view(picture.shape[1:]) for picture in flat]
        distances.append(torch.stack(nearest))
    return peaks(distances)


def reverse_distillation_scores(teacher: Teacher, good: Pictures, test: Pictures) -> npt.NDArray[np.float32]:
    """Train a student for a short while; the peaks of 1 - cosine, (n, 4): each stage, then their sum."""
    torch.manual_seed(0)
    method = make_method("rd4ad")
    student = make_student(teacher.info).train()
    optimiser = method.optimiser(student.parameters())
    wanted = features_of(teacher, good)
    for batch in islice(cycle(torch.arange(len(good)).split(RD_BATCH)), RD_STEPS):
        targets = tuple(stage[batch] for stage in wanted)
        loss = method.loss(targets, student(targets))
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    student.eval()
    features = features_of(teacher, test)
    with torch.inference_mode():
        parts = [student(tuple(stage[i : i + 10] for stage in features)) for i in range(0, len(test), 10)]
    rebuilt = [torch.cat(stage) for stage in zip(*parts, strict=True)]
    return peaks([1 - F.cosine_similarity(a, b, dim=1) for a, b in zip(features, rebuilt, strict=True)])


def peaks(maps: list[Tensor]) -> npt.NDArray[np.float32]:
    """Maximum of each stage's map (n, h, w) and of their sum at the finest size, smoothed as the fused graph does."""
    size = maps[0].shape[1:]
    fine = [F.interpolate(m[:, None], size, mode="bilinear", align_corners=True)[:, 0].numpy() for m in maps]
    smooth = [np.stack([cv2.GaussianBlur(picture, (0, 0), 1.0) for picture in m]) for m in [*fine, sum(fine)]]
    return np.stack([m.max(axis=(1, 2)) for m in smooth], axis=1)


if __name__ == "__main__":
    main()
