"""The device that training computes on, its threads, and deterministic computation."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any, Literal

import torch

from edgerd.errors import MissingDependencyError

DeviceName = Literal["auto", "cpu", "cuda"]


def torch_device(name: DeviceName) -> torch.device:
    """The device to train on; "auto" takes CUDA where there is a CUDA device.

    Raises:
        MissingDependencyError: "cuda" is asked for and there is none.
    """
    if name == "cuda" and not torch.cuda.is_available():
        raise MissingDependencyError(
            f"PyTorch {torch.__version__} finds no CUDA device.",
            expected="an NVIDIA GPU, its driver, and a CUDA build of PyTorch",
            hint="edgerd doctor, or train with --device cpu",
        )
    return torch.device("cuda" if name != "cpu" and torch.cuda.is_available() else "cpu")


def default_threads(cores: int) -> int:
    """CPU threads to train with: two threads on two shared cores wait for each other more than they help."""
    return 1 if cores <= 2 else cores


def use_threads(n: int) -> None:
    """Let torch compute with `n` CPU threads in this process."""
    torch.set_num_threads(n)


@contextmanager
def deterministic() -> Iterator[None]:
    """Same seed, same weights: deterministic kernels inside, torch's settings as they were afterwards."""
    before = torch.are_deterministic_algorithms_enabled(), torch.is_deterministic_algorithms_warn_only_enabled()
    memory: Any = torch.utils.deterministic
    benchmark, fill = torch.backends.cudnn.benchmark, memory.fill_uninitialized_memory
    torch.use_deterministic_algorithms(True, warn_only=True)
    torch.backends.cudnn.benchmark = False
    memory.fill_uninitialized_memory = False  # nothing here reads it, and filling takes a fifth of a step
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(before[0], warn_only=before[1])
        torch.backends.cudnn.benchmark = benchmark
        memory.fill_uninitialized_memory = fill


def autocast(device: torch.device) -> AbstractContextManager[object]:
    """bfloat16 on CUDA; float32 elsewhere."""
    return torch.autocast("cuda", dtype=torch.bfloat16) if device.type == "cuda" else nullcontext()
