"""edgerd beside anomalib: time from frame to verdict, and the verdicts, in one process and on the same pictures.

    make bench-peers ARGS="--data DATA --weights RESNET18.safetensors --work WORK"

anomalib's PatchCore and Reverse Distillation are trained with its defaults on ResNet18, exported by its own exporter
(for frames of any size, for the network's size, and with its INT8 post-training quantization), and run by its own
inferencer. edgerd's side is bundles, given or trained here:

    --bundle "metal_nut:NAME=BUNDLE:openvino:int8"                      (runtime and precision may be left out)
    --edgerd "NAME=--method rd4ad --teacher resnet18 --epochs 30 | --runtime openvino --precision int8"

What stands right of the bar goes to `edgerd build-engine`, what stands left of it to `edgerd train`, for every data
set. All learn from `train/good` only. What was made is kept in WORK; the next call only measures. Results go to
results/peers_verdicts and results/peers_timing, .md and .json.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from machine import write_results
from peer.making import anomalib_models, edgerd_bundle
from peer.measure import time_rows, verdict_row
from peer.products import ANOMALIB_NAMES, AnomalibProduct, EdgerdProduct, Product, export_errors

RESULTS = Path(__file__).parent / "results"
_STARTED_IN = Path.cwd()
_EXPORTS = ("default", "int8", "network", "network_int8")

_VALIDATION_NOTES = {
    "synthetic": "as its guide for good pictures only says (`Folder(normal_dir=..., test_split_mode=SYNTHETIC)`, all "
    "else by default): a fifth of the good pictures is taken from training, noise is drawn on half of those, half of "
    "the result is its validation set, and its threshold is the one with the best F1 there",
    "good": "with a fifth of the good pictures as its validation set (`val_split_mode=FROM_TRAIN`): its threshold is "
    "then the highest score among them, and it warns that this may be poor",
}


def main() -> None:
    """Parse, make, measure, write."""
    arguments = _parser().parse_args()
    torch.set_num_threads(1)
    arguments.work.mkdir(parents=True, exist_ok=True)
    os.chdir(arguments.work)  # anomalib's inferencer keeps a cache in the current folder
    made = {arguments.data / name: _make(arguments.data / name, arguments) for name in arguments.sets}
    missing = _failures(made)
    if "verdicts" in arguments.measure:
        rows = [row for data, products in made.items() for row in _verdict_rows(data, products, arguments)]
        write_results(
            "Verdicts beside anomalib",
            rows,
            [*_verdict_notes(arguments), *missing],
            arguments.output / "peers_verdicts",
        )
    if "timing" in arguments.measure:
        rows = []
        for data, folders in made.items():
            opened: list[Product] = [*_edgerd(data, folders, arguments), *_anomalib(folders, _EXPORTS, arguments)]
            rows += time_rows(data, opened, arguments.frame_size, arguments.rounds)
        write_results(
            "Time beside anomalib", rows, [*_timing_notes(arguments), *missing], arguments.output / "peers_timing"
        )


def _make(data: Path, arguments: argparse.Namespace) -> dict[str, Path]:
    """Make what is not given; anomalib's folders by model, edgerd's bundles by name."""
    options = {name: getattr(arguments, name) for name in ("weights", "validation", "seed")}
    own = {"patchcore": {"coreset": arguments.coreset}, "reverse_distillation": {"epochs": arguments.epochs}}
    made = {
        model: anomalib_models(arguments.work, data, model, {**options, **own[model]}) for model in arguments.anomalib
    }
    for entry in arguments.edgerd:
        name, _, commands = entry.partition("=")
        training, _, building = commands.partition("|")
        made[name] = edgerd_bundle(arguments.work, data, name, training, building)
    return made


def _edgerd(data: Path, folders: dict[str, Path], arguments: argparse.Namespace) -> Iterator[EdgerdProduct]:
    """Bundles that are given for this data set, and those that were trained here; opened one after another."""
    for entry in arguments.bundle:
        where, _, place = entry.partition("=")
        data_name, _, name = where.partition(":")
        if data_name == data.name:
            path, runtime, precision = (*place.split(":"), None, None)[:3]
            yield EdgerdProduct(name, _STARTED_IN / path, runtime, precision, arguments.threads)
    for entry in arguments.edgerd:
        name = entry.partition("=")[0]
        yield EdgerdProduct(name, folders[name], None, None, arguments.threads)


def _anomalib(
    folders: dict[str, Path], exports: Sequence[str], arguments: argparse.Namespace
) -> Iterator[AnomalibProduct]:
    """Every model in every export that there is; opened one after another."""
    for model in arguments.anomalib:
        for export in exports:
            if export not in export_errors(folders[model]):
                yield AnomalibProduct(model, folders[model], export, arguments.threads)


def _verdict_rows(data: Path, folders: dict[str, Path], arguments: argparse.Namespace) -> Iterator[dict[str, Any]]:
    for ours in _edgerd(data, folders, arguments):
        yield verdict_row(data, ours, None)
    unclamped = {each.model: each for each in _anomalib(folders, ["unclamped"], arguments)}
    for theirs in _anomalib(folders, _EXPORTS, arguments):
        raw = unclamped[theirs.model] if theirs.export == "network" else None
        yield verdict_row(data, theirs, raw)


def _failures(made: dict[Path, dict[str, Path]]) -> list[str]:
    return [
        f"{data.name}: anomalib's export `{export}` of {ANOMALIB_NAMES[model]} cannot be run: {error.rstrip('.')}."
        for data, folders in made.items()
        for model, folder in folders.items()
        if model in ANOMALIB_NAMES
        for export, error in export_errors(folder).items()
    ]


def _verdict_notes(arguments: argparse.Namespace) -> Sequence[str]:
    return [
        f"Each product with its own threshold. anomalib's: {_VALIDATION_NOTES[arguments.validation]}.",
        "Its scores are clamped to 0..1; `unclamped` is the AUROC of the same model exported without that. Its "
        f"backbone is ResNet18; Reverse Distillation was trained for {arguments.epochs} epochs, PatchCore keeps "
        f"{arguments.coreset:.0%} of the patches, seed {arguments.seed}. Every verdict is the exported model's; "
        "`resized first`: OpenCV makes the picture as large as the network, before anomalib has it.",
    ]


def _timing_notes(arguments: argparse.Namespace) -> Sequence[str]:
    side = arguments.frame_size
    return [
        f"A {side}x{side} uint8 frame in memory to the verdict, {arguments.threads} threads, medians of "
        f"{arguments.rounds} rounds in which all take turns. `/ this`: the median over the rounds of edgerd's time "
        "over this row's. PatchCore's time grows with its memory bank, and that with the good pictures.",
    ]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=_absolute, required=True, help="the folder of the data sets, MVTec's layout")
    parser.add_argument("--sets", nargs="+", default=["metal_nut"], help="data sets in it")
    parser.add_argument("--weights", type=_absolute, required=True, help="ResNet18 up to layer 3, .safetensors")
    parser.add_argument("--work", type=_absolute, required=True, help="where what is trained is kept")
    parser.add_argument("--bundle", action="append", default=[], metavar="SET:NAME=BUNDLE[:RUNTIME[:PRECISION]]")
    parser.add_argument("--edgerd", action="append", default=[], metavar="NAME=TRAIN OPTIONS | BUILD OPTIONS")
    parser.add_argument("--anomalib", nargs="*", choices=sorted(ANOMALIB_NAMES), default=sorted(ANOMALIB_NAMES))
    parser.add_argument("--validation", choices=sorted(_VALIDATION_NOTES), default="synthetic", help="of anomalib's")
    parser.add_argument("--epochs", type=int, default=200, help="of anomalib's Reverse Distillation")
    parser.add_argument(
        "--coreset", type=float, default=0.1, help="part of the patches that anomalib's PatchCore keeps"
    )
    parser.add_argument("--seed", type=int, default=0, help="of anomalib's training")
    parser.add_argument("--measure", nargs="+", choices=["verdicts", "timing"], default=["verdicts", "timing"])
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--frame-size", type=int, default=1024, help="side of the frame that is timed, px")
    parser.add_argument("--rounds", type=int, default=60, help="of the timing")
    parser.add_argument("--output", type=_absolute, default=RESULTS, help="folder of the results")
    return parser


def _absolute(text: str) -> Path:
    return Path(text).resolve()


if __name__ == "__main__":
    main()
