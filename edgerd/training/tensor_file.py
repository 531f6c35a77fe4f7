"""Tensors in a safetensors file that is replaced as a whole."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import save_file
from torch import Tensor

from edgerd.storage import replaced_file, storage_errors


def write_tensors(file: Path, tensors: Mapping[str, Tensor], metadata: Mapping[str, str], hint: str) -> None:
    """Write tensors; what was there before stays until they are on the disk.

    Args:
        file: Where to.
        tensors: On any device, of any layout.
        metadata: Goes into the file's header.
        hint: What to do next where the disk is full.

    Raises:
        StorageError: Disk full or no permission; the file from before is still there.
    """
    plain = {key: value.detach().cpu().contiguous() for key, value in tensors.items()}
    with storage_errors(file, hint), replaced_file(file) as part:
        try:
            save_file(plain, part, dict(metadata))
        except SafetensorError as error:  # while writing, it stands for an error of the disk
            number = re.search(r"os error (\d+)", str(error))
            raise OSError(int(number[1]), os.strerror(int(number[1]))) if number else OSError(str(error)) from error
