"""More commands that write: typed graphs, a fine-tune, a recipe, figures, a report, a demo; as `test_command_faults`.

What takes minutes in them and writes nothing is done once, or by something small in its place.
"""

from __future__ import annotations

import json
import os
from functools import partial

import click
import pytest

from edgerd.building import quantize
from edgerd.bundle.bundle import Bundle
from edgerd.cli import demo
from edgerd.data import samples
from edgerd.data.samples import write_dataset, write_video
from edgerd.precision.ranges import RANGES_FILE
from edgerd.training import quantized
from faults.checks import alike, check_every_refusal, check_what_is_left, names_left_by
from faults.commands import (
    edgerd,
    state_of_bundle,
    state_of_demo,
    state_of_figures,
    state_of_recipe,
    state_of_report,
    state_of_tuned,
    write_pictures,
)
from faults.operations import FAULTY, FULL, Operation, killed, without_power


@pytest.fixture(scope="session")
def labelled(tmp_path_factory):
    """Two folders of labelled pictures, a good and a defective one in each."""
    root = tmp_path_factory.mktemp("labelled")
    for number, name in enumerate(("before", "after")):
        for kind in ("good", "dent"):
            write_pictures(root / name / "test" / kind, 1, seed=10 + number)
    return root


@pytest.fixture(scope="session")
def _typed_graphs():
    return {}


@pytest.fixture
def quantized_once(_typed_graphs, monkeypatch):
    """Typed graphs are made once: ModelOpt takes seconds for them each time."""
    pytest.importorskip("modelopt", reason="edgerd[quantize] is not installed")
    real = quantize.graphs_for_devices

    def graphs(bundle, preset):
        if not _typed_graphs:
            _typed_graphs.update(real(bundle, preset))
        return _typed_graphs

    monkeypatch.setattr(quantize, "graphs_for_devices", graphs)


@pytest.fixture
def scales_once(monkeypatch):
    """The scales of a fine-tune are found once: no two runs of a test have others."""
    real, found = quantized.activation_scales, []

    def scales(*arguments):
        if not found:
            found.append(real(*arguments))
        return found[0]

    monkeypatch.setattr(quantized, "activation_scales", scales)


def tune(root, steps, made):
    edgerd("train", made.pictures, "-o", root / "run", "--threads", 1, "--resume", "--quantize", "--steps", steps)


def evaluate(root, data, *options):
    edgerd("evaluate", root / "bundle", data, "--threads", 1, *options)


def init(root):
    if state_of_recipe(root) == "old":  # else it stays as it is, and says so
        edgerd("init", "--camera", "sample://ring?size=64", "--bundle", root / "bundle", "-o", root / "edgerd.toml")


@pytest.fixture
def quantizing(made, start, quantized_once):
    is_new = partial(state_of_bundle, is_new=lambda bundle: RANGES_FILE in bundle.manifest.files)
    return Operation(
        start(made.bundle),
        lambda root: edgerd("quantize", root / "bundle"),
        partial(is_new, picture=made.pictures / "0.png"),
    )


@pytest.fixture
def tuning(made, start, scales_once):
    return Operation(start(made.half_run), partial(tune, steps=1, made=made), partial(state_of_tuned, steps=1))


@pytest.fixture
def tuning_longer(made, start, scales_once):
    tree = start(made.half_run)
    tune(tree, 1, made)
    return Operation(tree, partial(tune, steps=2, made=made), partial(state_of_tuned, steps=2))


@pytest.fixture
def beginning_a_recipe(made, start):
    return Operation(start(made.bundle), init, state_of_recipe)


@pytest.fixture
def figures(made, start, labelled):
    tree = start(made.bundle)
    (tree / "figures.json").write_text(json.dumps({"threshold": -1.0}))
    threshold = Bundle.open(tree / "bundle").need_threshold().value
    data = labelled / "after"
    return Operation(
        tree,
        lambda root: evaluate(root, data, "--json", root / "figures.json"),
        partial(state_of_figures, threshold=threshold),
    )


@pytest.fixture
def report(made, start, labelled):
    data = labelled / "after"
    return Operation(
        start(made.bundle),
        lambda root: evaluate(root, data, "--report", root / "report"),
        partial(state_of_report, data=data),
    )


@pytest.fixture
def report_again(report, labelled):
    evaluate(report.start, labelled / "before", "--report", report.start / "report")
    return report


OPERATIONS = {
    "quantize": "quantizing",
    "train --quantize": "tuning",
    "train --quantize for longer": "tuning_longer",
    "init": "beginning_a_recipe",
    "evaluate --json": "figures",
    "evaluate --report": "report",
    "evaluate --report over a report": "report_again",
}


@pytest.fixture(params=OPERATIONS.values(), ids=OPERATIONS)
def operation(request):
    return request.getfixturevalue(request.param)


def test_killed_at_any_call(operation, whole, tmp_path):
    states = check_what_is_left(operation, whole, killed(operation, tmp_path / "trees", alike=alike))
    assert states == sorted(states, key=["old", "going", "new"].index)  # never back again
    assert {"old", "new"} <= set(states)


def test_power_cut_at_any_call(operation, whole, tmp_path):
    states = check_what_is_left(operation, whole, without_power(operation, tmp_path / "trees", alike=alike))
    assert states[-1] == "new"  # what was said to be done is done


NUMBERS = pytest.mark.parametrize("number", [FULL, FAULTY], ids=os.strerror)
QUICK = {name: fixture for name, fixture in OPERATIONS.items() if name != "quantize"}


@NUMBERS
@pytest.mark.parametrize("operation", QUICK.values(), ids=QUICK, indirect=True)
def test_refused_at_calls_of_every_kind(operation, whole, tmp_path, number):
    assert len(check_every_refusal(operation, whole, tmp_path, number)) > 1


@pytest.mark.slow
@NUMBERS
@pytest.mark.parametrize("operation", ["quantizing"], indirect=True)
def test_quantize_refused_at_calls_of_every_kind(operation, whole, tmp_path, number):
    assert len(check_every_refusal(operation, whole, tmp_path, number)) > 1


def test_a_demo_that_was_killed_at_any_call_is_made_anew(tmp_path, monkeypatch):
    """Its steps are commands of their own; what is left are the parts and the line, over those of an old demo."""

    def end(arguments):
        raise click.exceptions.Exit(0)

    monkeypatch.setattr(demo, "_edgerd", end)
    monkeypatch.setattr(
        samples,
        "write_dataset",
        lambda *where, **_: write_dataset(*where, n_train=1, n_test_good=1, n_per_defect=1, size=64),
    )
    monkeypatch.setattr(
        samples, "write_video", lambda *where, **_: write_video(*where, n_parts=2, n_defective=1, size=64)
    )
    start = tmp_path / "start"
    (start / "demo").mkdir(parents=True)
    making = Operation(start, lambda root: edgerd("demo", "-o", root / "demo"), state_of_demo)
    making.run(start)
    (start / "demo" / "report").mkdir()
    (start / "demo" / "report" / "index.html").write_text("of the old demo")
    whole = names_left_by(making, tmp_path / "undisturbed")
    states = check_what_is_left(making, whole, killed(making, tmp_path / "trees", alike=alike))
    assert states == sorted(states, key=["old", "going"].index)  # what was begun is known for a demo, and made anew
    assert {"old", "going"} == set(states)
