"""Judge a folder of pictures in four threads: python threads.py BUNDLE FOLDER [RUNTIME].

Reading and preprocessing run side by side; the engine, which uses all cores by itself, runs for one at a time.
"""

import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from edgerd import Inspector

bundle, folder, *runtime = sys.argv[1:]
files = sorted(Path(folder).glob("*.png"))
with Inspector.open(bundle, runtime=runtime[0] if runtime else None) as inspector, ThreadPoolExecutor(4) as threads:
    for file, inspection in zip(files, threads.map(inspector.inspect, files), strict=True):
        print(file.name, inspection)
