"""Presets in TOML files, and the errors for those that make no sense."""

from __future__ import annotations

import re
from pathlib import Path

import onnx
import pytest
from onnx import helper

from edgerd.errors import InputError
from edgerd.precision.preset import PartPreset, Preset, load_preset
from edgerd.precision.scales import RANGE_METHODS, RangeChoice

PRESETS = Path(__file__).parents[2] / "calibration" / "presets"
NESTED = """
method = "percentile"
percentile = 99.9
[parts."decoder"]
method = "minmax"
[parts."decoder/stage1"]
percentile = 99.999
method = "percentile"
[parts."teacher/stem"]
precision = "high"
"""


@pytest.fixture
def write(tmp_path):
    def to_file(text: str) -> Path:
        file = tmp_path / "preset.toml"
        file.write_text(text, encoding="utf-8")
        return file

    return to_file


def test_the_longest_part_counts(write):
    preset = load_preset(write(NESTED))
    assert preset.choice("decoder/stage1.0.conv1/ConvTranspose") == RangeChoice("percentile", 99.999)
    assert preset.choice("decoder/stage2.0/Add") == RangeChoice("minmax", 99.9)
    assert preset.choice("embedding/Concat") == RangeChoice("percentile", 99.9)
    assert preset.choice("relu_3", "decoder/stage2.0/Relu").method == "minmax"
    assert preset.high_precision == ("teacher/stem",)


def test_choices_go_by_the_node_that_gives_a_tensor(write, graph):
    body = onnx.load_from_string(graph).graph
    choices = load_preset(write(NESTED)).choices(body)
    given = {node.name: node.output[0] for node in body.node}
    decoder = [tensor for name, tensor in given.items() if name.startswith("decoder/stage2")]
    assert decoder
    assert {choices[tensor].method for tensor in decoder} == {"minmax"}
    assert choices[given["embedding/Concat"]] == RangeChoice("percentile", 99.9)


def test_a_part_that_names_nothing_in_the_graph_is_an_error(write, graph):
    preset = load_preset(write('[parts."decoder/stag1"]\nmethod = "minmax"\n'))
    with pytest.raises(InputError, match=r"'decoder/stag1' names nothing in the graph") as caught:
        preset.choices(onnx.load_from_string(graph).graph)
    assert caught.value.hint == "Did you mean 'decoder/stage1'?"


def test_a_method_is_a_preset_by_its_name():
    assert load_preset("entropy") == Preset(method="entropy")
    assert load_preset(Preset().method) == Preset()


@pytest.mark.parametrize(
    ("text", "message", "hint"),
    [
        ('methd = "mse"', "preset.toml: there is no key 'methd'", "Did you mean 'method'?"),
        ('method = "entropie"', "preset.toml: method: there is no range method 'entropie'.* 'entropy'", None),
        ('[parts."decoder/stage1"]\nmetod = "mse"', r"'parts.\"decoder/stage1\".metod'", "Did you mean 'method'?"),
        ('[parts."decoder"]\nprecision = "fp16"', r"parts.decoder.precision: .*'int8' or 'high'", None),
        ("n_pictures = 4", "n_pictures: .* 8", None),
        ('method = "percentile"\npercentile = 101', "percentile: .* 100", None),
        ('method = "mse"\npercentile = 99.9', "percentile has no effect with the method 'mse'", None),
        ('[parts."decoder"]\npercentile = 99.9', r'parts."decoder".percentile has no effect', None),
        ('[parts.a]\nprecision = "high"\n[parts."a.b"]\nmethod = "mse"', r'parts."a.b" lies in parts."a"', None),
        ("method = mse", "preset.toml is not TOML", None),
    ],
)
def test_what_cannot_be_meant_is_named(write, text, message, hint):
    with pytest.raises(InputError) as caught:
        load_preset(write(text))
    assert re.search(message, caught.value.what)
    assert caught.value.hint == hint or hint is None


def test_a_preset_that_is_not_there_is_named_with_the_nearest():
    with pytest.raises(InputError, match="There is no preset 'minmx'") as caught:
        load_preset("minmx")
    assert caught.value.hint == "Did you mean 'minmax'?"


@pytest.mark.parametrize("method", RANGE_METHODS)
def test_the_presets_of_the_repository_are_the_methods(method):
    assert load_preset(PRESETS / f"{method}.toml") == Preset(method=method)


@pytest.mark.parametrize("method", RANGE_METHODS)
def test_the_examples_in_the_presets_work_as_they_stand(method, write, graph):
    text = (PRESETS / f"{method}.toml").read_text(encoding="utf-8")
    example = re.sub(r"(?m)^# (\[parts|method|percentile|precision)", r"\1", text)
    preset = load_preset(write(example))
    assert preset.parts
    preset.choices(onnx.load_from_string(graph).graph)


def test_a_part_ends_where_a_name_does():
    preset = Preset(
        method="mse",
        parts={"teacher/layer3.1": PartPreset(method="minmax"), "decoder/": PartPreset(precision="high")},
    )
    for name in ("teacher/layer3.1/Add", "teacher/layer3.1.conv1/Conv", "teacher/layer3.1"):
        assert preset.choice(name).method == "minmax"
    assert preset.choice("teacher/layer3.10.conv1/Conv").method == "mse"
    # beside a part in high precision, not in it
    Preset(parts={"teacher/layer3.1": PartPreset(precision="high"), "teacher/layer3.10": PartPreset(method="mse")})


def test_only_parts_of_the_networks_are_offered(write):
    names = ("input/cast", "teacher/layer1.0/Conv", "prototypes/pooled_0", "head/fused")
    nodes = [helper.make_node("Relu", [f"{name}_in"], [f"{name}_out"], name=name) for name in names]
    preset = load_preset(write('[parts."student"]\nmethod = "mse"\n'))
    with pytest.raises(InputError) as caught:
        preset.choices(helper.make_graph(nodes, "parts", [], []))
    assert caught.value.expected.endswith("such as teacher, teacher/layer1, teacher/layer1.0")


def test_half_a_name_is_no_part(write, graph):
    preset = load_preset(write('[parts."decoder/stage"]\nmethod = "mse"\n'))
    with pytest.raises(InputError, match="'decoder/stage' names nothing in the graph"):
        preset.choices(onnx.load_from_string(graph).graph)


def test_a_file_from_an_editor_that_begins_with_a_mark(tmp_path):
    file = tmp_path / "preset.toml"
    file.write_bytes(b"\xef\xbb\xbf" + b'method = "mse"\n')
    assert load_preset(file).method == "mse"
