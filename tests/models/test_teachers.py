"""Teachers: torchvision's ResNets by name and by number, frozen for good."""

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from edgerd.bundle.manifest import PreprocessSpec
from edgerd.data.pictures import read_picture
from edgerd.data.preprocess import prepare
from edgerd.errors import InputError, MissingDependencyError
from edgerd.evaluation.metrics import image_auroc
from edgerd.models.normalise import image_from_frames
from edgerd.models.teachers import TEACHERS, make_teacher
from edgerd.models.weights import load_teacher

RESNETS = {
    # name: convolutions per block, blocks per stage, channels, parameters of torchvision's without layer 4 and fc
    "resnet18": (2, (2, 2, 2), (64, 128, 256), 11_689_512 - 8_393_728 - 513_000),
    "resnet34": (2, (3, 4, 6), (64, 128, 256), 21_797_672 - 13_114_368 - 513_000),
    "resnet50": (3, (3, 4, 6), (256, 512, 1024), 25_557_032 - 14_964_736 - 2_049_000),
    "wide_resnet50_2": (3, (3, 4, 6), (256, 512, 1024), 68_883_240 - 41_971_712 - 2_049_000),
}
BATCHNORM = ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")


def torchvision_keys(n_convolutions, depths):
    """The state-dict keys of torchvision's ResNet, conv1 to layer3."""
    keys = {"conv1.weight", *(f"bn1.{key}" for key in BATCHNORM)}
    for stage, depth in enumerate(depths, start=1):
        for block in (f"layer{stage}.{index}" for index in range(depth)):
            for n in range(1, n_convolutions + 1):
                keys |= {f"{block}.conv{n}.weight", *(f"{block}.bn{n}.{key}" for key in BATCHNORM)}
        if stage > 1 or n_convolutions == 3:  # basic blocks of the first stage change nothing
            first = f"layer{stage}.0.downsample"
            keys |= {f"{first}.0.weight", *(f"{first}.1.{key}" for key in BATCHNORM)}
    return keys


@pytest.fixture(params=RESNETS)
def resnet(request):
    """A teacher without memory for its weights: structure and shapes only."""
    with torch.device("meta"):
        return make_teacher(request.param)


def test_key_names_are_torchvisions(resnet):
    n_convolutions, depths, _, _ = RESNETS[resnet.info.name]
    assert set(resnet.state_dict()) == torchvision_keys(n_convolutions, depths)


def test_parameters_are_torchvisions_without_layer_4_and_classifier(resnet):
    assert sum(p.numel() for p in resnet.parameters()) == RESNETS[resnet.info.name][3]


def test_features_are_layer_1_2_3_at_strides_4_8_16(resnet):
    channels = RESNETS[resnet.info.name][2]
    features = resnet(torch.zeros(2, 3, 256, 192, device="meta"))
    assert [tuple(f.shape) for f in features] == [
        (2, channels[0], 64, 48),
        (2, channels[1], 32, 24),
        (2, channels[2], 16, 12),
    ]
    assert resnet.info.channels == channels
    assert resnet.info.strides == (4, 8, 16)


def test_downloads_are_torchvisions_first_weights_checked_by_the_hash_in_their_names(resnet):
    download = resnet.info.download
    assert download.url.startswith("https://download.pytorch.org/models/")
    assert download.url.endswith(f"{resnet.info.name}-{download.sha256_prefix}.pth")
    assert len(download.sha256_prefix) == 8


@pytest.mark.parametrize("name", ["lite0", "resnet18"])
def test_a_teacher_is_frozen_and_stays_in_eval_mode(name):
    teacher = make_teacher(name)
    before = {key: value.clone() for key, value in teacher.state_dict().items()}
    teacher.train()
    teacher(torch.randn(2, 3, 64, 64))
    assert not any(module.training for module in teacher.modules())
    assert not any(parameter.requires_grad for parameter in teacher.parameters())
    assert all(torch.equal(value, before[key]) for key, value in teacher.state_dict().items())


def test_a_bottleneck_strides_on_its_3x3_as_torchvision_does():
    with torch.device("meta"):
        block = make_teacher("wide_resnet50_2").layer2[0]
    assert [layer.stride for layer in (block.conv1, block.conv2, block.conv3)] == [(1, 1), (2, 2), (1, 1)]
    assert block.conv2.weight.shape == (256, 256, 3, 3)


def test_an_unknown_teacher_is_named_with_the_nearest():
    with pytest.raises(InputError, match="no teacher named 'resnet16'") as caught:
        make_teacher("resnet16")
    assert "resnet18" in caught.value.hint
    assert all(name in caught.value.expected for name in TEACHERS)


def test_timm_that_is_not_installed_says_what_to_install(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "timm", None)
    with pytest.raises(MissingDependencyError, match="timm:mobilenetv3_large_100") as caught:
        make_teacher("timm:mobilenetv3_large_100")
    assert "edgerd[timm]" in caught.value.hint


def test_pictures_are_normalised_as_rgb_on_a_scale_of_1():
    info = make_teacher("lite0").info
    frames = np.random.default_rng(0).integers(0, 256, (2, 4, 6, 3), np.uint8)
    image = image_from_frames(torch.from_numpy(frames), info)
    expected = (frames[..., ::-1] / 255 - np.array(info.mean)) / np.array(info.std)
    np.testing.assert_allclose(image.numpy(), expected.transpose(0, 3, 1, 2), atol=1e-5)


def test_imagenet_weights_tell_bent_metal_nuts_from_good_ones(resnet18_weights, shared_data):
    """The position farthest from all of 24 good pictures, by the cosine of layer 3; random weights give about 0.6."""
    nuts = shared_data / "metal_nut"
    counts = {"train/good": 24, "test/good": 8, "test/bent": 8}
    files = [file for folder, count in counts.items() for file in sorted((nuts / folder).glob("*.png"))[:count]]
    spec = PreprocessSpec(height=128, width=128)
    frames = np.concatenate([prepare(read_picture(file), spec) for file in files])
    teacher = load_teacher("resnet18", resnet18_weights)
    with torch.inference_mode():
        features = teacher(image_from_frames(torch.from_numpy(frames), teacher.info))
    assert all(bool(torch.isfinite(f).all()) and float(f.mean()) > 0 for f in features)
    vectors = F.normalize(features[2], dim=1).flatten(2).transpose(1, 2)
    memory = vectors[:24].flatten(0, 1)
    scores = [float((1 - v @ memory.T).amin(dim=1).max()) for v in vectors[24:]]
    assert image_auroc(scores, [False] * 8 + [True] * 8) > 0.85
