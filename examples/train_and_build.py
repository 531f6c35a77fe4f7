"""From pictures of good parts to an engine, as in a notebook: python train_and_build.py FOLDER OUT [RUNTIME].

`method="prototypes"` takes seconds, to try the way; the default, `edge`, takes minutes and finds more.
"""

import sys
from pathlib import Path

import edgerd

if __name__ == "__main__":  # training may start processes, which import this file
    folder, out, *runtime = sys.argv[1:]
    run = edgerd.train(folder, Path(out) / "run", method="prototypes", image_size=64)
    bundle = edgerd.export(run, Path(out) / "bundle")
    bundle = edgerd.build_engine(bundle, runtime=runtime[0] if runtime else "auto", precision="fp32")
    with edgerd.Inspector.open(bundle) as inspector:
        print(inspector.why)
