"""The picture at the top of the README, from what `edgerd demo` leaves behind.

edgerd demo && python tools/readme_picture.py edgerd-demo docs/images/heatmaps.jpg
"""

from __future__ import annotations

import argparse
from pathlib import Path

import cv2
import numpy as np

from edgerd.data.pictures import read_picture
from edgerd.evaluation.heatmap import overlay
from edgerd.inspection.inspector import Inspector

_GAP_PX = 6


def main() -> None:
    """One good part and one of each defect: pictures above, anomaly maps below."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("demo", type=Path)
    parser.add_argument("out", type=Path)
    arguments = parser.parse_args()
    kinds = sorted(
        (arguments.demo / "parts" / "test").iterdir(), key=lambda folder: (folder.name != "good", folder.name)
    )
    columns = []
    with Inspector.open(arguments.demo / "bundle") as inspector:
        for kind in kinds:
            picture = read_picture(sorted(kind.iterdir())[1])
            found = inspector.inspect(picture)
            if found.anomaly_map is None:
                raise SystemExit(f"{kind.name}: {found.reason}")
            heatmap = overlay(picture, found.anomaly_map, found.threshold, regions=found.regions)
            gap = np.full((_GAP_PX, picture.shape[1], 3), 255, np.uint8)
            columns.append(np.concatenate([picture, gap, heatmap]))
            columns.append(np.full((2 * picture.shape[0] + _GAP_PX, _GAP_PX, 3), 255, np.uint8))
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(arguments.out), np.concatenate(columns[:-1], axis=1), [cv2.IMWRITE_JPEG_QUALITY, 90])


if __name__ == "__main__":
    main()
