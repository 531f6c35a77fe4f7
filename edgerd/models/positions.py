"""How unusual each patch of a picture is for its position.

PaDiM's idea (Defard et al., "PaDiM: a Patch Distribution Modeling Framework for Anomaly Detection and Localization",
ICPR workshops 2021) with a diagonal covariance: on parts that lie still, each position has a mean and a spread of its
own, and a patch that would be normal elsewhere is not normal there. On parts that lie any way round the map says
little, varies much from one good picture to the next, and counts for little in the sum.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from edgerd.models.prototypes import pooled
from edgerd.models.teachers.teacher import Features, TeacherInfo


class Positions(nn.Module):
    """Mean and spread of the features at each position of good parts, and the map of distances to them.

    The features are those of the prototypes' patches, at single positions. Nothing here is trained:
    `edgerd.training.position_statistics` fills in the buffers.

    Attributes:
        mean: float32 (C, h3, w3), C = channels of the second and the third stage.
        spread: float32 (C, h3, w3), standard deviation, above 0.
    """

    mean: Tensor
    spread: Tensor

    def __init__(self, teacher: TeacherInfo, height: int, width: int) -> None:
        super().__init__()
        channels = sum(teacher.channels[1:])
        self.register_buffer("mean", torch.zeros(channels, height, width))
        self.register_buffer("spread", torch.ones(channels, height, width))

    def forward(self, features: Features) -> Tensor:
        """The teacher's features, finest first -> root mean square of standardised ones, float32 (N, h3, w3)."""
        standardised: Tensor = (pooled(features, 1) - self.mean) / self.spread
        return standardised.square().mean(1).sqrt()
