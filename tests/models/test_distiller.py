"""Distillation: the small teacher gets closer to the large one, and nothing else is changed."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice, repeat

import pytest
import torch
from torch import Tensor

from edgerd.models.distiller import Distiller, distil, feature_statistics
from edgerd.models.teachers import make_teacher
from edgerd.models.teachers.resnet import ResNet
from edgerd.models.teachers.teacher import TeacherInfo


def _teacher(channels: tuple[int, int, int]) -> ResNet:
    info = TeacherInfo("test", channels, (1, 1, 1))
    teacher = ResNet(info, stem=8)
    teacher.requires_grad_(False).eval()
    return teacher


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def images() -> Tensor:
    torch.manual_seed(0)
    return torch.randn(4, 3, 32, 32)


@pytest.fixture
def distiller(images: Tensor) -> Distiller:
    torch.manual_seed(1)
    large = _teacher((16, 24, 32))
    return Distiller(large, _teacher((8, 12, 16)), feature_statistics(large, [images]))


def test_statistics_are_those_of_all_pictures(images: Tensor) -> None:
    large = _teacher((16, 24, 32))
    statistics = feature_statistics(large, images.split(1))
    for (mean, std), features in zip(statistics, large(images), strict=True):
        torch.testing.assert_close(mean, features.mean(dim=(0, 2, 3)), atol=1e-4, rtol=1e-4)
        torch.testing.assert_close(std, features.std(dim=(0, 2, 3), correction=0), atol=1e-3, rtol=1e-3)


def test_a_channel_that_never_varies_does_no_harm(images: Tensor) -> None:
    large = _teacher((16, 24, 32))
    large.layer1[0].bn2.weight.data[3] = 0.0
    large.layer1[0].downsample[0].weight.data[3] = 0.0
    losses = Distiller(large, _teacher((8, 12, 16)), feature_statistics(large, [images]))(images)
    assert all(bool(torch.isfinite(loss.total)) for loss in losses)


def test_the_loss_falls_at_every_stage(distiller: Distiller, images: Tensor) -> None:
    torch.manual_seed(2)
    history = [[float(loss.total) for loss in losses] for _, losses in distil(distiller, repeat(images), 15)]
    for first, last in zip(history[0], history[-1], strict=True):
        assert last < 0.9 * first


def test_the_large_teacher_is_left_alone(distiller: Distiller, images: Tensor) -> None:
    before = {key: value.clone() for key, value in distiller.large.state_dict().items()}
    list(distil(distiller, repeat(images), 3))
    for key, value in distiller.large.state_dict().items():
        assert torch.equal(value, before[key])


def test_the_small_teacher_collects_statistics_and_ends_in_eval_mode(distiller: Distiller, images: Tensor) -> None:
    before = distiller.small.bn1.running_mean.clone()
    list(distil(distiller, repeat(images), 3))
    assert not torch.equal(distiller.small.bn1.running_mean, before)
    assert not any(module.training for module in distiller.small.modules())


def test_it_can_be_stopped_between_steps(distiller: Distiller, images: Tensor) -> None:
    steps = [step for step, _ in islice(distil(distiller, repeat(images), 1000), 3)]
    assert len(steps) == 3


def test_identical_networks_have_no_relation_loss(images: Tensor) -> None:
    large = _teacher((16, 24, 32))
    twin = _teacher((16, 24, 32))
    twin.load_state_dict(large.state_dict())
    losses = Distiller(large, twin, feature_statistics(large, [images])).eval()(images)
    assert all(float(loss.relation.detach()) < 1e-6 for loss in losses)


def test_the_built_in_teacher_learns_from_resnet18(images: Tensor) -> None:
    large = make_teacher("resnet18")
    distiller = Distiller(large, make_teacher("tiny"), feature_statistics(large, [images]))
    history = [sum(float(loss.total) for loss in losses) for _, losses in distil(distiller, repeat(images), 8)]
    assert history[-1] < history[0]
