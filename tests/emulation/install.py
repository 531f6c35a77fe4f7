"""Makes what the emulation runs on: `python tests/emulation/install.py [FOLDER]`.

    FOLDER/headers         cuda.h
    FOLDER/native          the stand-in for libcuda
    FOLDER/python          pycuda, compiled from its source against the two above
    FOLDER/tools           pybind11-stubgen
    FOLDER/tensorrt/10.13  the bindings of one version, and lib/ with stand-ins for its libraries

Beside them the tests keep FOLDER/kernels (bin/nvcc) and FOLDER/mypy (stubs.py), which can be deleted at any time.

A C++ compiler is needed, a CUDA toolkit is not. Each step is skipped where its result is there and up to date, so that
a second call takes no time. pycuda takes a minute and a half, the rest seconds.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Callable
from pathlib import Path

if __package__:
    from .versions import CUDA_HEADERS, PYCUDA, STUBGEN, VERSIONS, Version
else:  # run as a script
    from versions import CUDA_HEADERS, PYCUDA, STUBGEN, VERSIONS, Version  # type: ignore[no-redef]

NATIVE = Path(__file__).parent / "native"
FOLDER = Path(__file__).parents[2] / ".emulation"
CUDA_SOURCES = ("device", "streams", "graphs", "contexts", "memory", "kernels", "unsupported")


class InstallError(Exception):
    """Something that the emulation needs cannot be had on this machine."""


def install(folder: Path = FOLDER) -> Path:
    """Make or bring up to date what is in `folder`.

    Raises:
        InstallError: No compiler, no package index, a build that failed; the message has the command's own words.
    """
    if sys.platform != "linux" or os.uname().machine != "x86_64":
        raise InstallError("the stand-ins follow the calling convention of Linux on x86-64")
    if not shutil.which("g++"):
        raise InstallError("there is no g++; `apt-get install g++` brings it")
    folder.mkdir(parents=True, exist_ok=True)
    package, release = CUDA_HEADERS
    _once(folder / "headers", release, lambda target: _headers(target, f"{package}=={release}"))
    _once(folder / "native", _digest(*sorted(NATIVE.iterdir())), lambda target: _libcuda(target, folder / "headers"))
    _once(folder / "python", f"{PYCUDA} {sys.version_info[:2]}", lambda target: _pycuda(target, folder))
    _once(folder / "tools", STUBGEN, lambda target: _pip("install", "--no-deps", "--target", target, STUBGEN))
    for version in VERSIONS.values():
        stamp = f"{version} {sys.version_info[:2]} {_digest(NATIVE / 'tensorrt.cpp')}"
        _once(folder / "tensorrt" / version.name, stamp, lambda target, version=version: _tensorrt(target, version))
    return folder


def _once(target: Path, stamp: str, make: Callable[[Path], None]) -> None:
    """Call `make` for a folder that is not there or was made from something else; never leaves half of one."""
    mark = target / ".made-from"
    if mark.is_file() and mark.read_text() == stamp:
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent) as scratch:
        fresh = Path(scratch) / target.name
        fresh.mkdir()
        make(fresh)
        (fresh / ".made-from").write_text(stamp)
        shutil.rmtree(target, ignore_errors=True)
        fresh.rename(target)


def _digest(*files: Path) -> str:
    return hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()


def _run(*command: str | Path, cwd: Path | None = None, **environment: str) -> None:
    ended = subprocess.run(
        [str(word) for word in command], cwd=cwd, env=os.environ | environment, capture_output=True, text=True
    )
    if ended.returncode:
        raise InstallError(f"{' '.join(map(str, command))} failed:\n{ended.stdout[-2000:]}{ended.stderr[-4000:]}")


def _pip(*words: str | Path) -> None:
    _run(sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check", *words)


def _headers(target: Path, requirement: str) -> None:
    with tempfile.TemporaryDirectory() as scratch:
        _pip("download", "--no-deps", "--dest", scratch, requirement)
        (wheel,) = Path(scratch).glob("*.whl")
        with zipfile.ZipFile(wheel) as archive:
            (target / "cuda.h").write_bytes(archive.read("nvidia/cuda_runtime/include/cuda.h"))
    shutil.copy(NATIVE / "cudaProfiler.h", target)


def _libcuda(target: Path, headers: Path) -> None:
    sources = [NATIVE / f"{name}.cpp" for name in CUDA_SOURCES]
    library = target / "libcuda.so.1"
    flags = ("-std=gnu++17", "-O1", "-fPIC", "-shared", "-Wl,-soname,libcuda.so.1", "-Wno-deprecated-declarations")
    _run("g++", *flags, "-I", headers, *sources, "-o", library, "-ldl", "-pthread")
    (target / "libcuda.so").symlink_to(library.name)  # what -lcuda looks for


def _pycuda(target: Path, folder: Path) -> None:
    """Build pycuda with the settings that its README names for a machine without the toolkit."""
    with tempfile.TemporaryDirectory() as scratch:
        _pip("download", "--no-deps", "--no-binary", "pycuda", "--dest", scratch, f"pycuda=={PYCUDA}")
        (archive,) = Path(scratch).glob("*.tar.gz")
        with tarfile.open(archive) as files:
            files.extractall(scratch, filter="data")
        source = Path(scratch) / f"pycuda-{PYCUDA}"
        settings = {
            "CUDA_ROOT": str(folder),
            "CUDA_INC_DIR": [str(folder / "headers")],
            "CUDADRV_LIB_DIR": [str(folder / "native")],
            "CUDA_ENABLE_CURAND": False,
            "CXXFLAGS": ["-O0", "-g0", "-w"],  # half the time of an optimised build
        }
        (source / "siteconf.py").write_text("".join(f"{name} = {value!r}\n" for name, value in settings.items()))
        _pip("install", "--target", target, source)


def _tensorrt(target: Path, version: Version) -> None:
    _pip("install", "--no-deps", "--target", target, f"{version.package}=={version.release}")
    libraries = target / "lib"
    libraries.mkdir()
    for name, macro in (("nvinfer", "NVINFER"), ("nvinfer_plugin", "PLUGIN"), ("nvonnxparser", "ONNXPARSER")):
        file = libraries / f"lib{name}.so.{version.soname}"
        flags = ("-std=gnu++17", "-O1", "-fPIC", "-shared", f"-Wl,-soname,{file.name}", "-w")
        _run("g++", *flags, f"-D{macro}", f"-DVERSION={version.number}", NATIVE / "tensorrt.cpp", "-o", file)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Installs what the emulated GPU tests need.")
    parser.add_argument("folder", type=Path, nargs="?", default=FOLDER)
    try:
        install(parser.parse_args().folder.resolve())
    except InstallError as error:
        sys.exit(str(error))
