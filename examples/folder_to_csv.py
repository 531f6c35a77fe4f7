"""Judge a folder of pictures, a line of CSV for each on stdout: python folder_to_csv.py BUNDLE FOLDER [RUNTIME]."""

import csv
import sys
from pathlib import Path

from edgerd import EdgerdError, Inspector

bundle, folder, *runtime = sys.argv[1:]
table = csv.DictWriter(sys.stdout, ["file", "verdict", "score", "threshold", "reason"], extrasaction="ignore")
table.writeheader()
with Inspector.open(bundle, runtime=runtime[0] if runtime else None) as inspector:
    for file in sorted(Path(folder).glob("*.png")):
        try:
            found = inspector.inspect(file).to_dict()
        except EdgerdError as error:  # a damaged file is no good part
            found = {"verdict": "NO_DECISION", "reason": error.what}
        table.writerow({"file": file.name, **found})
