"""From a trained run to a bundle: the fused graph, checked, with the pictures that gate and threshold will need."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from datetime import datetime, timezone
from pathlib import Path

import numpy as np

from edgerd import __version__
from edgerd.bundle.bundle import Bundle, bundle_id, save_bundle
from edgerd.bundle.manifest import GRAPH_FILE, Manifest, ModelRecord, TrainingRecord
from edgerd.data.pictures import added_pictures, bundle_pictures, load_bundle_pictures, picture_sha256
from edgerd.errors import BundleDamagedError, BundleError
from edgerd.exporting.check import check_against_networks
from edgerd.exporting.graph import graph_from_networks
from edgerd.models.weights import tensors_sha256
from edgerd.training.checkpoint import Checkpoint
from edgerd.training.methods import make_method
from edgerd.training.restore import networks_in
from edgerd.training.run import RunFolder
from edgerd.types import UInt8Array

N_CHECK_PICTURES = 4
"""How many pictures the exported graph is compared with PyTorch on."""


def bundle_from_run(
    run: RunFolder,
    path: Path,
    *,
    before: Path | None = None,
    pictures: bool = True,
    say: Callable[[str], None] = lambda _: None,
) -> Bundle:
    """Export a run as a bundle. It has no threshold yet: `edgerd.calibration.calibrate` finds it.

    Args:
        run: A run with a checkpoint; it may have been interrupted.
        path: Where the bundle goes; one that is there is replaced as a whole.
        before: A bundle whose added good pictures are taken over, but for those that this run was trained on; None for
            the one at `path`.
        pictures: Put the held-out and the range pictures into the bundle.
        say: Told what was done, a line at a time.

    Raises:
        WeightsError: No checkpoint, or one that is not finite.
        GateError: The graph does not give what PyTorch gives.
        BundleError: `path` holds something else.
        StorageError: Disk full; what was at `path` is unchanged.
    """
    checkpoint = Checkpoint.open(run.newest_checkpoint_file)
    networks, progress = networks_in(checkpoint, run), checkpoint.progress
    spec, config = run.record.config.preprocess, run.record.config
    holdout, ranges = run.holdout_pictures(), run.range_pictures()
    padded = spec.aspect == "letterbox"
    graph = graph_from_networks(networks, spec.height, spec.width, padded)
    frames = (holdout if len(holdout) else ranges).reshape(-1, *ranges.shape[2:])[:N_CHECK_PICTURES]
    error = check_against_networks(graph, networks, frames, padded)
    if make_method(config.method).has_student and networks.student is None:
        say("Training was stopped before its students were done: this bundle has prototypes alone.")
    say(f"ONNX Runtime against PyTorch on {len(frames)} pictures: the maps differ by {error:.1e} at most")
    held_out = bundle_pictures("holdout", holdout) if pictures else {}
    for_ranges = bundle_pictures("ranges", ranges) if pictures else {}
    added = added_pictures(_added_before(before or path, run, say)) if pictures else {}
    manifest = Manifest(
        id=bundle_id(hashlib.sha256(graph).hexdigest(), spec),
        created_at=datetime.now(timezone.utc).isoformat(timespec="seconds"),
        edgerd_version=__version__,
        model=ModelRecord(
            teacher=config.teacher,
            student=config.student if networks.student else None,
            prototypes=len(networks.prototypes.points.flatten(0, 1)) if networks.prototypes else 0,
            positions=networks.positions is not None,
            score_values=networks.fusion.n_highest(spec.height, spec.width),
            teacher_sha256=tensors_sha256(networks.teacher.state_dict()),
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
            sizes=run.record.sizes,
        ),
        preprocess=spec,
        limits=run.record.limits,
        holdout=(*held_out, *added),
        cross_fit=checkpoint.cross_fit,
        ranges=tuple(for_ranges),
        trained_on=tuple(sorted(run.training_pictures_sha256())),
    )
    return save_bundle(path, manifest, {GRAPH_FILE: graph, **held_out, **added, **for_ranges})


def _added_before(path: Path, run: RunFolder, say: Callable[[str], None]) -> UInt8Array:
    """Good pictures that were added to the bundle at `path` and are new to this run, uint8 (n, T, H, W, 3)."""
    spec = run.record.config.preprocess
    none: UInt8Array = np.empty((0, spec.n_tiles, spec.height, spec.width, 3), np.uint8)
    try:
        there = Bundle.open(path)
    except BundleError:  # there is none, or one that cannot be used any more
        return none
    if not there.manifest.added:
        return none
    if there.manifest.preprocess != spec:
        say(f"The good pictures added to {path} are of another size, region, tiles or aspect; they are left out.")
        return none
    try:
        added = load_bundle_pictures(there, there.manifest.added, spec)
    except BundleDamagedError as error:
        say(f"The good pictures that were added to {path} are left out: {error.what}")
        return none
    known = run.training_pictures_sha256() | {picture_sha256(picture) for picture in run.holdout_pictures()}
    new = added[[picture_sha256(picture) not in known for picture in added]]
    if len(new):
        say(f"{len(new)} good pictures that were added to {path} earlier stay in it and count as before.")
    if len(new) < len(added):
        say(f"{len(added) - len(new)} of those added are among this run's own pictures, and are left out.")
    return new
