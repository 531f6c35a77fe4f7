"""The picture at the top of the README, from what `edgerd demo` leaves behind for each kind of sample part.

for kind in ring weave label; do edgerd demo --kind $kind -o demo-$kind; done
python tools/readme_picture.py demo-ring/crack demo-weave/cut demo-label/scratch docs/images/verdicts.jpg
"""

from __future__ import annotations

import argparse
from pathlib import Path

import cv2
import numpy as np

from edgerd.data.pictures import read_picture
from edgerd.inspection.inspector import Inspector

_GAP_PX = 6


def main() -> None:
    """For each demo a good part and one with the defect named: pictures above, what edgerd says of them below."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("shown", type=Path, nargs="+", help="a demo's folder, and a kind of defect in it")
    parser.add_argument("out", type=Path)
    parser.add_argument("--number", type=int, default=1, help="which picture of each folder, from 0")
    arguments = parser.parse_args()
    columns = []
    for shown in arguments.shown:
        with Inspector.open(shown.parent / "bundle") as inspector:
            for kind in ("good", shown.name):
                picture = read_picture(sorted((shown.parent / "parts" / "test" / kind).iterdir())[arguments.number])
                judged = inspector.overlay(picture, inspector.inspect(picture))
                gap = np.full((_GAP_PX, picture.shape[1], 3), 255, np.uint8)
                columns.append(np.concatenate([picture, gap, judged]))
                columns.append(np.full((2 * picture.shape[0] + _GAP_PX, _GAP_PX, 3), 255, np.uint8))
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(arguments.out), np.concatenate(columns[:-1], axis=1), [cv2.IMWRITE_JPEG_QUALITY, 90])


if __name__ == "__main__":
    main()
