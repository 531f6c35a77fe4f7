"""The student: RD4AD's embedding and decoder, to the block and to the parameter."""

import pytest
import torch
from torch import nn

from edgerd.errors import InputError
from edgerd.models.blocks import BasicBlock, BottleneckBlock
from edgerd.models.student import STUDENTS, Student, make_student
from edgerd.models.teachers import TEACHERS, make_teacher


def parameters(module):
    return sum(p.numel() for p in module.parameters())


@pytest.fixture(params=TEACHERS)
def teacher(request):
    """A teacher without memory for its weights: structure and shapes only."""
    with torch.device("meta"):
        return make_teacher(request.param)


def full_student(teacher):
    with torch.device("meta"):
        return make_student(teacher.info)


def expected_parameters(info, embedding_depth):
    """Counted from the paper's and the official code's description, layer by layer."""
    is_bottleneck = info.block.kind == "bottleneck"
    c1, c2, c3 = info.channels

    def block(i, o, kernel, resamples):
        """`kernel` is the number of weights per channel pair of the convolution that resamples."""
        shortcut = (i * o * (4 if kernel == 4 else 1) + 2 * o) if resamples else 0
        if is_bottleneck:
            width = o // 4 * info.block.base_width // 64
            return i * width + width * width * kernel + width * o + 4 * width + 2 * o + shortcut
        return i * o * kernel + o * o * 9 + 4 * o + shortcut

    def stage(i, o, depth, kernel):
        return block(i, o, kernel, True) + (depth - 1) * block(o, o, 9, False)

    def down(i, o):
        return i * o * 9 + 2 * o

    embedding = down(c1, c2) + 2 * down(c2, c3) + stage(3 * c3, 2 * c3, embedding_depth, 9)
    deep, middle, outer = info.depths
    heads = sum(c * c + c for c in info.channels) if info.linear else 0
    return embedding + stage(2 * c3, c3, deep, 4) + stage(c3, c2, middle, 4) + stage(c2, c1, outer, 4) + heads


def test_every_layer_is_the_papers_and_signed_features_have_heads(teacher):
    embedding_depth = 3 if teacher.info.block.kind == "bottleneck" else 2
    assert parameters(full_student(teacher)) == expected_parameters(teacher.info, embedding_depth)


def test_resnet18_with_its_student_has_18_2_million_parameters():
    with torch.device("meta"):
        teacher = make_teacher("resnet18")
    assert round((parameters(teacher) + parameters(full_student(teacher))) / 1e6, 1) == 18.2


def test_it_gives_back_the_teachers_features_shape_by_shape_layer_1_first(teacher):
    features = teacher(torch.zeros(2, 3, 64, 96, device="meta"))
    reconstruction = full_student(teacher)(features)
    assert [f.shape for f in reconstruction] == [f.shape for f in features]


@pytest.mark.parametrize(
    ("name", "depths", "embedding_depth"),
    [
        ("resnet18", (2, 2, 2), 2),
        ("resnet34", (3, 4, 6), 2),
        ("resnet50", (3, 4, 6), 3),
        ("wide_resnet50_2", (3, 4, 6), 3),
    ],
)
def test_the_decoder_takes_the_depths_from_the_deepest_stage_outward(name, depths, embedding_depth):
    with torch.device("meta"):
        student = make_student(make_teacher(name).info)
    decoder = student.decoder
    assert (len(decoder.stage3), len(decoder.stage2), len(decoder.stage1)) == depths
    assert len(student.bottleneck.embedding) == embedding_depth
    kind = BasicBlock if name in ("resnet18", "resnet34") else BottleneckBlock
    assert all(isinstance(block, kind) for block in [*decoder.stage3, *decoder.stage1, *student.bottleneck.embedding])


def test_the_embedding_halves_once_and_has_twice_layer_3s_channels():
    with torch.device("meta"):
        info = make_teacher("wide_resnet50_2").info
        embedding = make_student(info).bottleneck
        features = tuple(
            torch.zeros(1, c, 256 // s, 256 // s) for c, s in zip(info.channels, info.strides, strict=True)
        )
        assert embedding(features).shape == (1, 2048, 8, 8)
    assert [block.conv2.stride for block in embedding.embedding] == [(2, 2), (1, 1), (1, 1)]
    assert embedding.embedding[0].conv2.weight.shape == (1024, 1024, 3, 3)  # base width 128


def test_the_decoder_doubles_by_2x2_transposed_convolutions():
    student = make_student(make_teacher("lite0").info)
    transposed = [layer for layer in student.modules() if isinstance(layer, nn.ConvTranspose2d)]
    assert len(transposed) == 6  # main and skip path of three stages
    assert all(layer.kernel_size == layer.stride == (2, 2) for layer in transposed)
    assert not any(isinstance(layer, nn.Upsample) for layer in student.modules())


def test_a_full_student_has_no_heads_and_a_light_one_makes_up_for_its_width_by_1x1_heads():
    with torch.device("meta"):
        info = make_teacher("resnet18").info
        full, light = make_student(info), make_student(info, "light")
    assert all(isinstance(head, nn.Identity) for head in full.decoder.heads)
    assert [tuple(head.weight.shape) for head in light.decoder.heads] == [
        (64, 32, 1, 1),
        (128, 64, 1, 1),
        (256, 128, 1, 1),
    ]
    assert parameters(light) < 0.6 * parameters(full)


@pytest.mark.parametrize(("name", "channels"), [("full", (24, 40, 112)), ("light", (12, 20, 56))])
def test_every_student_of_signed_features_ends_in_1x1_heads_with_bias(name, channels):
    heads = make_student(make_teacher("lite0").info, name).decoder.heads
    assert [tuple(head.weight.shape) for head in heads] == [
        (wanted, inner, 1, 1) for wanted, inner in zip((24, 40, 112), channels, strict=True)
    ]
    assert all(head.bias is not None for head in heads)


def test_the_seed_decides_the_weights():
    info = make_teacher("lite0").info

    def weights(seed):
        torch.manual_seed(seed)
        return nn.utils.parameters_to_vector(Student(info).parameters())

    assert torch.equal(weights(1), weights(1))
    assert not torch.equal(weights(1), weights(2))


def test_an_unknown_student_is_named_with_those_there_are():
    with pytest.raises(InputError, match="no student named 'huge'") as caught:
        make_student(make_teacher("lite0").info, "huge")
    assert all(name in caught.value.expected for name in STUDENTS)


@pytest.mark.parametrize("name", STUDENTS)
@pytest.mark.parametrize("finest", [0, 1, 2])
def test_a_student_of_the_coarser_stages_gives_back_these_and_has_nothing_for_the_others(name, finest):
    info = make_teacher("lite0").info
    student = make_student(info, name, finest).eval()
    features = tuple(torch.randn(2, c, 64 // s, 96 // s) for c, s in zip(info.channels, info.strides, strict=True))
    with torch.no_grad():
        assert [f.shape for f in student(features)] == [f.shape for f in features[finest:]]
    stages = {key.split(".")[1] for key in student.state_dict() if key.startswith("decoder.stage")}
    assert stages == {f"stage{scale + 1}" for scale in range(finest, 3)}
    assert len(student.decoder.heads) == 3 - finest


def test_a_student_of_the_coarsest_stage_sees_the_finer_ones():
    info = make_teacher("lite0").info
    student = make_student(info, "light", 2).eval()
    features = [torch.randn(1, c, 64 // s, 64 // s) for c, s in zip(info.channels, info.strides, strict=True)]
    with torch.no_grad():
        before = student(tuple(features))[0]
        features[0] = features[0] + 1
        assert not torch.allclose(student(tuple(features))[0], before)
