"""Make the built-in teacher `tiny`: distil ResNet18 on pictures that may be sold, and write its weights.

    python -m tools.distill_tiny --teacher-weights resnet18.safetensors -o tiny.safetensors

About five minutes on one free core of a CPU with AVX512_BF16. The weights are written every few hundred steps, so it
can be stopped at any time. No picture of an inspection data set takes part; `tools/pictures` says which do.
"""

# ruff: noqa: T201  a script prints

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
import torch
from safetensors.torch import save_file
from torch import Tensor

from edgerd.models.distiller import Distiller, distil, feature_statistics
from edgerd.models.normalise import image_from_frames
from edgerd.models.teachers import Teacher, TeacherInfo, make_teacher
from edgerd.models.weights import load_teacher
from tools.pictures import SOURCES, make_pool

SAVE_EVERY_STEPS = 200


def main() -> None:
    """Parse, distil, save."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--teacher-weights", type=Path, required=True, help="ResNet18, .safetensors or .pth")
    parser.add_argument("-o", "--output", type=Path, default=Path("tiny.safetensors"))
    parser.add_argument("--pool", type=Path, default=Path("pool"), help="where the pictures are kept between runs")
    parser.add_argument("--steps", type=int, default=600)
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--crop", type=int, default=160, help="height and width in training, pixels")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()

    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    torch.manual_seed(arguments.seed)
    pools = read_or_make_pools(arguments.pool, arguments.seed)
    large = load_teacher("resnet18", arguments.teacher_weights).to(memory_format=torch.channels_last)
    small = make_teacher("tiny").to(memory_format=torch.channels_last)
    batches = random_batches(pools, large.info, arguments.batch_size, arguments.crop, arguments.seed)
    statistics = feature_statistics(large, (next(batches) for _ in range(20)))
    for step, losses in distil(Distiller(large, small, statistics), batches, arguments.steps):
        if step % 20 == 0:
            text = "  ".join(f"{loss.angle:.3f} {loss.error:.3f} {loss.relation:.4f}" for loss in losses)
            print(f"step {step:5d}  {text}", flush=True)
        if step % SAVE_EVERY_STEPS == 0 or step == arguments.steps:
            save(small, arguments.output)


def read_or_make_pools(folder: Path, seed: int) -> list[npt.NDArray[np.uint8]]:
    """One array of pictures per source, read from `folder` where it has been made before."""
    folder.mkdir(parents=True, exist_ok=True)
    pools = []
    for number, (source, (maker, n_pictures)) in enumerate(SOURCES.items()):
        file = folder / f"{source}.npy"
        if not file.is_file():
            print(f"making pictures: {source}", flush=True)
            np.save(file, make_pool(maker, n_pictures, seed + 1000 * number))
        pools.append(np.load(file, mmap_mode="r"))
    return pools


def random_batches(
    pools: list[npt.NDArray[np.uint8]], info: TeacherInfo, batch_size: int, crop_px: int, seed: int
) -> Iterator[Tensor]:
    """Random crops of the pools, normalised RGB, float32 (batch_size, 3, crop_px, crop_px), without end."""
    rng = np.random.default_rng(seed)
    n_pictures = np.array([len(pool) for pool in pools], np.float64)
    batch = np.empty((batch_size, crop_px, crop_px, 3), np.float32)
    while True:
        for i in range(batch_size):
            pool = pools[rng.choice(len(pools), p=n_pictures / n_pictures.sum())]
            batch[i] = augmented(rng, pool[int(rng.integers(len(pool)))], crop_px)
        yield image_from_frames(torch.from_numpy(batch), info)


def augmented(rng: np.random.Generator, picture: npt.NDArray[np.uint8], crop_px: int) -> npt.NDArray[np.float32]:
    """A random part at random scale, turned, mirrored and brightened: float32 (crop_px, crop_px, 3), 0 to 255."""
    side = int(rng.integers(crop_px * 3 // 4, picture.shape[0] + 1))
    y, x = (int(c) for c in rng.integers(0, picture.shape[0] - side + 1, 2))
    method = cv2.INTER_AREA if side > crop_px else cv2.INTER_LINEAR
    part = cv2.resize(picture[y : y + side, x : x + side], (crop_px, crop_px), interpolation=method)
    part = np.rot90(part, int(rng.integers(4)))
    if rng.random() < 0.5:
        part = part[:, ::-1]
    brightened = part.astype(np.float32) * np.float32(rng.uniform(0.8, 1.2)) + np.float32(rng.normal(0, 8))
    return np.clip(brightened, 0, 255)


def save(teacher: Teacher, file: Path) -> None:
    """Weights as safetensors: convolutions as float16, which loading turns back, BatchNorm as float32."""
    state = {key: value for key, value in teacher.state_dict().items() if not key.endswith("num_batches_tracked")}
    small = {key: value.half() if value.ndim == 4 else value for key, value in state.items()}
    partial = file.with_suffix(".part")
    save_file({key: value.contiguous() for key, value in small.items()}, partial)
    partial.replace(file)


if __name__ == "__main__":
    main()
