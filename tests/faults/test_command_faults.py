"""Commands that write: at every call, killed, cut off from power, or refused by the disk.

What is left is the state before or the state after, read by the product itself; a training may also stand in between,
where it goes on with --resume. Running the command once more gives what an undisturbed one gives, and no more.
"""

from __future__ import annotations

import os
import shutil
from functools import partial

import pytest

from faults.commands import EDGE, RD4AD, CommandError, edgerd, state_of_bundle, state_of_run, training
from faults.disk import tree_of, visible_tree_of
from faults.operations import FAULTY, FULL, Operation, killed, refused, without_power

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


@pytest.fixture
def whole(operation, tmp_path):
    """The names that the operation leaves when nothing disturbs it, but for those in a bundle."""
    root = operation.begun_in(tmp_path / "undisturbed")
    operation.run(root)
    return names_in(root)


def names_in(root):
    return {name for name in tree_of(root) if not name.startswith("bundle/")}


def alike(root):
    """What of a tree the next command may look at; the log of a search is one, however long."""
    return {name: "" if ".search-" in name else content for name, content in visible_tree_of(root).items()}


def check_what_is_left(operation, whole, trees):
    """Each tree is in a state; in one of each set of names, a second run succeeds and leaves nothing but its results.

    No lock refuses it then, and no litter grows.
    """
    states, tried = [], set()
    for call, root in trees:
        states.append(operation.state(root))
        assert states[-1] in ("old", "going", "new"), call
        names = (states[-1], *sorted(visible_tree_of(root)))
        if names not in tried:
            tried.add(names)
            operation.run(root)
            assert operation.state(root) == "new", call
            assert names_in(root) == whole, call
        shutil.rmtree(root)
    return states


def test_killed_at_any_call(operation, whole, tmp_path):
    states = check_what_is_left(operation, whole, killed(operation, tmp_path / "trees", alike=alike))
    assert states == sorted(states, key=["old", "going", "new"].index)  # never back again


def test_power_cut_at_any_call(operation, whole, tmp_path):
    states = check_what_is_left(operation, whole, without_power(operation, tmp_path / "trees", alike=alike))
    assert states[-1] == "new"  # what was said to be done is done


def check_every_refusal(operation, whole, tmp_path, number):
    """Exit code 1 and the true cause, the old state, nothing left over; and then the command succeeds."""
    cause = "the disk is full" if number == FULL else os.strerror(number)
    errors = []
    for call, root, run in refused(operation, tmp_path / "trees", number, each=False):
        before, error = operation.state(root), None
        try:
            run()
        except CommandError as caught:
            error = caught
        state = operation.state(root)
        if error is None:
            assert state == "new", call
        else:
            errors.append(error)
            assert error.exit_code == 1, call
            assert f"could not be written: {cause}." in error.err, call
            assert str(root) in error.err, call
            assert ("Free some space" in error.err) is (number == FULL), call
            assert ".draft" not in error.err, call
            # the page about suspicious pictures comes when all is done
            assert state in (before, "going") or "good_pictures.html" in error.err, call
            if number == FULL:
                assert not [name for name in names_in(root) if name.endswith((".partial", ".draft"))], call
        operation.run(root)
        assert operation.state(root) == "new", call
        assert names_in(root) == whole, call
    assert len(errors) > 3


NUMBERS = pytest.mark.parametrize("number", [FULL, FAULTY], ids=os.strerror)


@NUMBERS
@pytest.mark.parametrize("operation", ["train prototypes", "train longer", "calibrate"], indirect=True)
def test_refused_at_calls_of_every_kind(operation, whole, tmp_path, number):
    check_every_refusal(operation, whole, tmp_path, number)


@pytest.mark.slow
@NUMBERS
def test_every_command_refused_at_calls_of_every_kind(operation, whole, tmp_path, number):
    check_every_refusal(operation, whole, tmp_path, number)
