"""The TensorRT versions that edgerd supports, and what the emulation installs for each."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Version:
    """One TensorRT.

    Attributes:
        name: As a person types it.
        package: The distribution with the Python bindings, on PyPI.
        release: Its version there.
        found_in: Where it comes preinstalled.
    """

    name: str
    package: str
    release: str
    found_in: str

    @property
    def soname(self) -> str:
        """The suffix of the file names of its libraries."""
        return self.release.split(".")[0]

    @property
    def number(self) -> int:
        """The version as `getInferLibVersion` returns it: 10.13.3 is 101303."""
        major, minor, patch = (int(part) for part in self.release.split(".")[:3])
        return major * 10000 + minor * 100 + patch


VERSIONS = {
    version.name: version
    for version in (
        Version("10.3", "tensorrt-cu12-bindings", "10.3.0", "JetPack 6"),
        Version("10.13", "tensorrt-cu13-bindings", "10.13.3.9", "JetPack 7.0"),
        Version("10.16", "tensorrt-cu13-bindings", "10.16.1.11", "JetPack 7.1"),
        Version("11.4", "tensorrt-cu13-bindings", "11.4.0.106", "JetPack 7.2.2"),
    )
}
MAIN = "10.13"
"""The version in which tests run that do not touch TensorRT."""

PYCUDA = "2026.1"
CUDA_HEADERS = ("nvidia-cuda-runtime-cu12", "12.6.77")
"""Only cuda.h is used of it: it declares what pycuda is compiled against and what the stand-in implements."""
STUBGEN = "pybind11-stubgen==3.0.0"
