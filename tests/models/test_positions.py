"""Statistics of positions: the distance from what is usual there, as it is defined."""

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from edgerd.models.positions import Positions
from edgerd.models.teachers.teacher import TeacherInfo

INFO = TeacherInfo("mini", (3, 4, 6), (1, 1, 1))


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 999), n=st.integers(1, 3), height=st.integers(1, 5), width=st.integers(1, 5))
def test_the_map_is_the_root_mean_square_of_standardised_features(seed, n, height, width):
    random = torch.Generator().manual_seed(seed)
    first, second, third = (
        torch.randn(n, channels, factor * height, factor * width, generator=random)
        for channels, factor in zip(INFO.channels, (4, 2, 1), strict=True)
    )
    positions = Positions(INFO, height, width)
    positions.mean.normal_(generator=random)
    positions.spread.uniform_(0.5, 2.0, generator=random)
    coarse = second.double().numpy().reshape(n, 4, height, 2, width, 2).mean((3, 5))
    features = np.concatenate([coarse, third.double().numpy()], axis=1)
    standardised = (features - positions.mean.numpy()) / positions.spread.numpy()
    given_ = positions((first, second, third))
    assert given_.shape == (n, height, width)
    np.testing.assert_allclose(given_, np.sqrt((standardised**2).mean(1)), rtol=1e-5)
