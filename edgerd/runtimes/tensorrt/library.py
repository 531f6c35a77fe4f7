"""Whether TensorRT is there, without importing it at the top of anything."""

from __future__ import annotations

import ctypes

from edgerd.errors import MissingDependencyError

LIBRARY = "TensorRT"
FIX = (
    "TensorRT comes with JetPack on a Jetson (sudo apt-get install nvidia-jetpack; a virtual environment sees it if it "
    'was made with --system-site-packages), elsewhere pip install tensorrt. Then pip install "edgerd[tensorrt]".'
)


def tensorrt_version() -> str:
    """The version of TensorRT's Python package, "10.3.0".

    Raises:
        MissingDependencyError: It is not installed, or its libraries are not, or it is too old.
    """
    try:
        import tensorrt
    except (ImportError, OSError) as error:  # OSError: libnvinfer is not where the package looks for it
        raise MissingDependencyError(f"tensorrt cannot be imported: {error}.", hint=FIX) from error
    version = str(tensorrt.__version__)
    if not hasattr(tensorrt.NetworkDefinitionCreationFlag, "STRONGLY_TYPED") or not hasattr(
        tensorrt, "IProgressMonitor"
    ):
        raise MissingDependencyError(
            f"TensorRT {version} is too old: it has no strongly typed networks, or cannot be watched.",
            expected="TensorRT 10.3 or later",
            hint="On a Jetson that is JetPack 6.1 or later; elsewhere pip install --upgrade tensorrt.",
        )
    return version


def library_version(bindings: str) -> str:
    """The version of libnvinfer itself, "10.3.0"; empty where it cannot be asked.

    Args:
        bindings: Version of the Python package, which has imported the library.
    """
    try:
        library = ctypes.CDLL(f"libnvinfer.so.{bindings.partition('.')[0]}")
        number = int(library.getInferLibVersion())
    except (OSError, AttributeError):
        return ""
    return f"{number // 10000}.{number // 100 % 100}.{number % 100}"
