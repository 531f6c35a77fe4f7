"""Does the exported graph give what PyTorch gives? Asked on real pictures, at every export."""

from __future__ import annotations

import numpy as np
import onnxruntime as ort
import torch

from edgerd.errors import GateError
from edgerd.models.fusion import fused, scores_of_maps
from edgerd.models.networks import Networks
from edgerd.models.normalise import image_from_frames
from edgerd.types import Float32Array, UInt8Array

MAX_ERROR = 1e-4
"""Of maps and scores, as a part of the largest value of the map (which is 1 at least)."""


@torch.inference_mode()
def reference_maps(networks: Networks, frames: UInt8Array) -> Float32Array:
    """The anomaly maps from PyTorch's features.

    Args:
        networks: In eval mode, on the CPU.
        frames: uint8 (N, H, W, 3), BGR.

    Returns:
        float32 (N, H, W).
    """
    features = networks.teacher(image_from_frames(torch.from_numpy(frames), networks.teacher.info))
    return fused(tuple(one.numpy() for one in networks.maps(features)), networks.fusion, *frames.shape[1:3])


def check_against_networks(graph: bytes, networks: Networks, frames: UInt8Array) -> float:
    """Compare the graph on ONNX Runtime with the networks in PyTorch, picture by picture.

    Args:
        graph: The fused graph, ONNX.
        networks: In eval mode, on the CPU.
        frames: uint8 (N, H, W, 3), BGR; one at least.

    Returns:
        The largest absolute difference of maps and scores.

    Raises:
        GateError: It is above `MAX_ERROR`, or not finite.
    """
    options = ort.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    session = ort.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
    error = allowed = 0.0
    for frame in frames:
        anomaly_map, score = session.run(["anomaly_map", "score"], {"frame": frame[None]})
        expected = reference_maps(networks, frame[None])
        wanted = scores_of_maps(expected, networks.fusion)
        differences = [error, np.abs(anomaly_map - expected).max(), np.abs(score - wanted).max()]
        error = float(np.max(differences))  # NaN stays NaN, which Python's max would lose
        allowed = max(allowed, MAX_ERROR * max(1.0, float(expected.max())))
    if not error <= allowed:
        raise GateError(
            f"The exported graph's maps or scores differ from PyTorch's by {error:.2e}.",
            expected=f"{allowed:.0e} or less on {len(frames)} pictures",
            hint="Report this with the versions that edgerd doctor prints.",
        )
    return error
