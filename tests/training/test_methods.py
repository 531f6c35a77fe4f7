"""Methods: RD4AD's loss against its definition, its optimiser against the paper."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from edgerd.errors import InputError
from edgerd.training.loop import EPOCHS, global_cosine_loss, rd4ad_optimiser
from edgerd.training.methods import METHODS, make_method
from edgerd.training.run import TrainingConfig


def features(seed, n=3):
    rng = np.random.default_rng(seed)
    return tuple(rng.normal(size=(n, c, s, s)).astype(np.float32) for c, s in ((4, 8), (6, 4), (9, 2)))


def loss_of(teacher, student):
    as_tensors = [tuple(torch.from_numpy(scale) for scale in side) for side in (teacher, student)]
    return float(global_cosine_loss(*as_tensors))


@given(seed=st.integers(0, 1000), n=st.integers(1, 4))
def test_the_loss_is_one_global_cosine_per_picture_and_scale(seed, n):
    teacher, student = features(seed, n), features(seed + 1, n)
    expected = 0.0
    for t, s in zip(teacher, student, strict=True):
        per_picture = [
            1 - a.ravel() @ b.ravel() / np.linalg.norm(a) / np.linalg.norm(b) for a, b in zip(t, s, strict=True)
        ]
        expected += np.mean(per_picture)
    assert loss_of(teacher, student) == pytest.approx(expected, abs=1e-5)


def test_it_is_not_the_cosine_per_position():
    """One position with large features decides a global cosine, but is only one of many per-position ones."""
    teacher = [np.ones((1, 2, 4, 4), np.float32) for _ in range(3)]
    student = [scale.copy() for scale in teacher]
    for scale in student:
        scale[:, :, 0, 0] *= 100
    per_scale = 1 - (30 + 200) / np.sqrt(32 * (30 + 20000))
    assert loss_of(teacher, student) == pytest.approx(3 * per_scale, abs=1e-5)


@given(seed=st.integers(0, 1000), factor=st.floats(0.01, 100))
def test_it_sees_directions_and_not_lengths(seed, factor):
    teacher, student = features(seed), features(seed + 1)
    scaled = tuple(scale * np.float32(factor) for scale in student)
    assert loss_of(teacher, scaled) == pytest.approx(loss_of(teacher, student), abs=1e-4)


def test_it_is_0_where_nothing_differs_and_6_where_all_is_opposite():
    teacher = features(0)
    assert loss_of(teacher, teacher) == pytest.approx(0.0, abs=1e-5)
    assert loss_of(teacher, tuple(-scale for scale in teacher)) == pytest.approx(6.0, abs=1e-5)


def test_half_features_lose_nothing_in_the_sums():
    torch.manual_seed(0)
    teacher = tuple(torch.randn(2, 64, 16, 16).bfloat16() for _ in range(3))
    student = tuple((t + 0.05 * torch.randn_like(t)).bfloat16() for t in teacher)
    in_double = float(global_cosine_loss(*(tuple(x.double() for x in side) for side in (teacher, student))))
    loss = global_cosine_loss(teacher, student)
    assert loss.dtype == torch.float32
    assert float(loss) == pytest.approx(in_double, rel=1e-3)


def test_rd4ad_trains_with_adam_as_the_official_code_does():
    optimiser = rd4ad_optimiser([nn.Parameter(torch.zeros(1))])
    assert type(optimiser) is torch.optim.Adam
    (group,) = optimiser.param_groups
    assert (group["lr"], group["betas"], group["weight_decay"]) == (5e-3, (0.5, 0.999), 0)
    assert EPOCHS == 200


def test_rd4ad_is_the_papers():
    """The full student reconstructs all three stages; some pictures are held out."""
    method = make_method("rd4ad")
    assert (method.student, method.finest, method.has_student, method.cross_fits) == ("full", 0, True, False)


@pytest.mark.parametrize("name", METHODS)
def test_every_method_has_its_own_name(name):
    assert make_method(name).name == name


def test_a_run_takes_the_usual_student_of_the_usual_method():
    config = TrainingConfig()
    assert config.student == make_method(config.method).student
    assert make_method(config.method).cross_fits


def test_an_unknown_method_is_named_with_the_nearest():
    with pytest.raises(InputError, match="no method named 'rd4at'") as caught:
        make_method("rd4at")
    assert "rd4ad" in caught.value.hint
