"""The quantization-aware fine-tune: it computes what INT8 will compute, lowers that loss, and can be interrupted."""

import shutil

import numpy as np
import onnxruntime
import pytest
import torch
from interrupts import stop_at
from mini_teacher import pretrained
from onnx import load_from_string, numpy_helper

from edgerd.errors import InputError, StorageError, WeightsError
from edgerd.exporting.graph import graph_from_networks
from edgerd.exporting.package import bundle_from_run
from edgerd.models.fake_quantize import Traced
from edgerd.models.normalise import image_from_frames
from edgerd.models.teachers import make_teacher
from edgerd.precision.body import first_block
from edgerd.precision.quantize import quantized_graph
from edgerd.precision.ranges import collect_ranges
from edgerd.training.checkpoint import Checkpoint, Progress
from edgerd.training.loop import global_cosine_loss, train
from edgerd.training.quantized import activation_scales, tune
from edgerd.training.restore import networks_of
from edgerd.training.run import RunFolder

N_PICTURES = 8


@pytest.fixture(scope="module")
def small_run(trained_run, tmp_path_factory):
    """The session's run in a folder of its own, and its networks' rounding."""
    run = RunFolder.open(shutil.copytree(trained_run, tmp_path_factory.mktemp("tuned") / "run"))
    networks, _ = networks_of(run)
    traced = Traced(networks.teacher, networks.student)
    scales = activation_scales(traced, run.range_pictures(N_PICTURES), networks.teacher.info, torch.device("cpu"))
    return run, traced, scales


@pytest.fixture(scope="module")
def int8_graph(small_run):
    """Teacher and student as one module."""
    run, _, _ = small_run
    graph = graph_from_networks(networks_of(run)[0], 64, 64)
    ranges = collect_ranges(graph, run.range_pictures(N_PICTURES))
    return quantized_graph(graph, ranges, "u8s8", high_precision=first_block(load_from_string(graph).graph))


def test_the_scales_are_those_that_will_be_deployed(small_run, int8_graph):
    _, traced, scales = small_run
    graph = load_from_string(int8_graph).graph
    constants = {constant.name: numpy_helper.to_array(constant) for constant in graph.initializer}
    quantize = [node for node in graph.node if node.op_type == "QuantizeLinear"]
    deployed = np.array([[constants[node.input[1]], constants[node.input[2]]] for node in quantize], np.float64)
    assert len(scales) == len(traced.activations)
    for scale, zero_point in scales.numpy():
        nearest = deployed[np.abs(deployed[:, 0] / scale - 1).argmin()]
        assert nearest == pytest.approx([scale, zero_point], rel=1e-3, abs=1)


def test_it_computes_what_the_int8_graph_computes(small_run, int8_graph):
    """Not to the bit: a sum in another order puts a value that lies between two levels on the other one.

    Each layer passes that on, so that after twenty of them little is left in common but the size of the error.
    """
    run, traced, scales = small_run
    pictures = run.holdout_pictures()
    image = image_of(pictures, networks_of(run)[0].teacher)
    names = [f"{side}_{scale}" for side in ("teacher", "student") for scale in range(3)]
    model = load_from_string(int8_graph)
    for name in names:
        model.graph.output.add().name = name
    options = onnxruntime.SessionOptions()
    # node by node, in floating point: integer kernels of a CPU without VNNI saturate, for which it has another graph
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    deployed = session.run(names, {"frame": pictures[:, 0]})
    with torch.no_grad():
        rounded = traced.rounded_features(image, scales)
    exact = traced.features(image, lambda *_: None)
    distances = [
        (np.linalg.norm(ours - int8), np.linalg.norm(fp32 - int8))
        for int8, ours, fp32 in zip(deployed, as_arrays(rounded), as_arrays(exact), strict=True)
    ]
    of_teacher = distances[:3]
    assert all(from_ours < from_fp32 for from_ours, from_fp32 in of_teacher), distances
    assert of_teacher[0][0] < 0.35 * of_teacher[0][1]


def image_of(pictures, teacher):
    return image_from_frames(torch.from_numpy(pictures[:, 0]), teacher.info)


def as_arrays(features):
    return [scale.numpy() for side in features for scale in side]


def loss_in_int8(run, pictures):
    """The INT8 loss of a run's newest student on its pictures, with scales found for it as the export finds them."""
    networks, _ = networks_of(run)
    traced = Traced(networks.teacher, networks.student)
    scales = activation_scales(traced, run.range_pictures(N_PICTURES), networks.teacher.info, torch.device("cpu"))
    with torch.no_grad():
        return float(global_cosine_loss(*traced.rounded_features(image_of(pictures, networks.teacher), scales)))


def test_it_lowers_the_loss_in_int8_on_pictures_it_never_saw(small_run, tmp_path):
    run = RunFolder.open(shutil.copytree(small_run[0].path, tmp_path / "run")).tune_for(6)
    pictures = run.holdout_pictures()
    before = loss_in_int8(run, pictures)
    reports = []
    tune(run, device="cpu", on_step=reports.append)
    assert [report.progress.total_steps for report in reports] == list(range(1, 7))
    assert loss_in_int8(run, pictures) < 0.97 * before


@pytest.fixture
def trained(new_run):
    """A run of 4 steps: one epoch of 3, and one more."""

    def make(name="run"):
        run = new_run(name, steps=4)
        train(run, pretrained(), device="cpu")
        return run

    return make


def content_of(run):
    """Everything that a tuned checkpoint says: progress, and the bytes of each tensor."""
    checkpoint = Checkpoint.open(run.tuned_file)
    tensors = {f"optimiser {n} {key}": t for n, state in checkpoint.optimiser.items() for key, t in state.items()}
    tensors |= {f"student {key}": t for key, t in checkpoint.student.items()} | {"scales": checkpoint.scales}
    return checkpoint.progress, {key: tensor.numpy().tobytes() for key, tensor in tensors.items()}


@pytest.mark.parametrize("step", [1, 3, 4])
def test_stopped_and_resumed_is_as_if_never_stopped(trained, step):
    whole, halves = trained("whole").tune_for(5), trained("halves").tune_for(5)
    assert tune(whole, device="cpu") == Progress(1, 1, 4, tuning_steps=5)
    assert tune(halves, device="cpu", **stop_at(step)).tuning_steps == step
    tune(RunFolder.open(halves.path), device="cpu")
    assert content_of(halves) == content_of(whole)


def test_the_checkpoint_it_began_from_and_the_teacher_stay_as_they_are(trained):
    run = trained().tune_for(2)
    before = run.checkpoint_file.read_bytes()
    tune(run, device="cpu")
    assert run.checkpoint_file.read_bytes() == before
    trained_, tuned = Checkpoint.open(run.checkpoint_file), Checkpoint.open(run.tuned_file)
    assert all(torch.equal(tuned.teacher[key], value) for key, value in trained_.teacher.items())
    assert tuned.student.keys() == trained_.student.keys()
    for key, value in trained_.student.items():
        is_statistic = "running" in key or "num_batches" in key
        assert torch.equal(tuned.student[key], value) is is_statistic, key


def test_what_is_done_is_not_done_again_and_more_can_be_asked_for(trained):
    run = trained().tune_for(2)
    tune(run, device="cpu")
    before = run.tuned_file.read_bytes()
    reports = []
    tune(run, device="cpu", on_step=reports.append)
    assert not reports
    assert run.tuned_file.read_bytes() == before
    assert tune(run.tune_for(3), device="cpu").tuning_steps == 3


def test_training_on_makes_the_fine_tune_outdated(trained):
    run = trained().tune_for(2)
    tune(run, device="cpu")
    train(run, make_teacher("mini"), device="cpu")
    assert run.tuned_file.exists()  # nothing was left to train
    train(run.extend(steps=5), make_teacher("mini"), device="cpu")
    assert not run.tuned_file.exists()
    assert networks_of(run)[1] == Progress(1, 2, 5)


def test_the_tuned_student_is_exported_and_the_bundle_says_so(trained, tmp_path):
    run = trained()
    before = student_bytes(run)
    tune(run.tune_for(2), device="cpu")
    assert student_bytes(run) != before
    training = bundle_from_run(run, tmp_path / "bundle").manifest.training  # compares the graph with that student
    assert (training.steps, training.tuning_steps) == (4, 2)
    run.tuned_file.unlink()
    assert student_bytes(run) == before


def student_bytes(run):
    return [tensor.numpy().tobytes() for tensor in networks_of(run)[0].student.state_dict().values()]


def test_a_run_without_a_checkpoint_says_what_to_type(new_run):
    with pytest.raises(WeightsError, match="There is no checkpoint") as caught:
        tune(new_run(), device="cpu")
    assert "--resume" in caught.value.hint


def test_a_damaged_tuned_checkpoint_is_named(trained):
    run = trained()
    run.tuned_file.write_bytes(run.checkpoint_file.read_bytes()[:-5])
    for use in (networks_of, lambda run: tune(run, device="cpu")):
        with pytest.raises(WeightsError, match=r"tuned\.safetensors cannot be read"):
            use(run)


def test_a_full_disk_leaves_the_record_and_the_checkpoint(trained, monkeypatch):
    run = trained().tune_for(2)

    def full(*_):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as disk:
        disk.setattr("edgerd.training.tensor_file.save_file", full)
        with pytest.raises(StorageError, match=r"tuned\.safetensors"):
            tune(run, device="cpu")
    assert not run.tuned_file.exists()
    assert tune(run, device="cpu").tuning_steps == 2


def test_pictures_that_are_gone_are_named(trained):
    run = trained()
    (run.path / "train.npy").unlink()
    with pytest.raises(InputError, match=r"train\.npy"):
        tune(run, device="cpu")
