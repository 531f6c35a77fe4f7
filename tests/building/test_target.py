"""What must run on another device."""

import pytest

from edgerd.building.target import load_target, steps_for
from edgerd.errors import InputError
from edgerd.precision.tensorrt import GRAPH_FILES
from edgerd.runtimes.tensorrt.options import BuildOptions

ORIN = 'name = "Orin NX"\ncompute_capability = "8.7"\ntensorrt = "10.3.0"\nmemory_gb = 16\ndla_cores = 2\n'


@pytest.fixture
def target(tmp_path):
    """Reads a target file."""

    def read(text=ORIN):
        file = tmp_path / "target.toml"
        file.write_text(text)
        return load_target(file)

    return read


@pytest.fixture
def with_graphs(bundle):
    graph = bundle.read("graph.fp32.onnx")
    return bundle.save_with(bundle.manifest, dict.fromkeys(GRAPH_FILES.values(), graph))


def test_it_names_graphs_and_commands(with_graphs, target):
    steps = steps_for(with_graphs, target(), "int8", BuildOptions(opt_level=4, dla_core=1))
    assert steps.graphs == ("graph.fp32.onnx", GRAPH_FILES["int8"])
    assert all((steps.bundle.path / name).is_file() for name in steps.graphs)
    # engines too: a bundle without what its manifest lists is damaged
    assert steps.copy == (f"rsync -a {with_graphs.path}/ DEVICE:bundle/",)
    command = "edgerd build-engine bundle --runtime tensorrt --precision int8 --opt-level 4 --dla-core 1"
    assert steps.there[-1] == command
    assert "Orin NX: compute capability 8.7, TensorRT 10.3.0, 16 GB" in steps.notes


def test_a_graph_that_is_missing_is_made_and_kept(bundle, target):
    pytest.importorskip("modelopt")
    steps = steps_for(bundle, target(), "fp16")
    assert GRAPH_FILES["fp16"] in steps.bundle.manifest.files
    steps.bundle.verify()


@pytest.mark.parametrize(
    ("change", "precision", "options", "text"),
    [
        (("8.7", "6.1"), "fp16", {}, "compute capability 6.1"),
        (("10.3.0", "8.6.1"), "fp16", {}, "TensorRT 8.6.1"),
        (("10.3.0", "10.2.0"), "fp16", {}, "TensorRT 10.2.0"),
        (("10.3.0", "10.13"), "fp16", {"dla_core": 0}, "TensorRT 10.13 has no DLA"),
        (("10.3.0", "11.4.0"), "fp16", {"dla_core": 0}, "TensorRT 11.4.0 has no DLA"),
        (("", ""), "fp16", {"dla_core": 2}, "no DLA core 2"),
        (("", ""), "fp32", {"dla_core": 0}, "DLA does not compute in fp32"),
        (("", ""), "fp16", {"dla_core": 0, "profile": (1, 2, 4)}, "same number of tiles, not 1 to 4"),
        (("8.7", "7.5"), "fp16", {"hardware_compatible": True}, "from Ampere on; this one is sm_75"),
        (("", ""), "bf16", {}, "no bf16"),
    ],
)
def test_what_it_cannot_do(with_graphs, target, change, precision, options, text):
    with pytest.raises(InputError, match=text):
        steps_for(with_graphs, target(ORIN.replace(*change)), precision, BuildOptions(**options))


@pytest.mark.parametrize("version", ["10.7.0", "11.4.1", "11.4.1.2"])
def test_a_tensorrt_that_has_dla(with_graphs, target, version):
    steps = steps_for(with_graphs, target(ORIN.replace("10.3.0", version)), "auto", BuildOptions(dla_core=0))
    assert steps.graphs == ("graph.fp32.onnx", *GRAPH_FILES.values())


@pytest.mark.parametrize("text", ["name =", "", ORIN + "colour = 1\n", ORIN.replace('"8.7"', "8.7"), "\xff"])
def test_files_that_say_something_else(target, text):
    with pytest.raises(InputError, match="Orin NX") as caught:
        target(text)
    assert caught.value.hint


def test_no_file(tmp_path):
    with pytest.raises(InputError, match="There is no file"):
        load_target(tmp_path / "nowhere.toml")


def test_on_the_command_line(with_graphs, tmp_path, capfd):
    from edgerd.cli.main import main

    file = tmp_path / "orin.toml"
    file.write_text(ORIN)
    with pytest.raises(SystemExit) as ended:
        main(["build-engine", str(with_graphs.path), "--target", str(file), "--precision", "int8", "--strip"])
    printed = capfd.readouterr().out
    assert not ended.value.code, printed
    assert GRAPH_FILES["int8"] in printed
    assert "--runtime tensorrt --precision int8 --strip" in printed


def test_a_file_from_an_editor_that_begins_with_a_mark(target):
    assert target("\ufeff" + ORIN).name == "Orin NX"
