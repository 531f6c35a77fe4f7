"""Does the exported graph give what PyTorch gives? Asked on real pictures, at every export."""

from __future__ import annotations

import numpy as np
import onnxruntime as ort
import torch
from torch.nn import functional as F

from edgerd.errors import GateError
from edgerd.export.fusion import fusion_matrix
from edgerd.models.normalise import image_from_frames
from edgerd.models.student import Student
from edgerd.models.teachers import Teacher
from edgerd.types import Float32Array, UInt8Array

MAX_MAP_ERROR = 1e-4


@torch.inference_mode()
def reference_maps(teacher: Teacher, student: Student, frames: UInt8Array) -> Float32Array:
    """The anomaly maps as the paper computes them, in PyTorch: upsample each scale, add, blur.

    Args:
        teacher: In eval mode, on the CPU.
        student: Likewise.
        frames: uint8 (N, H, W, 3), BGR.

    Returns:
        float32 (N, H, W).
    """
    height, width = frames.shape[1:3]
    features = teacher(image_from_frames(torch.from_numpy(frames), teacher.info))
    total = torch.zeros(len(frames), height, width)
    for wanted, given in zip(features, student(features), strict=True):
        distance = 1.0 - F.cosine_similarity(wanted, given, dim=1)
        total += F.interpolate(distance[:, None], size=(height, width), mode="bilinear", align_corners=True)[:, 0]
    rows, columns = (torch.from_numpy(fusion_matrix(size, size)) for size in (height, width))
    maps: Float32Array = (rows @ total @ columns.T).numpy()
    return maps


def check_against_networks(graph: bytes, teacher: Teacher, student: Student, frames: UInt8Array) -> float:
    """Compare the graph on ONNX Runtime with the networks in PyTorch, picture by picture.

    Args:
        graph: The fused graph, ONNX.
        teacher: In eval mode, on the CPU.
        student: Likewise.
        frames: uint8 (N, H, W, 3), BGR; one at least.

    Returns:
        The largest absolute difference of maps and scores.

    Raises:
        GateError: It is above `MAX_MAP_ERROR`, or not finite.
    """
    options = ort.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    session = ort.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
    error = 0.0
    for frame in frames:
        anomaly_map, score = session.run(["anomaly_map", "score"], {"frame": frame[None]})
        expected = reference_maps(teacher, student, frame[None])
        differences = [error, np.abs(anomaly_map - expected).max(), abs(score[0] - expected.max())]
        error = float(np.max(differences))  # NaN stays NaN, which Python's max would lose
    if not error <= MAX_MAP_ERROR:
        raise GateError(
            f"The exported graph's maps or scores differ from PyTorch's by {error:.2e}.",
            expected=f"{MAX_MAP_ERROR:.0e} or less on {len(frames)} pictures",
            hint="Report this with the versions that edgerd doctor prints.",
        )
    return error
