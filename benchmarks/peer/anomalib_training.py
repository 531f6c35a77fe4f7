"""Train one of anomalib's models on good pictures, in its own way, and export it with its own exporter.

A process of its own, started by `peers.py`: Lightning and the training's memory stay out of the process that measures.

    python -m peer.anomalib_training MODEL DATA --weights FILE -o FOLDER

Writes FOLDER/trained.json and four OpenVINO models, as anomalib exports them:

    default      takes frames of any size
    fixed        takes frames of one size, which is faster; INT8 cannot be had so: its calibration pictures are of
                 the network's size, not the frame's
    int8         post-training quantisation, with the pictures of anomalib's validation set; trained.json says why
                 there is none where it fails
    unclamped    the first without anomalib's normalisation, for an AUROC that its clamping to 0..1 takes nothing from
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import torch

from peer.torchvision_operators import declare_missing_operators

TRAINED = "trained.json"
BACKBONE = "resnet18"

_SPLITS: dict[str, dict[str, Any]] = {
    # anomalib's guide for data sets of good pictures only
    "synthetic": {"test_split_mode": "synthetic"},
    "good": {"test_split_mode": "none", "val_split_mode": "from_train", "val_split_ratio": 0.2},
}


def main() -> None:
    """Parse, train, export."""
    arguments = _parser().parse_args()
    # two threads on two cores that others use as well: six times as long a step
    torch.set_num_threads(1)
    declare_missing_operators()

    from anomalib.data import Folder
    from anomalib.engine import Engine
    from lightning.pytorch import seed_everything

    seed_everything(arguments.seed)
    data = Folder(
        name=arguments.data.name,
        root=arguments.data,
        normal_dir="train/good",
        num_workers=0,
        seed=arguments.seed,
        **_SPLITS[arguments.validation],
    )
    model = _model(arguments.model, arguments.weights, arguments.coreset)
    engine = Engine(
        default_root_dir=arguments.out / "lightning",
        accelerator="cpu",
        devices=1,
        logger=False,
        **({"max_epochs": arguments.epochs} if arguments.model == "reverse_distillation" else {}),
    )
    engine.fit(model=model, datamodule=data)
    labels = [int(label) for label in data.val_data.samples.label_index]
    trained = {
        "n_train": len(data.train_data),
        "n_validation_good": labels.count(0),
        "n_validation_synthetic": labels.count(1),
        "threshold": float(model.post_processor.image_threshold),
        "lowest": float(model.post_processor.image_min),
        "highest": float(model.post_processor.image_max),
        "memory_bank": len(model.model.memory_bank) if arguments.model == "patchcore" else None,
    }
    trained["int8_error"] = _export(engine, model, data, arguments.frame_size, arguments.out)
    (arguments.out / TRAINED).write_text(json.dumps(trained, indent=2) + "\n")


def _model(name: str, weights: Path, coreset: float) -> Any:
    """The model with its defaults, but for the backbone, and the backbone's weights from a file: nothing is fetched."""
    from anomalib.models import Patchcore, ReverseDistillation
    from safetensors.torch import load_file

    if name == "patchcore":
        model = Patchcore(backbone=BACKBONE, pre_trained=False, coreset_sampling_ratio=coreset)
        extractor = model.model.feature_extractor
    else:
        model = ReverseDistillation(backbone=BACKBONE, pre_trained=False)
        extractor = model.model.encoder
    extractor.feature_extractor.load_state_dict(load_file(weights))
    return model


def _export(engine: Any, model: Any, data: Any, frame_size: int, out: Path) -> str | None:
    """Export in every way; what the quantisation failed with, where it did."""
    from anomalib.deploy import CompressionType, ExportType

    export = {"model": model, "export_type": ExportType.OPENVINO}
    engine.export(export_root=out / "default", **export)
    engine.export(export_root=out / "fixed", input_size=(frame_size, frame_size), **export)
    error = None
    try:
        engine.export(export_root=out / "int8", compression_type=CompressionType.INT8_PTQ, datamodule=data, **export)
    except RuntimeError as failure:  # PatchCore's graph has one picture in a batch and no fixed size
        error = str(failure).strip().splitlines()[-1]
    model.post_processor.enable_normalization = False
    engine.export(export_root=out / "unclamped", **export)
    return error


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", choices=["patchcore", "reverse_distillation"])
    parser.add_argument("data", type=Path)
    parser.add_argument("--weights", type=Path, required=True)
    parser.add_argument("--validation", choices=sorted(_SPLITS), default="synthetic")
    parser.add_argument("--epochs", type=int, default=200)
    parser.add_argument("--coreset", type=float, default=0.1, help="part of the patches that PatchCore keeps")
    parser.add_argument("--frame-size", type=int, default=1024, help="of the export for one size, px, square")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("-o", "--out", type=Path, required=True)
    return parser


if __name__ == "__main__":
    main()
