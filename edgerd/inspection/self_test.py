"""The self-test when a line starts: a stored good picture still gives the score that was noted with the engine.

Every file of a bundle is verified before it is read, and an engine is opened only on the device and with the library
version that it was built for. What is left is what nobody can see in files: a GPU that computes wrongly, a driver or a
library that was replaced without another version number, memory that fails. One picture through the engine shows it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from shlex import quote
from typing import Final

from edgerd.bundle.bundle import Bundle
from edgerd.bundle.manifest import GRAPH_FILE, SelfTestRecord
from edgerd.data.pictures import load_bundle_pictures, picture_sha256
from edgerd.errors import BundleError, DeviceError, EdgerdError
from edgerd.inspection.inspector import Inspector
from edgerd.runtimes.choose import REFERENCE_PRECISION
from edgerd.runtimes.device import DeviceEngine
from edgerd.runtimes.protocol import Engine
from edgerd.types import UInt8Array

TOLERANCE: Final = 0.01
"""How far a score may be from the one that was noted: this fraction of the larger of that score and the threshold. The
same engine on the same kind of device differs by rounding alone, a thousandth of this; a fault is far larger."""


@dataclass(frozen=True, eq=False)
class StoredPicture:
    """A picture in a bundle.

    Attributes:
        names: Its files, one PNG per tile.
        tiles: uint8 (T, H, W, 3), BGR.
    """

    names: tuple[str, ...]
    tiles: UInt8Array


def first_picture(bundle: Bundle, names: Sequence[str]) -> StoredPicture | None:
    """The first picture of a list of a bundle's files; None where the list is empty.

    Args:
        bundle: Opened.
        names: One PNG per tile, picture by picture, as `Manifest.holdout` and `Manifest.ranges` list them.

    Raises:
        BundleDamagedError: A file is missing, changed, or not of the graph's size.
    """
    spec = bundle.manifest.preprocess
    first = tuple(names[: spec.n_tiles])
    return StoredPicture(first, load_bundle_pictures(bundle, first, spec)[0]) if first else None


def note_score(engine: Engine, picture: StoredPicture | None) -> SelfTestRecord | None:
    """What an engine gives for a stored picture, to be kept beside it.

    Returns:
        None where there is no picture, and where the score is not finite: such an engine is not installed.

    Raises:
        DeviceError: The device refuses to run.
    """
    score = math.nan if picture is None else _score(engine, picture.tiles)
    if picture is None or not math.isfinite(score):
        return None
    return SelfTestRecord(files=picture.names, picture_sha256=picture_sha256(picture.tiles), score=score)


def self_test(inspector: Inspector) -> str | None:
    """Run the stored picture through the engine and compare its score with the one that was noted.

    Args:
        inspector: Opened; in the thread that opened it, with nothing under way.

    Returns:
        None where the score is the same; else one sentence that says why nothing could be compared: the bundle was
        exported without pictures, or its scores were noted by no version of edgerd yet.

    Raises:
        DeviceError: The score differs, and the engine is on a GPU; or the device refuses to run.
        BundleError: The score differs, and the engine is on a CPU.
        BundleDamagedError: The picture's file is missing or was changed.
    """
    bundle, engine = inspector.bundle, inspector.engine
    found = _noted(bundle, engine)
    if found is None:
        return f"No self-test: {bundle.path} has no noted score. {_calibrate(bundle)} notes one if it has pictures."
    record, threshold = found
    picture = first_picture(bundle, record.files)
    if picture is None or picture_sha256(picture.tiles) != record.picture_sha256:
        return f"No self-test: its picture in {bundle.path} was replaced. {_calibrate(bundle)} notes a new score."
    score = _score(engine, picture.tiles)
    if not abs(score - record.score) <= TOLERANCE * max(record.score, threshold):  # also where it is not a number
        raise _failure(bundle, engine, score, record)
    return None


def _noted(bundle: Bundle, engine: Engine) -> tuple[SelfTestRecord, float] | None:
    """What was noted for this engine, and its threshold; for FP32 from the graph, what the graph gave."""
    manifest, key = bundle.manifest, engine.key
    for each in manifest.engines:
        if each.key == key and each.self_test:
            return each.self_test, each.threshold.value
    graph = manifest.files.get(GRAPH_FILE)
    is_the_graph = graph is not None and key.precision == REFERENCE_PRECISION and key.graph_sha256 == graph.sha256
    if is_the_graph and manifest.self_test and manifest.threshold:
        return manifest.self_test, manifest.threshold.value
    return None


def _score(engine: Engine, tiles: UInt8Array) -> float:
    return float(engine.infer(tiles).score.max())


def _failure(bundle: Bundle, engine: Engine, score: float, record: SelfTestRecord) -> EdgerdError:
    key = engine.key
    what = (
        f"Self-test: {key.runtime} {key.precision} on {key.device} gives {score:.6g} for {record.files[0]}; it gave "
        f"{record.score:.6g} when it was built or calibrated."
    )
    expected = f"the same score to within {TOLERANCE:.0%}, as the same engine gives on a device that works"
    rebuild = f"edgerd build-engine {quote(str(bundle.path))} --runtime {key.runtime} --precision {key.precision}"
    if isinstance(engine, DeviceEngine):
        hint = f"Restart the machine, and check the GPU with nvidia-smi. If drivers were replaced: {rebuild}"
        return DeviceError(what, expected=expected, hint=hint)
    return BundleError(what, expected=expected, hint=f"If libraries were replaced: {rebuild}; else check the memory.")


def _calibrate(bundle: Bundle) -> str:
    return f"edgerd calibrate {quote(str(bundle.path))}"
