"""The layer report, read from what engine inspectors of several versions print."""

import json

import pytest

from edgerd.runtimes.tensorrt.layers import layer_report
from edgerd.runtimes.tensorrt.options import BuildOptions, batches_from


def layer(name, kind, source, target=None):
    tensors = {"Inputs": [{"Name": "x", "Format/Datatype": source}]}
    tensors["Outputs"] = [{"Name": "y", "Format/Datatype": target or source}]
    return {"Name": name, "LayerType": kind} | tensors


INT8_32 = "Thirty-two wide channel vectorized row major Int8 format"
FP16 = "Channel major FP16 format where channel % 8 == 0"
ENGINE = [
    layer("Reformatting CopyNode for Input Tensor 0 to conv1", "Reformat", "Row major linear FP32", INT8_32),
    layer("conv1 + relu1", "CaskConvolution", INT8_32),
    layer("conv2", "CaskConvolution", FP16),
    layer("up", "CaskDeconvolutionV2", "Half"),
    layer("__myl_Cast_1", "kgen", "Float"),
    layer("gemm", "gemm", "BFloat16"),
]


def report(precision="int8", layers=ENGINE, times=None):
    return layer_report(json.dumps({"Layers": layers, "Bindings": []}), precision, times or {})


def test_precision_is_what_a_layer_reads():
    assert [layer.precision for layer in report().layers] == ["fp32", "int8", "fp16", "fp16", "fp32", "bf16"]


@pytest.mark.parametrize(
    ("text", "precision"),
    [("UINT8", "uint8"), ("Int8", "int8"), ("FLOAT16", "fp16"), ("FLOAT", "fp32"), ("Int64", "int64"), ("?!", "?")],
)
def test_types_as_versions_write_them(text, precision):
    assert report(layers=[layer("a", "kgen", text)]).layers[0].precision == precision


def test_convolutions_that_are_not_int8_are_flagged_in_an_int8_engine_only():
    assert [layer.name for layer in report().float_convolutions] == ["conv2", "up"]
    assert report("fp16").float_convolutions == ()
    assert "2 convolutions are not INT8: conv2, up" in report().lines()


def test_reformats_are_flagged():
    assert [layer.kind for layer in report().reformats] == ["Reformat"]
    assert any(line.startswith("1 only change formats: Reformatting") for line in report().lines())


def test_the_slowest_ten():
    layers = [layer(f"l{index}", "kgen", "Half") for index in range(30)]
    found = report(layers=layers, times={f"l{index}": float(index) for index in range(29)})
    assert [layer.name for layer in found.slowest] == [f"l{index}" for index in range(28, 18, -1)]
    assert found.lines()[-10].startswith("28.000 ms  fp16")
    assert report().slowest == ()


def test_names_alone_and_no_json_at_all():
    assert [layer.name for layer in report(layers=["a", "b"]).layers] == ["a", "b"]
    assert layer_report("not JSON", "fp32", {}).layers == ()


# options


@pytest.mark.parametrize(("text", "batches"), [("1:4:8", (1, 4, 8)), ("3", (3, 3, 3))])
def test_a_profile_is_read(text, batches):
    assert batches_from(text) == batches


@pytest.mark.parametrize("text", ["", "0", "4:2:8", "1:2", "a:b:c", "1:2:3:4", "-1:1:1"])
def test_what_is_no_profile_is_refused(text):
    from edgerd.errors import InputError

    with pytest.raises(InputError, match="MIN:OPT:MAX"):
        batches_from(text)


def test_options_are_written_as_they_are_typed():
    options = BuildOptions(profile=(1, 2, 4), workspace_mib=64, opt_level=0, strip=True, hardware_compatible=True)
    assert options.flags == "--workspace 64 --opt-level 0 --profile 1:2:4 --hardware-compatible --strip"
    assert BuildOptions().flags == ""
