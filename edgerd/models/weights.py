"""Teacher weights: from a file, from the package, or from a download; checked before they are used."""

from __future__ import annotations

import hashlib
import pickle
import struct
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from edgerd.errors import WeightsError
from edgerd.models.download import DownloadProgress, download
from edgerd.models.teachers import Teacher, make_teacher
from edgerd.paths import cache_folder, is_file, why_missing

_UNUSED = ("layer4.", "fc.")
_UNREADABLE = (
    *(OSError, SafetensorError, pickle.UnpicklingError, RuntimeError, EOFError),
    # a damaged pickle breaks torch's reader in any of these ways
    *(ArithmeticError, AssertionError, AttributeError, LookupError, TypeError, ValueError, struct.error),
)


def load_teacher(name: str, weights: Path | None = None, progress: DownloadProgress | None = None) -> Teacher:
    """A pretrained teacher, frozen, in eval mode.

    Args:
        name: An entry of `TEACHERS`, or "timm:<model>".
        weights: A `.safetensors` or `.pth` file with the teacher's key names, for ResNets torchvision's; layer 4 and
            the classifier may be missing. None takes what comes with the teacher, or downloads it.
        progress: Called while weights are downloaded.

    Raises:
        InputError: There is no such teacher.
        WeightsError: The file is of another architecture, not a weights file, or holds NaN or infinity.
        DownloadError: The weights could not be fetched; the message names the file option.
    """
    teacher = make_teacher(name)
    if weights is not None:
        return fill(teacher, read_weights(weights), str(weights))
    state = teacher.pretrained_here()
    if state is not None:
        return fill(teacher, state, f"the weights of {name}")
    if teacher.info.download is None:
        raise WeightsError(f"The teacher {name} has no weights of its own.", hint="--teacher-weights FILE")
    file = download(teacher.info.download, cache_folder(), progress)
    return fill(teacher, read_weights(file), str(file))


def read_weights(file: Path) -> dict[str, Tensor]:
    """The tensors of a weights file, on the CPU. Nothing but tensors is unpickled (`weights_only=True`).

    Raises:
        WeightsError: The file is missing, damaged, or holds something else.
    """
    expected = "a .safetensors file, or a .pth file that holds a dictionary of tensors"
    if not is_file(file):
        raise WeightsError(why_missing(file, "file"), expected=expected, hint="Check the path.")
    try:
        if file.suffix == ".safetensors":
            content: object = load_file(file)
        else:
            content = torch.load(file, map_location="cpu", weights_only=True)
    except _UNREADABLE as error:
        raise WeightsError(
            f"{file} cannot be read as weights: {_reason(error)}.",
            expected=expected,
            hint="Fetch the file again, or save the model's state_dict alone.",
        ) from error
    if not isinstance(content, Mapping) or not all(isinstance(value, Tensor) for value in content.values()):
        raise WeightsError(
            f"{file} does not hold a dictionary of tensors.",
            expected=expected,
            hint="Save the model's state_dict alone.",
        )
    return dict(content)


def fill(teacher: Teacher, state: Mapping[str, Tensor], source: str) -> Teacher:
    """Load weights into a teacher; keys of layer 4 and the classifier are ignored.

    Args:
        teacher: The teacher to fill.
        state: Weights by key name.
        source: Where the weights came from, for error messages.

    Returns:
        `teacher`.

    Raises:
        WeightsError: Keys or shapes are another architecture's, or a value is not finite.
    """
    wanted = teacher.state_dict()
    counters = {key for key in wanted if key.endswith("num_batches_tracked")}
    missing = sorted(set(wanted) - set(state) - counters)
    unknown = sorted(key for key in set(state) - set(wanted) if not key.startswith(_UNUSED))
    reshaped = sorted(key for key in set(state) & set(wanted) if state[key].shape != wanted[key].shape)
    differences = [f"{key} is missing" for key in missing] + [f"{key} is not known" for key in unknown]
    differences += [f"{key} is {tuple(state[key].shape)}, not {tuple(wanted[key].shape)}" for key in reshaped]
    if differences:
        shown = "; ".join(differences[:3]) + (f"; and {len(differences) - 3} more" if len(differences) > 3 else "")
        raise WeightsError(
            f"{source} does not fit the teacher {teacher.info.name}: {shown}.",
            expected=f"the weights of {teacher.info.name}, of a ResNet with torchvision's key names",
            hint="Name the teacher that the file belongs to with --teacher.",
        )
    check_finite(state, source)
    teacher.load_state_dict({key: state.get(key, wanted[key]) for key in wanted})
    return teacher


def check_finite(state: Mapping[str, Tensor], source: str) -> None:
    """Raise WeightsError at the first tensor with NaN or infinity."""
    for key, tensor in state.items():
        if tensor.is_floating_point() and not bool(torch.isfinite(tensor).all()):
            raise WeightsError(
                f"{source} has values that are not finite in {key}.",
                expected="finite weights",
                hint="Fetch the file again; for a run of your own, train again with another --seed.",
            )


def tensors_sha256(state: Mapping[str, Tensor]) -> str:
    """SHA-256 over tensors on the CPU: their names, types, shapes and values."""
    digest = hashlib.sha256()
    for key, tensor in sorted(state.items()):
        digest.update(f"{key} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        digest.update(tensor.contiguous().numpy().tobytes())
    return digest.hexdigest()


def _reason(error: Exception) -> str:
    if isinstance(error, OSError):
        return error.strerror or str(error)
    if isinstance(error, pickle.UnpicklingError) and "global" in str(error).lower():
        return "it holds Python objects beside tensors, and those are never unpickled"
    return "it is damaged, or no weights file"
