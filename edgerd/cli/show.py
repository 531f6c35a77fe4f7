"""`edgerd show`: what is in a bundle; with `--verify`, whether its files are unchanged."""

from __future__ import annotations

from pathlib import Path, PurePosixPath

import click

from edgerd.acceptance.report import networks_text
from edgerd.bundle.bundle import Bundle
from edgerd.bundle.manifest import EngineRecord, GateReport, Manifest, ThresholdRecord
from edgerd.cli.console import say
from edgerd.cli.doubts import warn_of_doubts
from edgerd.cli.gate_table import print_gate
from edgerd.cli.options import bundle_argument
from edgerd.evaluation.rough_recall import describe_recall
from edgerd.runtimes.tensorrt.record import BUILD_FILE, build_record

_SIZES = 3
"""Sizes of training pictures that are shown, the most common ones."""


@click.command()
@bundle_argument
@click.option("--verify", is_flag=True, help="Read every file and check it against its hash.")
def show(bundle: Path, verify: bool) -> None:
    """Show what is in BUNDLE: networks, training, preprocessing, thresholds, engines and their gate reports."""
    opened = Bundle.open(bundle)
    for label, value in _lines(opened.manifest):
        say(f"{label:14} {value}")
    for engine in opened.manifest.engines:
        say("")
        for label, value in _engine_lines(engine):
            say(f"{label:14} {value}")
        print_gate(engine.gate)
        for line in _layer_lines(opened, engine):
            say(line)
    warn_of_doubts(opened)
    if verify:
        say(f"\nAll {opened.verify()} files are as they were written.")


def _lines(manifest: Manifest) -> list[tuple[str, str]]:
    training, spec = manifest.training, manifest.preprocess
    region = f"region {spec.region}, " if spec.region else ""
    tiles = f"tiles {spec.tiles}, " if spec.n_tiles > 1 else ""
    aspect = "" if spec.aspect == "stretch" else f", {spec.aspect}"
    megabytes = sum(file.n_bytes for file in manifest.files.values()) / 1e6
    threshold = manifest.threshold
    tuned = f", then {training.tuning_steps} steps for INT8" if training.tuning_steps else ""
    epochs = f"{training.epochs} epochs, " if training.epochs else ""
    steps = f"{training.steps} steps of {training.batch_size}, " if training.steps else ""
    fitted = f" (good scores by {manifest.cross_fit.folds} models)" if manifest.cross_fit else ""
    added = f", {len(manifest.added) // spec.n_tiles} added" if manifest.added else ""
    recall = manifest.rough_recall
    return [
        ("id", manifest.id),
        ("made", f"{manifest.created_at} by edgerd {manifest.edgerd_version}"),
        ("networks", networks_text(manifest.model)),
        (
            "training",
            f"{training.method}, {epochs}{steps}seed {training.seed}{tuned}",
        ),
        (
            "pictures",
            f"{training.n_train} trained on{fitted}, {training.n_holdout} held out, {training.n_skipped} left out"
            f"{added}",
        ),
        *([("sizes", ", ".join(f"{size.n} of {size}" for size in training.sizes[:_SIZES]))] if training.sizes else []),
        ("data", training.data_fingerprint),
        ("preprocessing", f"{region}{tiles}{spec.width}x{spec.height} px{aspect}"),
        ("files", f"{len(manifest.files)}, {megabytes:.1f} MB"),
        ("threshold", f"{_threshold_text(threshold)}; FP32" if threshold else "none yet: edgerd calibrate BUNDLE"),
        *([("finds", f"{describe_recall(recall)}; FP32")] if recall else []),
    ]


def _threshold_text(record: ThresholdRecord) -> str:
    kind = "extrapolated" if record.extrapolated else f"rank {record.rank}"
    return (
        f"{record.value:.4f} for a false-alarm rate of {100 * record.false_alarm_rate:g} %, from {record.n_good} "
        f"good pictures ({kind}); largest score {record.largest_score:.4f}"
    )


def _engine_lines(engine: EngineRecord) -> list[tuple[str, str]]:
    key = engine.key
    speed = "" if engine.median_ms is None else f", {engine.median_ms:.1f} ms per picture when it was built"
    return [
        ("engine", f"{engine.name}{' (default)' if engine.default else ''}{speed}"),
        ("  runs on", f"{key.device}, {key.runtime} {key.runtime_version}"),
        ("  needs", ", ".join(key.features) or "-"),
        *([("  not in INT8", ", ".join(engine.high_precision))] if engine.high_precision else []),
        ("  threshold", _threshold_text(engine.threshold)),
        ("  gate", _gate_text(engine.gate)),
    ]


def _layer_lines(bundle: Bundle, engine: EngineRecord) -> list[str]:
    """Lines about the layers of a TensorRT engine: how many of each precision, and which are flagged.

    There are none for an engine of another runtime.
    """
    built = [name for name in engine.files if PurePosixPath(name).name == BUILD_FILE]
    if not built:
        return []
    record = build_record({BUILD_FILE: bundle.read(built[0])})
    options = [f"built with {record.options.flags}"] if record.options.flags else []
    return options + record.layers.lines()[: -len(record.layers.slowest) or None]


def _gate_text(gate: GateReport) -> str:
    verdict = "passed" if gate.passed else "refused, installed by --force" if gate.forced else "refused"
    labelled = f", {gate.n_labelled} of them labelled" if gate.n_labelled else ""
    return f"{verdict}: compared with FP32 on {gate.n_pictures} pictures{labelled}"
