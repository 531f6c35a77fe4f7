"""Check at every export, on real pictures, that the exported graph gives what PyTorch gives."""

from __future__ import annotations

import numpy as np
import onnxruntime as ort
import torch
from torch.nn import functional as F

from edgerd.data.aspect import is_picture
from edgerd.errors import GateError
from edgerd.graph_names import ANOMALY_MAP, FRAME, SCORE
from edgerd.models.fusion import fusion_matrix, scores_of_maps
from edgerd.models.networks import Networks
from edgerd.models.normalise import image_from_frames
from edgerd.types import Float32Array, UInt8Array

MAX_MAP_ERROR = 1e-4
"""How far the graph's maps and scores may be from PyTorch's, in units of the map."""


@torch.inference_mode()
def reference_maps(networks: Networks, frames: UInt8Array, padded: bool = False) -> Float32Array:
    """The anomaly maps, computed in PyTorch as the paper has it: upsample each map, add them up, blur the sum.

    The graph computes them in another way, with the matrices of `edgerd.models.fusion`, which is so checked too.

    Args:
        networks: The networks in eval mode, on the CPU.
        frames: uint8 (N, H, W, 3), BGR.
        padded: Whether they are prepared with aspect `letterbox`.

    Returns:
        float32 (N, H, W); 0 in the padding.
    """
    height, width = frames.shape[1:3]
    features = networks.teacher(image_from_frames(torch.from_numpy(frames), networks.teacher.info))
    total = torch.zeros(len(frames), height, width)
    for weight, one in zip(networks.fusion.weights, networks.maps(features), strict=True):
        total += weight * F.interpolate(one[:, None], size=(height, width), mode="bilinear", align_corners=True)[:, 0]
    blur_rows, blur_columns = (torch.tensor(fusion_matrix(size, size)) for size in (height, width))
    maps: Float32Array = (blur_rows @ total @ blur_columns.T).numpy()
    return maps * is_picture(frames) if padded else maps


def check_against_networks(graph: bytes, networks: Networks, frames: UInt8Array, padded: bool = False) -> float:
    """Compare the graph on ONNX Runtime with the networks in PyTorch, picture by picture.

    Args:
        graph: The fused graph, ONNX.
        networks: The networks that it was exported from, in eval mode, on the CPU.
        frames: uint8 (N, H, W, 3), BGR, N >= 1.
        padded: Whether they are prepared with aspect `letterbox`.

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
        anomaly_map, score = session.run([ANOMALY_MAP, SCORE], {FRAME: frame[None]})
        expected = reference_maps(networks, frame[None], padded)
        wanted = scores_of_maps(expected, networks.fusion)
        differences = [error, np.abs(anomaly_map - expected).max(), np.abs(score - wanted).max()]
        error = float(np.max(differences))  # NaN stays NaN, which Python's max would lose
    if not error <= MAX_MAP_ERROR:
        raise GateError(
            f"The exported graph's maps or scores differ from PyTorch's by {error:.2e}.",
            expected=f"{MAX_MAP_ERROR:.0e} or less on {len(frames)} pictures",
            hint="Report this with the versions that edgerd doctor prints.",
        )
    return error
