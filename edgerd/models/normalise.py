"""Prepared pictures as a teacher expects them."""

from __future__ import annotations

import torch
from torch import Tensor

from edgerd.models.teachers.teacher import TeacherInfo


def image_from_frames(frames: Tensor, info: TeacherInfo) -> Tensor:
    """Normalise prepared pictures, as the exported graph does inside.

    Args:
        frames: uint8 (N, H, W, 3), BGR.
        info: The teacher, for its mean and standard deviation.

    Returns:
        float32 (N, 3, H, W), RGB, on the frames' device.
    """
    mean = torch.tensor(info.mean, device=frames.device).view(1, 3, 1, 1)
    std = torch.tensor(info.std, device=frames.device).view(1, 3, 1, 1)
    rgb = frames.flip(-1).permute(0, 3, 1, 2).float() / 255.0
    return (rgb - mean) / std
