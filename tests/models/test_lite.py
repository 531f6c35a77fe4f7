"""The built-in teacher: its weights load, it computes EfficientNet-Lite0, and its features show defects."""

from __future__ import annotations

import hashlib
import importlib
from importlib.resources import files

import cv2
import numpy as np
import pytest
import torch
from safetensors.numpy import load_file as load_arrays
from safetensors.torch import load_file, save_file

from edgerd.errors import WeightsError
from edgerd.models.student import make_student
from edgerd.models.teachers import make_teacher
from edgerd.models.weights import load_teacher

WEIGHTS = files("edgerd.models") / "weights" / "lite0.safetensors"
SHA256 = "9459a50e3fc41c6ed81ff9b6fef4d96e85a2d0816f22437723201bcfc211dbc5"
EPSILON = 1e-3
STAGES = {
    # the paper's table 1: kernel, stride of the first block, channels out, blocks
    "stage1": (3, 1, 16, 1),
    "stage2": (3, 2, 24, 2),
    "stage3": (5, 2, 40, 2),
    "stage4": (3, 2, 80, 3),
    "stage5": (5, 1, 112, 3),
}


def _striped_board(rng: np.random.Generator) -> np.ndarray:
    """A picture of slanted stripes whose phase and light vary: uint8 (128, 128, 3)."""
    x, y = np.meshgrid(np.arange(128), np.arange(128))
    wave = np.sin((x + 0.5 * y) / 3 + rng.uniform(0, 2 * np.pi))
    grey = 120 + rng.uniform(-10, 10) + 40 * wave + rng.normal(0, 3, (128, 128))
    return np.repeat(grey[..., None], 3, axis=2).clip(0, 255).astype(np.uint8)


def _normalised(pictures: list[np.ndarray]) -> torch.Tensor:
    rgb = np.stack(pictures)[..., ::-1].astype(np.float32)
    return torch.from_numpy((rgb - 127) / 128).permute(0, 3, 1, 2)


def _convolved(x: np.ndarray, weight: np.ndarray, bias: np.ndarray, stride: int = 1) -> np.ndarray:
    """TensorFlow's convolution with padding "SAME" of (C, h, w), by its definition; depthwise where weights say so."""
    kernel = weight.shape[-1]
    pads = [(0, 0)]
    for size in x.shape[1:]:
        total = max((-(-size // stride) - 1) * stride + kernel - size, 0)
        pads.append((total // 2, total - total // 2))
    windows = np.lib.stride_tricks.sliding_window_view(np.pad(x, pads), (kernel, kernel), axis=(1, 2))
    windows = windows[:, ::stride, ::stride]
    form = "chwij,cij->chw" if weight.shape[1] == 1 else "chwij,ocij->ohw"
    weight = weight[:, 0] if weight.shape[1] == 1 else weight
    return np.einsum(form, windows, weight, optimize=True) + bias[:, None, None]


def _expected_features(image: np.ndarray, weights: dict[str, np.ndarray]) -> list[np.ndarray]:
    """Lite0 in NumPy, float64: normalised RGB (3, H, W) -> the outputs of stages 2, 3 and 5."""

    def layer(name: str, x: np.ndarray, stride: int = 1) -> np.ndarray:
        return _convolved(x, weights[f"{name}.weight"], weights[f"{name}.bias"], stride)

    def relu6(x: np.ndarray) -> np.ndarray:
        return np.minimum(np.maximum(x, 0), 6)

    x, found = relu6(layer("stem", image, 2)), []
    for stage, (_, first_stride, channels, n_blocks) in STAGES.items():
        for index in range(n_blocks):
            block, stride, before = f"{stage}.{index}", first_stride if index == 0 else 1, x
            if stage != "stage1":
                x = relu6(layer(f"{block}.expand", x))
            x = layer(f"{block}.project", relu6(layer(f"{block}.depthwise", x, stride)))
            if index > 0:
                x = x + before
            assert x.shape[0] == channels
        found.append(x)
    return [found[1], found[2], found[4]]


def test_loads_without_a_file_or_a_network() -> None:
    teacher = load_teacher("lite0")
    assert not any(parameter.requires_grad for parameter in teacher.parameters())
    assert not teacher.training


def test_the_file_is_the_one_that_its_readme_describes() -> None:
    assert hashlib.sha256(WEIGHTS.read_bytes()).hexdigest() == SHA256
    assert SHA256 in (files("edgerd.models") / "weights" / "README.md").read_text()
    assert len(WEIGHTS.read_bytes()) <= 3_000_000


def test_every_weight_is_finite_and_float() -> None:
    for tensor in load_teacher("lite0").state_dict().values():
        assert bool(torch.isfinite(tensor).all())
        assert tensor.dtype == torch.float32


@pytest.mark.parametrize(("height", "width"), [(64, 64), (32, 96)])
def test_it_is_the_network_of_the_paper_with_tensorflows_padding(height: int, width: int) -> None:
    weights = {name: array.astype(np.float64) for name, array in load_arrays(str(WEIGHTS)).items()}
    image = np.random.default_rng(0).uniform(-1, 1, (3, height, width))
    with torch.inference_mode():
        features = load_teacher("lite0")(torch.from_numpy(image[None].astype(np.float32)))
    for given, expected in zip(features, _expected_features(image, weights), strict=True):
        np.testing.assert_allclose(given[0].numpy(), expected, rtol=0, atol=2e-5 * np.abs(expected).max())


def test_a_picture_is_normalised_as_it_was_trained() -> None:
    info = make_teacher("lite0").info
    for value in (0, 127, 255):
        normalised = [(value / 255 - mean) / std for mean, std in zip(info.mean, info.std, strict=True)]
        assert normalised == pytest.approx([(value - 127) / 128] * 3)


@pytest.mark.parametrize(("height", "width"), [(256, 256), (64, 128), (96, 160), (32, 32)])
def test_features_have_the_declared_channels_and_strides(height: int, width: int) -> None:
    teacher = load_teacher("lite0")
    assert teacher.info.channels == (24, 40, 112)
    features = teacher(torch.zeros(2, 3, height, width))
    assert [tuple(f.shape) for f in features] == [
        (2, c, height // s, width // s) for c, s in zip((24, 40, 112), (4, 8, 16), strict=True)
    ]


def test_features_are_signed_and_a_student_can_follow_them() -> None:
    teacher = load_teacher("lite0")
    features = teacher(torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(0)))
    assert teacher.info.linear
    assert all(0.2 < float((f < 0).float().mean()) < 0.8 for f in features)
    torch.manual_seed(0)
    for name in ("full", "light"):
        student = make_student(teacher.info, name).eval()
        assert all(bool((f < 0).any()) for f in student(features))


@pytest.mark.parametrize("name", ["full", "light"])
def test_every_student_fits(name: str) -> None:
    teacher = load_teacher("lite0")
    features = teacher(torch.zeros(1, 3, 64, 64))
    reconstruction = make_student(teacher.info, name).eval()(features)
    assert [f.shape for f in reconstruction] == [f.shape for f in features]


def test_every_channel_of_every_stage_says_something() -> None:
    rng = np.random.default_rng(0)
    pictures = [rng.integers(0, 256, (8, 8, 3), dtype=np.uint8) for _ in range(8)]
    large = [cv2.resize(p, (128, 128), interpolation=cv2.INTER_CUBIC) for p in pictures]
    with torch.inference_mode():
        for features in load_teacher("lite0")(_normalised(large)):
            assert float(features.std(dim=(0, 2, 3)).min()) > 0


def test_every_stage_tells_a_scratch_from_good_stripes() -> None:
    """Nearest-neighbour distance by cosine: higher at a scratch than anywhere on another good picture."""
    rng = np.random.default_rng(1)
    good = [_striped_board(rng) for _ in range(6)]
    scratched = _striped_board(rng)
    cv2.line(scratched, (40, 80), (90, 50), (225, 225, 225), 3, cv2.LINE_AA)
    with torch.inference_mode():
        stages = load_teacher("lite0")(_normalised([*good, scratched]))
    for features in stages:
        vectors = torch.nn.functional.normalize(features, dim=1).flatten(2).transpose(1, 2)
        memory = vectors[:5].flatten(0, 1)
        distance = (1 - vectors[5:] @ memory.T).amin(dim=2)
        assert float(distance[1].max()) > float(distance[0].max())


def test_a_file_of_another_architecture_is_refused(tmp_path) -> None:
    file = tmp_path / "other.safetensors"
    save_file(make_teacher("resnet18").state_dict(), file)
    with pytest.raises(WeightsError, match="does not fit the teacher lite0"):
        load_teacher("lite0", file)


def test_the_shipped_file_also_works_as_a_file_of_ones_own(tmp_path) -> None:
    file = tmp_path / "lite0.safetensors"
    file.write_bytes(WEIGHTS.read_bytes())
    mine, shipped = load_teacher("lite0", file), load_teacher("lite0")
    assert set(load_file(file)) <= set(mine.state_dict())
    for key, tensor in mine.state_dict().items():
        assert torch.equal(tensor, shipped.state_dict()[key])


def _package_state(rng: torch.Generator) -> dict[str, torch.Tensor]:
    """Weights by the names of the package they come from, random, the classifier included."""

    def convolution(name: str, norm: str, *shape: int) -> dict[str, torch.Tensor]:
        parts = {"weight": 1.0, "bias": 0.0, "running_mean": 0.0}
        noise = {f"{norm}.{part}": base + 0.2 * torch.randn(shape[0], generator=rng) for part, base in parts.items()}
        variance = {f"{norm}.running_var": 0.5 + torch.rand(shape[0], generator=rng)}
        weight = torch.randn(*shape, generator=rng) / np.sqrt(np.prod(shape[1:]))
        return {f"{name}.weight": weight, **noise, **variance, f"{norm}.num_batches_tracked": torch.tensor(1)}

    state, number, before = convolution("_conv_stem", "_bn0", 32, 3, 3, 3), 0, 32
    for stage, (kernel, _, channels, n_blocks) in STAGES.items():
        for _ in range(n_blocks):
            block, width = f"_blocks.{number}.", before * (1 if stage == "stage1" else 6)
            if stage != "stage1":
                state |= convolution(f"{block}_expand_conv", f"{block}_bn0", width, before, 1, 1)
            state |= convolution(f"{block}_depthwise_conv", f"{block}_bn1", width, 1, kernel, kernel)
            state |= convolution(f"{block}_project_conv", f"{block}_bn2", channels, width, 1, 1)
            number, before = number + 1, channels
    return state | {"_fc.weight": torch.zeros(1000, 1280)}


def test_the_tool_folds_every_batchnorm_into_its_convolution() -> None:
    tool = importlib.import_module("tools.convert_lite0")
    theirs = _package_state(torch.Generator().manual_seed(0))
    ours = tool.converted(theirs)
    assert ours.keys() == make_teacher("lite0").state_dict().keys()
    pairs = [("stem", "_conv_stem", "_bn0"), ("stage5.2.expand", "_blocks.10._expand_conv", "_blocks.10._bn0")]
    pairs += [("stage1.0.project", "_blocks.0._project_conv", "_blocks.0._bn2")]
    for name, convolution, norm in pairs:
        mean, variance = theirs[f"{norm}.running_mean"], theirs[f"{norm}.running_var"]
        weight = theirs[f"{convolution}.weight"]
        x = torch.randn(1, weight.shape[1], 5, 5, generator=torch.Generator().manual_seed(1))
        y = torch.nn.functional.conv2d(x, weight)
        gain, bias = theirs[f"{norm}.weight"], theirs[f"{norm}.bias"]
        expected = torch.nn.functional.batch_norm(y, mean, variance, gain, bias, eps=EPSILON)
        given = torch.nn.functional.conv2d(x, ours[f"{name}.weight"], ours[f"{name}.bias"])
        torch.testing.assert_close(given, expected, rtol=1e-5, atol=1e-5)
