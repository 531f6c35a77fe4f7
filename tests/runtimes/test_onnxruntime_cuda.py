"""The CUDA provider on machines that lack something: what is missing, and what to type. Needs no GPU."""

from __future__ import annotations

import ctypes
import subprocess
import sys
from types import SimpleNamespace

import onnx
import pytest

from edgerd.building.typed_graph import typed_graph
from edgerd.cuda.properties import GpuProperties
from edgerd.errors import MissingDependencyError
from edgerd.runtimes.onnxruntime import cuda as onnxruntime_cuda
from edgerd.runtimes.onnxruntime import cuda_libraries as onnxruntime_cuda_libraries
from edgerd.runtimes.onnxruntime.cuda import OnnxRuntimeCuda

GPU = GpuProperties(name="Orin", capability=(8, 7), multiprocessors=8, memory_bytes=8 << 30, is_integrated=True)
NO_DRIVER = MissingDependencyError("There is no CUDA driver.", hint="Install the NVIDIA driver.")


def no_driver():
    raise NO_DRIVER


@pytest.fixture
def gpu_package(monkeypatch):
    """The package onnxruntime-gpu, as far as a probe looks at it; all libraries there, and a driver for them."""
    module = SimpleNamespace(
        __version__="1.31.1",
        cuda_version="13.0",
        get_available_providers=lambda: ["CUDAExecutionProvider", "CPUExecutionProvider"],
    )
    monkeypatch.setitem(sys.modules, "onnxruntime", module)
    monkeypatch.setattr(onnxruntime_cuda, "gpu_properties", lambda: GPU)
    monkeypatch.setattr(onnxruntime_cuda_libraries, "Driver", driver_for(13, 0))
    monkeypatch.setattr(onnxruntime_cuda_libraries, "_loaded", lambda _: "")
    return module


def driver_for(*version):
    """A driver that says for which CUDA it is."""
    return lambda: SimpleNamespace(cuda_version=lambda: version)


@pytest.fixture
def wheels(tmp_path, monkeypatch):
    """A folder of packages in Python's path, made with the libraries in it: `wheels("nvidia/cu13/lib/liba.so.1")`."""

    def make(*files):
        for file in files:
            library = tmp_path / file
            library.parent.mkdir(parents=True, exist_ok=True)
            command = ["gcc", "-shared", "-x", "c", "-", "-o", str(library), f"-Wl,-soname,{library.name}"]
            subprocess.run(command, input="int here;", text=True, check=True)
        monkeypatch.setattr(sys, "path", ["", str(tmp_path / "first"), str(tmp_path)])

    return make


def test_with_all_there_fp32_and_fp16_run(gpu_package):
    probe = OnnxRuntimeCuda().probe()
    assert (probe.version, probe.precisions, probe.fix) == ("1.31.1", ("fp32", "fp16"), "")
    assert "int8 needs TensorRT" in probe.reason


def test_the_cpu_package_is_not_enough(gpu_package):
    gpu_package.get_available_providers = lambda: ["CPUExecutionProvider"]
    probe = OnnxRuntimeCuda().probe()
    assert not probe.usable
    assert probe.version is None
    assert "onnxruntime-gpu" in probe.reason
    assert probe.fix.startswith("with an NVIDIA GPU: ")  # nobody else has to replace a package that works
    assert "pip uninstall -y onnxruntime && pip install" in probe.fix  # two packages in one folder


def test_without_a_driver_the_drivers_own_error_is_shown(gpu_package, monkeypatch):
    monkeypatch.setattr(onnxruntime_cuda, "gpu_properties", no_driver)
    probe = OnnxRuntimeCuda().probe()
    assert (probe.usable, probe.version) == (False, "1.31.1")
    assert (probe.reason, probe.fix) == (NO_DRIVER.what, NO_DRIVER.hint)
    with pytest.raises(MissingDependencyError, match="no CUDA driver") as raised:
        OnnxRuntimeCuda().build(b"", "fp32")
    assert raised.value.hint == NO_DRIVER.hint


@pytest.mark.parametrize(("cuda", "library"), [("13.0", "libcublas.so.13"), ("12.6", "libcublas.so.12")])
def test_a_library_that_is_missing_is_named(gpu_package, monkeypatch, cuda, library, graph):
    gpu_package.cuda_version = cuda
    reasons = {library: f"{library}: not found"}
    monkeypatch.setattr(onnxruntime_cuda_libraries, "_loaded", lambda name: reasons.get(name, ""))
    probe = OnnxRuntimeCuda().probe()
    assert not probe.usable
    assert library in probe.reason
    assert 'pip install "onnxruntime-gpu[cuda,cudnn]==1.31.1"' in probe.fix
    with pytest.raises(MissingDependencyError, match=library):
        OnnxRuntimeCuda().load(graph, OnnxRuntimeCuda().key("fp32", ""), {})


def test_cudnn_is_needed_although_the_provider_opens_without_it(gpu_package, monkeypatch):
    reasons = {"libcudnn.so.9": "libcudnn.so.9: not found"}
    monkeypatch.setattr(onnxruntime_cuda_libraries, "_loaded", lambda name: reasons.get(name, ""))
    assert "libcudnn.so.9" in OnnxRuntimeCuda().probe().reason


def test_a_driver_older_than_the_packages_cuda_is_said_to_be_so(gpu_package, monkeypatch):
    monkeypatch.setattr(onnxruntime_cuda_libraries, "Driver", driver_for(12, 4))
    probe = OnnxRuntimeCuda().probe()
    assert not probe.usable
    assert "built for CUDA 13, the driver is for CUDA 12.4" in probe.reason
    assert '"onnxruntime-gpu[cuda,cudnn]<1.27"' in probe.fix
    gpu_package.cuda_version = "12.6"  # any driver of the same major version will do
    assert OnnxRuntimeCuda().probe().usable


def test_libraries_are_found_in_wheels_that_do_not_lie_beside_the_package(wheels):
    name = "libedgerd-test-one.so.13"
    assert name in onnxruntime_cuda_libraries._loaded(name)
    wheels(f"nvidia/cu13/lib/{name}")
    assert onnxruntime_cuda_libraries._loaded(name) == ""
    assert ctypes.CDLL(name)  # now by its name, as the provider asks for it


def test_a_library_that_does_not_load_says_why(tmp_path, monkeypatch):
    file = tmp_path / "nvidia" / "cu13" / "lib" / "libedgerd-test-two.so.13"
    file.parent.mkdir(parents=True)
    file.write_bytes(b"no library")
    monkeypatch.setattr(sys, "path", [str(tmp_path)])
    assert "libedgerd-test-two.so.13" in onnxruntime_cuda_libraries._loaded(file.name)
    assert onnxruntime_cuda_libraries._loaded("libc.so.6") == ""


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
