"""Fake quantization: the levels of 8 bits, gradients that pass, and networks that stay what they are."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from mini_teacher import pretrained
from torch import nn

from edgerd.errors import InputError
from edgerd.models.fake_quantize import N_LEVELS, WEIGHT_LIMIT, Traced, rounded_weight
from edgerd.models.student import make_student
from edgerd.models.teachers.resnet import ResNet
from edgerd.models.teachers.teacher import TeacherInfo


def convolution(seed, transposed):
    torch.manual_seed(seed)
    return nn.ConvTranspose2d(5, 3, 2, stride=2, bias=False) if transposed else nn.Conv2d(5, 3, 3, bias=False)


def per_scale(weight, transposed):
    """One row per scale."""
    return weight.flatten(1).T if transposed else weight.flatten(1)


@given(seed=st.integers(0, 1000), transposed=st.booleans())
def test_weights_are_on_the_levels_of_their_channel(seed, transposed):
    layer = convolution(seed, transposed)
    rows, rounded = (per_scale(w.detach(), transposed) for w in (layer.weight, rounded_weight(layer)))
    scales = rows.abs().amax(dim=1, keepdim=True) / WEIGHT_LIMIT
    integers = rounded / scales
    assert torch.allclose(integers, integers.round(), atol=1e-3)
    assert float(integers.abs().max()) <= WEIGHT_LIMIT + 1e-3
    assert bool(((rounded - rows).abs() <= 0.5001 * scales).all())


@given(seed=st.integers(0, 1000), factor=st.sampled_from([0.25, -2.0, 8.0]))
def test_what_batchnorm_multiplies_a_channel_with_changes_no_rounding(seed, factor):
    """Scales that are powers of two: exact in float, so that no value changes its level by accident."""
    layer = convolution(seed, transposed=False)
    before = rounded_weight(layer)[1] * factor
    with torch.no_grad():
        layer.weight[1] *= factor
    assert torch.equal(rounded_weight(layer)[1], before)


def test_a_channel_of_zeros_stays_one():
    layer = convolution(0, transposed=False)
    with torch.no_grad():
        layer.weight[2] = 0
    assert not rounded_weight(layer)[2].any()


@pytest.fixture(params=["full", "light"])
def networks(request):
    teacher = pretrained()
    return teacher, make_student(teacher.info, request.param).eval()


def image():
    return torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))


def test_without_rounding_they_give_what_the_networks_give(networks):
    teacher, student = networks
    seen = []
    traced = Traced(teacher, student)
    wanted, given_ = traced.features(image(), lambda name, _: seen.append(name))
    expected = teacher(image())
    for ours, theirs in zip((*wanted, *given_), (*expected, *student(expected)), strict=True):
        assert not ours.requires_grad
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-4)
    assert tuple(seen) == traced.activations


def scales_of(traced):
    """Levels from the lowest to the highest value on the frames."""
    found = []

    def note(_, value):
        low, high = min(float(value.min()), 0.0), max(float(value.max()), 0.0)
        scale = max((high - low) / (N_LEVELS - 1), 1e-12)
        found.append((scale, round(-low / scale)))

    traced.features(image(), note)
    return torch.tensor(found, dtype=torch.float64)


def test_with_rounding_they_are_close_and_not_the_same(networks):
    traced = Traced(*networks)
    exact = traced.features(image(), lambda *_: None)
    with torch.no_grad():
        rounded = traced.rounded_features(image(), scales_of(traced))
    for ours, theirs in zip(rounded[1], exact[1], strict=True):
        error = float((ours - theirs).norm() / theirs.norm())
        assert 1e-4 < error < 0.1


def test_what_the_head_reads_is_not_rounded_and_what_convolutions_read_is(networks):
    traced = Traced(*networks)
    scales = scales_of(traced)
    read = []
    networks[1].bottleneck.down1[0][0].register_forward_pre_hook(lambda _, args: read.append(args[0]))
    finest, _, _ = traced.rounded_features(image(), scales)[0]
    (rounded,) = read
    assert rounded.unique().numel() <= N_LEVELS < finest.unique().numel()
    torch.testing.assert_close(rounded, finest, rtol=0, atol=float(scales[:, 0].max()))


def test_the_first_convolution_computes_on_the_picture_as_it_is(networks):
    made = []
    networks[0].conv1.register_forward_hook(lambda *call: made.append(call[2]))
    traced = Traced(*networks)
    scales = scales_of(traced)
    traced.rounded_features(image(), scales)
    assert torch.equal(*made)


def test_gradients_reach_every_parameter_of_the_student_and_none_of_the_teacher(networks):
    teacher, student = networks
    before = {key: value.clone() for key, value in (teacher.state_dict() | student.state_dict()).items()}
    traced = Traced(teacher, student)
    _, given_ = traced.rounded_features(image(), scales_of(traced))
    sum(features.square().mean() for features in given_).backward()
    assert all(p.grad is not None and bool(p.grad.isfinite().all()) for p in student.parameters())
    assert any(float(p.grad.abs().max()) > 0 for p in student.bottleneck.parameters())
    assert all(p.grad is None for p in teacher.parameters())
    after = teacher.state_dict() | student.state_dict()
    assert after.keys() == before.keys()
    assert all(torch.equal(after[key], before[key]) for key in before)


def test_a_teacher_that_looks_at_values_is_named(networks):
    class Choosy(ResNet):
        def forward(self, image):
            return super().forward(image if image.mean() > 0 else -image)

    teacher = Choosy(TeacherInfo("choosy", (8, 12, 16), (1, 1, 1)), stem=8).eval()
    with pytest.raises(InputError, match="The teacher choosy cannot be computed in INT8"):
        Traced(teacher, networks[1])
