"""Teacher weights: from a file, from the package, or downloaded once into a cache and checked."""

from __future__ import annotations

import hashlib
import os
import pickle
import shutil
import tempfile
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from edgerd.errors import DownloadError, StorageError, WeightsError
from edgerd.models.teachers import Teacher, make_teacher
from edgerd.models.teachers.teacher import Download

Progress = Callable[[int, int | None], None]
"""Called with the bytes done and the bytes in all, where the server names them."""

_UNUSED = ("layer4.", "fc.")
_CHUNK_BYTES = 1 << 18


def load_teacher(name: str, weights: Path | None = None, progress: Progress | None = None) -> Teacher:
    """A pretrained teacher, frozen, in eval mode.

    Args:
        name: An entry of `TEACHERS`, or "timm:<model>".
        weights: A `.safetensors` or `.pth` file with torchvision's key names; layer 4 and the classifier may be
            missing. None takes what comes with the teacher, or downloads it.
        progress: Told about a download.

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
    """The tensors of a weights file. Nothing is unpickled but tensors (`weights_only=True`).

    Raises:
        WeightsError: The file is missing, damaged, or holds something else.
    """
    try:
        if file.suffix == ".safetensors":
            content: object = load_file(file)
        else:
            content = torch.load(file, map_location="cpu", weights_only=True)
    except (OSError, SafetensorError, pickle.UnpicklingError, RuntimeError, EOFError, ValueError) as error:
        raise WeightsError(
            f"{file} cannot be read as weights: {str(error).splitlines()[0]}",
            expected="a .safetensors file, or a .pth file that holds a dictionary of tensors",
            hint="Check the path, or fetch the file again.",
        ) from error
    if not isinstance(content, Mapping) or not all(isinstance(value, Tensor) for value in content.values()):
        raise WeightsError(f"{file} does not hold a dictionary of tensors.", expected="a state_dict")
    return dict(content)


def fill(teacher: Teacher, state: Mapping[str, Tensor], source: str) -> Teacher:
    """Load weights into a teacher; keys of layer 4 and the classifier are passed over.

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
            expected=f"{teacher.info.name} with torchvision's key names",
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


def cache_folder() -> Path:
    """Where downloads are kept: `$XDG_CACHE_HOME/edgerd`, by default `~/.cache/edgerd`."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "edgerd"


def download(source: Download, folder: Path, progress: Progress | None = None) -> Path:
    """Fetch a file into a folder unless it is there already; returns its path.

    Raises:
        DownloadError: No network, or a file with another hash; nothing is left behind.
        StorageError: The folder cannot be written.
    """
    target = folder / source.url.rpartition("/")[2]
    if target.is_file():
        return target
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=folder, prefix=f".{target.name}.") as part:
            digest = _fetch(source.url, part, progress)
            if not digest.startswith(source.sha256_prefix):
                raise DownloadError(
                    f"{source.url} gave a file whose SHA-256 begins with {digest[:8]}.",
                    expected=source.sha256_prefix,
                    hint="Try again; if it stays so, fetch the file yourself and use --teacher-weights FILE.",
                )
            shutil.copyfile(part.name, f"{part.name}.done")
            Path(f"{part.name}.done").replace(target)
    except urllib.error.URLError as error:
        raise DownloadError(
            f"{source.url} could not be fetched: {error.reason}.",
            expected="a network that reaches it, once",
            hint=f"Fetch {target.name} on another machine and use --teacher-weights FILE, "
            "or train with the built-in teacher: --teacher tiny",
        ) from error
    except OSError as error:
        raise StorageError(
            f"{folder} cannot be written: {error.strerror or error}.", hint="Set XDG_CACHE_HOME."
        ) from error
    return target


def _fetch(url: str, file: tempfile._TemporaryFileWrapper[bytes], progress: Progress | None) -> str:
    digest, done = hashlib.sha256(), 0
    with urllib.request.urlopen(url, timeout=30) as response:  # noqa: S310  addresses come from our table
        total = int(response.headers["Content-Length"]) if response.headers["Content-Length"] else None
        while chunk := response.read(_CHUNK_BYTES):
            file.write(chunk)
            digest.update(chunk)
            done += len(chunk)
            if progress:
                progress(done, total)
    file.flush()
    return digest.hexdigest()
