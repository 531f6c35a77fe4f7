"""Judge a PyTorch tensor: python torch_tensor.py BUNDLE PICTURE [RUNTIME]."""

import sys

import numpy as np
import torch
from PIL import Image

from edgerd import Inspector

bundle, file, *runtime = sys.argv[1:]
# what torchvision.transforms.functional.to_tensor gives: float32 (3, h, w), RGB, 0 to 1
tensor = torch.from_numpy(np.array(Image.open(file).convert("RGB"))).permute(2, 0, 1) / 255
with Inspector.open(bundle, runtime=runtime[0] if runtime else None) as inspector:
    # edgerd guesses no scale: it takes uint8, 0 for black and 255 for white
    inspection = inspector.inspect((tensor * 255).round().to(torch.uint8))
print(inspection)
