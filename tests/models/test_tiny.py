"""The built-in teacher: what ships with the package loads, is small, and sees what is different."""

from __future__ import annotations

from importlib.resources import files

import cv2
import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from edgerd.errors import WeightsError
from edgerd.models.student import make_student
from edgerd.models.teachers import make_teacher
from edgerd.models.weights import load_teacher

WEIGHTS = files("edgerd.models") / "weights" / "tiny.safetensors"


def _striped_board(rng: np.random.Generator) -> np.ndarray:
    """A picture of slanted stripes whose phase and light vary: uint8 (128, 128, 3)."""
    x, y = np.meshgrid(np.arange(128), np.arange(128))
    wave = np.sin((x + 0.5 * y) / 3 + rng.uniform(0, 2 * np.pi))
    grey = 120 + rng.uniform(-10, 10) + 40 * wave + rng.normal(0, 3, (128, 128))
    return np.repeat(grey[..., None], 3, axis=2).clip(0, 255).astype(np.uint8)


def _normalised(pictures: list[np.ndarray]) -> torch.Tensor:
    rgb = np.stack(pictures)[..., ::-1].astype(np.float32) / 255
    mean, std = np.float32([0.485, 0.456, 0.406]), np.float32([0.229, 0.224, 0.225])
    return torch.from_numpy((rgb - mean) / std).permute(0, 3, 1, 2)


def test_loads_without_a_file_or_a_network() -> None:
    teacher = load_teacher("tiny")
    assert not any(parameter.requires_grad for parameter in teacher.parameters())
    assert not teacher.training


def test_the_file_is_small_enough_to_ship() -> None:
    assert len(WEIGHTS.read_bytes()) <= 6_000_000


def test_every_weight_is_finite_and_float() -> None:
    for tensor in load_teacher("tiny").state_dict().values():
        assert bool(torch.isfinite(tensor).all())
        assert tensor.dtype in (torch.float32, torch.int64)


@pytest.mark.parametrize(("height", "width"), [(256, 256), (64, 128)])
def test_features_have_the_declared_channels_and_strides(height: int, width: int) -> None:
    teacher = load_teacher("tiny")
    features = teacher(torch.zeros(2, 3, height, width))
    expected = [
        (2, c, height // s, width // s) for c, s in zip(teacher.info.channels, teacher.info.strides, strict=True)
    ]
    assert [tuple(f.shape) for f in features] == expected


@pytest.mark.parametrize("name", ["full", "light"])
def test_every_student_fits(name: str) -> None:
    teacher = load_teacher("tiny")
    features = teacher(torch.zeros(1, 3, 64, 64))
    reconstruction = make_student(teacher.info, name).eval()(features)
    assert [f.shape for f in reconstruction] == [f.shape for f in features]


def test_no_channel_of_any_stage_is_dead() -> None:
    rng = np.random.default_rng(0)
    pictures = [rng.integers(0, 256, (8, 8, 3), dtype=np.uint8) for _ in range(8)]
    large = [cv2.resize(p, (128, 128), interpolation=cv2.INTER_CUBIC) for p in pictures]
    with torch.inference_mode():
        for features in load_teacher("tiny")(_normalised(large)):
            assert float((features.amax(dim=(0, 2, 3)) == 0).float().mean()) < 0.05


def test_every_stage_tells_a_scratch_from_good_stripes() -> None:
    """Nearest-neighbour distance by cosine: higher at a scratch than anywhere on another good picture."""
    rng = np.random.default_rng(1)
    good = [_striped_board(rng) for _ in range(6)]
    scratched = _striped_board(rng)
    cv2.line(scratched, (40, 80), (90, 50), (225, 225, 225), 3, cv2.LINE_AA)
    with torch.inference_mode():
        stages = load_teacher("tiny")(_normalised([*good, scratched]))
    for features in stages:
        vectors = torch.nn.functional.normalize(features, dim=1).flatten(2).transpose(1, 2)
        memory = vectors[:5].flatten(0, 1)
        distance = (1 - vectors[5:] @ memory.T).amin(dim=2)
        assert float(distance[1].max()) > float(distance[0].max())


def test_a_file_of_another_architecture_is_refused(tmp_path) -> None:
    file = tmp_path / "other.safetensors"
    save_file(make_teacher("resnet18").state_dict(), file)
    with pytest.raises(WeightsError, match="does not fit the teacher tiny"):
        load_teacher("tiny", file)


def test_the_shipped_file_also_works_as_a_file_of_ones_own(tmp_path) -> None:
    file = tmp_path / "tiny.safetensors"
    file.write_bytes(WEIGHTS.read_bytes())
    mine, shipped = load_teacher("tiny", file), load_teacher("tiny")
    assert set(load_file(file)) <= set(mine.state_dict())
    for key, tensor in mine.state_dict().items():
        assert torch.equal(tensor, shipped.state_dict()[key])
