"""timm backbones, with a stand-in for timm: the calls of it, and the errors where it fails."""

import sys
from types import SimpleNamespace

import pytest
import torch
from torch import nn

from edgerd.errors import DownloadError, InputError
from edgerd.models.student import make_student
from edgerd.models.teachers import make_teacher
from edgerd.models.weights import load_teacher

CHANNELS = (4, 6, 8, 12, 16)


class Features(nn.ModuleList):
    """Five stages of strides 2 to 32; gives those asked for, as timm's `features_only` models do."""

    def __init__(self, out_indices=(0, 1, 2, 3, 4), strides=(2, 4, 8, 16, 32)):
        pairs = zip((3, *CHANNELS[:-1]), CHANNELS, strict=True)
        super().__init__(nn.Conv2d(i, o, 3, stride=2, padding=1, bias=False) for i, o in pairs)
        self._stages = out_indices
        self.feature_info = SimpleNamespace(
            reduction=lambda: list(strides), channels=lambda: [CHANNELS[index] for index in out_indices]
        )

    def forward(self, x):
        outputs = []
        for stage in self:
            x = stage(x)
            outputs.append(x)
        return [outputs[index] for index in self._stages]


@pytest.fixture
def timm(monkeypatch):
    """`asked` collects the keyword arguments of every model; `failure` is raised where weights are asked for."""

    def create_model(name, features_only, pretrained, **kwargs):
        stand_in.asked.append({"pretrained": pretrained, **kwargs})
        if pretrained and stand_in.failure:
            raise stand_in.failure
        strides = (2, 8, 16, 16, 32) if name == "odd" else (2, 4, 8, 16, 32)
        return Features(strides=strides, **kwargs)

    stand_in = SimpleNamespace(
        asked=[],
        failure=None,
        create_model=create_model,
        list_models=lambda: ["net", "odd"],
        get_pretrained_cfg=lambda name: SimpleNamespace(mean=[0.5, 0.5, 0.5], std=[0.25, 0.25, 0.25]),
    )
    monkeypatch.setitem(sys.modules, "timm", stand_in)
    return stand_in


def test_a_backbone_is_a_teacher_of_its_stages_at_strides_4_8_16(timm):
    teacher = make_teacher("timm:net")
    assert teacher.info.name == "timm:net"
    assert teacher.info.channels == CHANNELS[1:4]
    assert (teacher.info.mean, teacher.info.std) == ((0.5, 0.5, 0.5), (0.25, 0.25, 0.25))
    assert not any(parameter.requires_grad for parameter in teacher.parameters())
    assert teacher.first_convolution().in_channels == 3
    features = teacher(torch.zeros(1, 3, 64, 64))
    assert [tuple(f.shape) for f in features] == [(1, 6, 16, 16), (1, 8, 8, 8), (1, 12, 4, 4)]
    assert [f.shape for f in make_student(teacher.info).eval()(features)] == [f.shape for f in features]


def test_random_weights_ask_timm_for_none_and_pretrained_ones_for_the_same_stages(timm):
    teacher = make_teacher("timm:net")
    assert not any(asked["pretrained"] for asked in timm.asked)
    loaded = load_teacher("timm:net")
    assert timm.asked[-1] == {"pretrained": True, "out_indices": [1, 2, 3]}
    assert loaded.state_dict().keys() == teacher.state_dict().keys()


@pytest.mark.parametrize("failure", [ConnectionError("no route"), RuntimeError("No pretrained weights exist for net")])
def test_weights_that_timm_cannot_give_name_the_ways_out(timm, failure):
    timm.failure = failure
    with pytest.raises(DownloadError, match=str(failure)) as caught:
        load_teacher("timm:net")
    assert "--teacher-weights FILE" in caught.value.hint
    assert "--teacher lite0" in caught.value.hint


def test_a_model_that_timm_does_not_have(timm):
    with pytest.raises(InputError, match="no model named 'nett'"):
        make_teacher("timm:nett")


def test_a_model_without_the_strides_is_named_with_those_it_has(timm):
    with pytest.raises(InputError, match="features at strides") as caught:
        make_teacher("timm:odd")
    assert "4, 8 and 16" in caught.value.expected
