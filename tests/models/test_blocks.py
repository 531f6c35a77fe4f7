"""Residual blocks: shapes, where the resampling sits, and how RD4AD starts them."""

import math

import pytest
import torch
from torch import nn

from edgerd.models.blocks import BlockSpec, conv_bn_relu_down, initialise

SPECS = [BlockSpec("basic"), BlockSpec("bottleneck"), BlockSpec("bottleneck", base_width=128)]
PLACES = list(zip(SPECS, ["conv1", "conv2", "conv2"], strict=True))


def layers_of(module, kind):
    return {name: layer for name, layer in module.named_modules() if isinstance(layer, kind)}


@pytest.mark.parametrize("spec", SPECS, ids=str)
@pytest.mark.parametrize(("resample", "size"), [("none", (8, 12)), ("down", (4, 6)), ("up", (16, 24))])
def test_a_block_changes_channels_and_resolution(spec, resample, size):
    block = spec.make(32, 64, resample)
    assert block(torch.randn(2, 32, 8, 12)).shape == (2, 64, *size)


@pytest.mark.parametrize("spec", SPECS, ids=str)
def test_the_shortcut_is_the_picture_itself_where_nothing_changes(spec):
    block = spec.make(64, 64).eval()
    for layer in layers_of(block, nn.Conv2d).values():
        nn.init.zeros_(layer.weight)
    x = torch.rand(1, 64, 4, 4)
    assert block.downsample is None
    torch.testing.assert_close(block(x), x)


@pytest.mark.parametrize(("spec", "main"), PLACES, ids=str)
def test_doubling_is_a_2x2_transposed_convolution_in_main_and_skip_path(spec, main):
    block = spec.make(128, 64, "up")
    transposed = layers_of(block, nn.ConvTranspose2d)
    assert set(transposed) == {main, "downsample.0"}
    assert all(layer.kernel_size == layer.stride == (2, 2) for layer in transposed.values())
    assert all(layer.bias is None for layer in transposed.values())


@pytest.mark.parametrize(("spec", "main"), PLACES, ids=str)
def test_halving_sits_on_the_3x3_and_the_1x1_of_the_shortcut(spec, main):
    block = spec.make(64, 128, "down")
    strided = {name: layer for name, layer in layers_of(block, nn.Conv2d).items() if layer.stride == (2, 2)}
    assert {name: layer.kernel_size for name, layer in strided.items()} == {main: (3, 3), "downsample.0": (1, 1)}


def test_a_bottleneck_is_four_times_wider_outside_and_a_wide_one_twice_as_wide_inside():
    plain, wide = (BlockSpec("bottleneck", width).make(256, 256) for width in (64, 128))
    assert plain.conv2.weight.shape == (64, 64, 3, 3)
    assert wide.conv2.weight.shape == (128, 128, 3, 3)
    assert plain.conv3.weight.shape[0] == wide.conv3.weight.shape[0] == 256


@pytest.mark.parametrize("spec", SPECS, ids=str)
def test_only_the_first_block_of_a_stage_resamples(spec):
    stage = spec.make_stage(64, 128, 3, "down")
    assert [block.downsample is not None for block in stage] == [True, False, False]
    assert stage(torch.randn(1, 64, 8, 8)).shape == (1, 128, 4, 4)


def test_scales_are_brought_down_by_convolution_batchnorm_and_relu():
    down = conv_bn_relu_down(8, 16)
    assert [type(layer) for layer in down] == [nn.Conv2d, nn.BatchNorm2d, nn.ReLU]
    assert down(torch.randn(2, 8, 16, 16)).shape == (2, 16, 8, 8)


def test_kaiming_is_for_convolutions_only():
    torch.manual_seed(0)
    module = nn.Sequential(nn.Conv2d(64, 128, 3, bias=False), nn.ConvTranspose2d(128, 64, 2), nn.BatchNorm2d(64))
    before = {key: value.clone() for key, value in module.state_dict().items()}
    initialise(module)
    after = module.state_dict()
    changed = {key for key in before if not torch.equal(before[key], after[key])}
    assert changed == {"0.weight"}
    fan_out = 128 * 3 * 3
    assert float(after["0.weight"].std()) == pytest.approx(math.sqrt(2 / fan_out), rel=0.02)
