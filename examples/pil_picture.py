"""Judge a PIL picture, and save it with its anomaly map: python pil_picture.py BUNDLE PICTURE [RUNTIME]."""

import json
import sys
from pathlib import Path

from PIL import Image, ImageOps

from edgerd import Inspector

bundle, file, *runtime = sys.argv[1:]
# pictures of phones are stored turned; a picture with transparency, or a palette, becomes RGB
picture = ImageOps.exif_transpose(Image.open(file)).convert("RGB")
with Inspector.open(bundle, runtime=runtime[0] if runtime else None) as inspector:
    inspection = inspector.inspect(picture)
    drawn = inspector.overlay(picture, inspection)  # uint8 (h, w, 3), BGR
print(json.dumps(inspection.to_dict()))
Image.fromarray(drawn[..., ::-1]).save(Path(file).with_suffix(".map.png"))
