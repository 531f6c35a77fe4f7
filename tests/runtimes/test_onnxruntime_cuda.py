"""The CUDA provider on machines that lack something: what is missing, and what to type. Needs no GPU."""

from __future__ import annotations

import sys
from types import SimpleNamespace

import onnx
import pytest

from edgerd.building.typed_graph import typed_graph
from edgerd.cuda.properties import GpuProperties
from edgerd.errors import MissingDependencyError
from edgerd.runtimes import onnxruntime_cuda
from edgerd.runtimes.onnxruntime_cuda import OnnxRuntimeCuda

GPU = GpuProperties(name="Orin", capability=(8, 7), memory_bytes=8 << 30, is_integrated=True)
NO_DRIVER = MissingDependencyError("There is no CUDA driver.", hint="Install the NVIDIA driver.")


@pytest.fixture
def gpu_package(monkeypatch):
    """The package onnxruntime-gpu, as far as a probe looks at it; all libraries there."""
    module = SimpleNamespace(
        __version__="1.31.1",
        cuda_version="13.0",
        get_available_providers=lambda: ["CUDAExecutionProvider", "CPUExecutionProvider"],
        preload_dlls=lambda: sys.stdout.write("Failed to load libcublasLt.so.13"),
    )
    monkeypatch.setitem(sys.modules, "onnxruntime", module)
    monkeypatch.setattr(onnxruntime_cuda, "gpu_properties", lambda: GPU)
    monkeypatch.setattr(onnxruntime_cuda, "_reason", lambda _: "")
    return module


def test_with_all_there_fp32_and_fp16_run(gpu_package, capsys):
    probe = OnnxRuntimeCuda().probe()
    assert (probe.version, probe.precisions, probe.fix) == ("1.31.1", ("fp32", "fp16"), "")
    assert "int8 needs TensorRT" in probe.reason
    assert capsys.readouterr().out == ""  # what ONNX Runtime prints is not ours to show


def test_the_cpu_package_is_not_enough(gpu_package):
    gpu_package.get_available_providers = lambda: ["CPUExecutionProvider"]
    probe = OnnxRuntimeCuda().probe()
    assert not probe.usable
    assert probe.version is None
    assert "onnxruntime-gpu" in probe.reason
    assert "pip uninstall onnxruntime" in probe.fix  # two packages in one folder


def test_without_a_driver_the_drivers_own_error_is_shown(gpu_package, monkeypatch):
    def no_driver():
        raise NO_DRIVER

    monkeypatch.setattr(onnxruntime_cuda, "gpu_properties", no_driver)
    probe = OnnxRuntimeCuda().probe()
    assert (probe.usable, probe.version) == (False, "1.31.1")
    assert (probe.reason, probe.fix) == (NO_DRIVER.what, NO_DRIVER.hint)


@pytest.mark.parametrize(("cuda", "library"), [("13.0", "libcublas.so.13"), ("12.6", "libcublas.so.12")])
def test_a_library_that_is_missing_is_named(gpu_package, monkeypatch, cuda, library, graph):
    gpu_package.cuda_version = cuda
    monkeypatch.setattr(onnxruntime_cuda, "_reason", lambda name: f"{name}: not found" if name == library else "")
    probe = OnnxRuntimeCuda().probe()
    assert not probe.usable
    assert library in probe.reason
    assert "onnxruntime-gpu[cuda,cudnn]" in probe.fix
    with pytest.raises(MissingDependencyError, match=library):
        OnnxRuntimeCuda().load(graph, OnnxRuntimeCuda().key("fp32", ""), {})


def test_the_real_loader_says_which_library_is_missing():
    assert onnxruntime_cuda._reason("libc.so.6") == ""
    assert "libthere-is-none.so.13" in onnxruntime_cuda._reason("libthere-is-none.so.13")


def test_fp16_is_compiled_from_the_typed_graph_that_tensorrt_takes(bundle):
    with_graph = bundle.save_with(bundle.manifest, {"graph.fp16.trt.onnx": b"typed"})
    assert typed_graph(with_graph, "fp16", int8_flavour="").content == b"typed"


def test_only_what_is_known_to_be_the_same_is_said_to_be_of_opset_19(graph):
    model = onnx.load_from_string(graph)
    model.opset_import[0].version = 20
    assert onnx.load_from_string(onnxruntime_cuda._at_opset_19(model.SerializeToString())).opset_import[0].version == 19
    model.graph.node.append(onnx.helper.make_node("Gelu", ["frame"], ["gelu"]))
    content = model.SerializeToString()
    assert onnxruntime_cuda._at_opset_19(content) == content
    assert onnxruntime_cuda._at_opset_19(b"not ONNX") == b"not ONNX"
