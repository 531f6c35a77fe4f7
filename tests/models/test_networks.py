"""The networks of a run: which maps they make, and in which order."""

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from edgerd.models.networks import Networks, cosine_maps
from edgerd.models.positions import Positions
from edgerd.models.prototypes import Prototypes
from edgerd.models.student import make_student
from edgerd.models.teachers.resnet import ResNet
from edgerd.models.teachers.teacher import TeacherInfo

INFO = TeacherInfo("mini", (8, 12, 16), (1, 1, 1))
SHAPES = {0: (16, 24), 1: (8, 12), 2: (4, 6)}


@pytest.fixture(scope="module")
def teacher():
    torch.manual_seed(0)
    return ResNet(INFO, stem=8).requires_grad_(False).eval()


@torch.no_grad()
def maps_of(networks):
    torch.manual_seed(1)
    features = networks.teacher(torch.randn(2, 3, 64, 96))
    return features, networks.maps(features)


@pytest.mark.parametrize("finest", [0, 1, 2])
@pytest.mark.parametrize("has_prototypes", [False, True])
def test_the_students_maps_come_first_and_the_finest_of_them(teacher, finest, has_prototypes):
    student = make_student(INFO, "light", finest).eval()
    prototypes = Prototypes(INFO, 5) if has_prototypes else None
    features, maps = maps_of(Networks(teacher, student, prototypes))
    sizes = [SHAPES[scale] for scale in range(finest, 3)] + [SHAPES[2]] * (2 * has_prototypes)
    assert [tuple(one.shape) for one in maps] == [(2, *size) for size in sizes]
    with torch.no_grad():
        expected = 1 - F.cosine_similarity(features[2], student(features)[-1], dim=1)
    assert torch.equal(maps[2 - finest], expected)


def test_the_map_of_the_positions_comes_last(teacher):
    positions = Positions(INFO, *SHAPES[2])
    features, maps = maps_of(Networks(teacher, None, Prototypes(INFO, 5), positions))
    assert len(maps) == 3
    assert torch.equal(maps[2], positions(features))


def test_prototypes_alone_have_a_map_each(teacher):
    features, maps = maps_of(Networks(teacher, None, Prototypes(INFO, 5)))
    assert all(torch.equal(one, two) for one, two in zip(maps, Prototypes(INFO, 5)(features), strict=True))


def test_a_cosine_map_is_0_where_directions_agree_and_2_where_they_are_opposite():
    one = torch.randn(1, 4, 2, 2)
    np.testing.assert_allclose(cosine_maps((one,), (3 * one,))[0], 0, atol=1e-6)
    np.testing.assert_allclose(cosine_maps((one,), (-one,))[0], 2, atol=1e-6)


def test_stages_that_do_not_belong_together_are_an_error():
    stages = torch.randn(1, 4, 2, 2), torch.randn(1, 4, 2, 2)
    with pytest.raises(ValueError, match="shorter"):
        cosine_maps(stages, stages[:1])
