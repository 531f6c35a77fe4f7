"""Commands that write: at every call, killed, cut off from power, or refused by the disk.

What is left is the state before or the state after, read by the product itself; a training may also stand in between,
where it goes on with --resume. Running the command once more gives what an undisturbed one gives, and no more.
"""

from __future__ import annotations

import os
from functools import partial

import pytest

from faults.checks import alike, check_every_refusal, check_what_is_left
from faults.commands import EDGE, RD4AD, edgerd, state_of_bundle, state_of_run, training
from faults.operations import FAULTY, FULL, Operation, killed, without_power

TRAININGS = {
    "train edge": (*EDGE,),
    "train prototypes": ("--method", "prototypes"),
    "train rd4ad": (*RD4AD, "--steps", 3),
}
OPERATIONS = [
    *TRAININGS,
    "train longer",
    "export",
    "export over a bundle",
    "calibrate",
    "build the first engine",
    "build another engine",
    pytest.param("build what a search finds", marks=pytest.mark.slow),
]


def export(root):
    edgerd("export", root / "run", "-o", root / "bundle")


def build(root, *options):
    edgerd("build-engine", root / "bundle", "--runtime", "onnxruntime", *options)


@pytest.fixture(params=OPERATIONS)
def operation(request, made, start, exported_once):
    name = request.param
    bundle = partial(state_of_bundle, picture=made.pictures / "0.png")
    if name in TRAININGS:
        options = TRAININGS[name]
        steps = {"train edge": 2, "train prototypes": 0, "train rd4ad": 3}[name]
        return Operation(start(), training(made.pictures, made.weights, *options), partial(state_of_run, steps=steps))
    if name == "train longer":
        longer = training(made.pictures, made.weights, *RD4AD, "--steps", 4)
        return Operation(start(made.half_run), longer, partial(state_of_run, steps=4))
    if name == "export":
        return Operation(start(made.run), export, partial(bundle, is_new=lambda _: True))
    if name == "export over a bundle":
        is_new = partial(bundle, is_new=lambda bundle: bundle.manifest.training.seed == 0)
        return Operation(start(made.run, made.bundle), export, is_new)
    if name == "calibrate":
        added = partial(bundle, is_new=lambda bundle: len(bundle.manifest.added) == 9)
        return Operation(
            start(made.bundle), lambda root: edgerd("calibrate", root / "bundle", made.others, "--replace"), added
        )
    tree, options, n_engines = start(made.bundle), ("--precision", "int8"), 1
    if name == "build another engine":
        build(tree, "--precision", "fp32")
        n_engines = 2
    if name == "build what a search finds":
        options = ("--max-map-error", 5)
    return Operation(
        tree,
        lambda root: build(root, *options),
        partial(bundle, is_new=lambda bundle: len(bundle.manifest.engines) >= n_engines),
    )


def test_killed_at_any_call(operation, whole, tmp_path):
    states = check_what_is_left(operation, whole, killed(operation, tmp_path / "trees", alike=alike))
    assert states == sorted(states, key=["old", "going", "new"].index)  # never back again


def test_power_cut_at_any_call(operation, whole, tmp_path):
    states = check_what_is_left(operation, whole, without_power(operation, tmp_path / "trees", alike=alike))
    assert states[-1] == "new"  # what was said to be done is done


NUMBERS = pytest.mark.parametrize("number", [FULL, FAULTY], ids=os.strerror)


@NUMBERS
@pytest.mark.parametrize("operation", ["train prototypes", "train longer", "calibrate"], indirect=True)
def test_refused_at_calls_of_every_kind(operation, whole, tmp_path, number):
    assert len(check_every_refusal(operation, whole, tmp_path, number)) > 3


@pytest.mark.slow
@NUMBERS
def test_every_command_refused_at_calls_of_every_kind(operation, whole, tmp_path, number):
    assert len(check_every_refusal(operation, whole, tmp_path, number)) > 3
