"""The names in the fused graph: what the exporter writes, and what every reader of a graph finds its way by.

    frame -> input/ -> teacher/ -> embedding/ -> decoder/ -> head/ -> anomaly_map, score
                          +------> prototypes/ ---------------^

A node's name begins with the name of its part and a slash. The three parts that are trained networks are teacher,
embedding and decoder; after the slash come the names of the network's modules: "decoder/stage1.0.conv1/Conv".

The names travel in every bundle. Another spelling here makes bundles that were exported before unreadable.
"""

from __future__ import annotations

FRAME = "frame"
"""The input: uint8 (N, H, W, 3), BGR, with N free."""
ANOMALY_MAP = "anomaly_map"
"""An output: float32 (N, H, W)."""
SCORE = "score"
"""An output: float32 (N,)."""

CENTRED = "centred"
"""What the networks read: float32 (N, 3, H, W), BGR minus the teacher's mean colour, in grey levels."""
TEACHER_FEATURES = ("teacher_0", "teacher_1", "teacher_2")
"""The teacher's feature maps, float32 (N, C, h_k, w_k), finest first."""
STUDENT_FEATURES = ("student_0", "student_1", "student_2")
"""What the student gives back of each, in the same order; a student may lack the finest ones."""

INPUT, PROTOTYPES, HEAD = "input", "prototypes", "head"
"""The parts that are no trained networks: what prepares the frame, the distances to prototypes of good parts and from
what is usual at each position, and what makes map and score of all that."""

INPUT_PREFIX, PROTOTYPES_PREFIX, HEAD_PREFIX = f"{INPUT}/", f"{PROTOTYPES}/", f"{HEAD}/"
"""How names of nodes and of their tensors begin in these parts."""
FLOAT_PREFIXES = (PROTOTYPES_PREFIX, HEAD_PREFIX)
"""What is FP32 or BF16 in every graph, never FP16 or INT8; the head is FP32 always."""
UNQUANTIZED_PREFIXES = (INPUT_PREFIX, *FLOAT_PREFIXES)
"""What is never INT8: all but the networks."""
