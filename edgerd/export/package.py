"""From a trained run to a bundle: the fused graph, checked, with the pictures that gate and threshold will need."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from datetime import datetime, timezone
from pathlib import Path

from edgerd import __version__
from edgerd.bundle import Bundle, bundle_id, save_bundle
from edgerd.data.pictures import bundle_pictures
from edgerd.export.check import check_against_networks
from edgerd.export.graph import graph_from_networks
from edgerd.manifest import GRAPH_FILE, Manifest, ModelRecord, TrainingRecord
from edgerd.models.weights import tensors_sha256
from edgerd.training.loop import networks_of
from edgerd.training.run import RunFolder

N_CHECK_PICTURES = 4


def bundle_from_run(
    run: RunFolder, path: Path, *, pictures: bool = True, say: Callable[[str], None] = lambda _: None
) -> Bundle:
    """Export a run as a bundle. It has no threshold yet: `edgerd.building.calibrate` finds it.

    Args:
        run: With a checkpoint; a run that was interrupted will do.
        path: Where the bundle goes; one that is there is replaced as a whole.
        pictures: Take the held-out and the range pictures along.
        say: Told what was done, a line at a time.

    Raises:
        WeightsError: No checkpoint, or one that is not finite.
        GateError: The graph does not give what PyTorch gives.
        BundleError: `path` holds something else.
        StorageError: Disk full; what was at `path` is unchanged.
    """
    teacher, student, progress = networks_of(run)
    spec, config = run.record.config.preprocess, run.record.config
    holdout = run.holdout_pictures()
    graph = graph_from_networks(teacher, student, spec.height, spec.width)
    frames = holdout.reshape(-1, *holdout.shape[2:])[:N_CHECK_PICTURES]
    error = check_against_networks(graph, teacher, student, frames)
    say(f"ONNX Runtime against PyTorch on {len(frames)} pictures: the maps differ by {error:.1e} at most")
    held_out = bundle_pictures("holdout", holdout) if pictures else {}
    for_ranges = bundle_pictures("ranges", run.range_pictures()) if pictures else {}
    manifest = Manifest(
        id=bundle_id(hashlib.sha256(graph).hexdigest(), spec),
        created_at=datetime.now(timezone.utc).isoformat(timespec="seconds"),
        edgerd_version=__version__,
        model=ModelRecord(
            teacher=config.teacher, student=config.student, teacher_sha256=tensors_sha256(teacher.state_dict())
        ),
        training=TrainingRecord(
            method=config.method,
            seed=config.seed,
            epochs=progress.epoch,
            steps=progress.total_steps,
            batch_size=config.batch_size,
            n_train=len(run.record.train),
            n_holdout=len(run.record.holdout),
            n_skipped=len(run.record.skipped),
            data_fingerprint=run.record.data_fingerprint,
            tuning_steps=progress.tuning_steps,
        ),
        preprocess=spec,
        limits=run.record.limits,
        holdout=tuple(held_out),
        ranges=tuple(for_ranges),
    )
    return save_bundle(path, manifest, {GRAPH_FILE: graph, **held_out, **for_ranges})
