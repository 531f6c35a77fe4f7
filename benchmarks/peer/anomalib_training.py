"""Train one of anomalib's models on good pictures, in its own way, and export it with its own exporter.

A process of its own, started by `peers.py`: Lightning and the training's memory stay out of the process that measures.

    python -m peer.anomalib_training MODEL DATA --weights FILE -o FOLDER

Writes FOLDER/trained.json and five OpenVINO models, as anomalib exports them:

    default        takes frames of any size
    int8           the same after post-training quantization, with the pictures of anomalib's validation set
    network        takes pictures of the network's size; whoever uses it makes them
    network_int8   the same after that quantization
    unclamped      `network` without anomalib's normalisation, for an AUROC that its clamping to 0..1 takes nothing from

What an export failed with stands in trained.json, under `errors`.
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
SIZE = (256, 256)
"""What anomalib's models resize to by default."""

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
    trained["errors"] = _export(engine, model, data, arguments.out)
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


def _export(engine: Any, model: Any, data: Any, out: Path) -> dict[str, str]:
    """Export in every way; what those failed with that did."""
    from anomalib.deploy import CompressionType

    # without this a batch of two is exported, which PatchCore's graph then insists on
    fixed = {"input_size": SIZE, "onnx_kwargs": {"dynamic_shapes": None}}
    quantized = {"compression_type": CompressionType.INT8_PTQ, "datamodule": data}
    ways: dict[str, dict[str, Any]] = {
        "default": {},
        "int8": quantized,
        "network": fixed,
        "network_int8": {**fixed, **quantized},
        "unclamped": fixed,
    }
    errors = {}
    for name, options in ways.items():
        if "input_size" in options:
            data.eval_batch_size = 1  # quantization feeds the graph from the validation set, batch by batch
        model.post_processor.enable_normalization = name != "unclamped"
        error = _error_of_export(engine, model, out / name, options)
        if error:
            errors[name] = error
    return errors


def _error_of_export(engine: Any, model: Any, out: Path, options: dict[str, Any]) -> str | None:
    import openvino
    from anomalib.deploy import ExportType

    try:
        file = engine.export(model=model, export_type=ExportType.OPENVINO, export_root=out, **options)
    except RuntimeError as failure:
        return str(failure).strip().splitlines()[-1]
    batch = openvino.Core().read_model(file).input(0).partial_shape[0]
    if batch.is_static and batch.get_length() != 1:
        return f"the graph takes {batch.get_length()} pictures at a time, its inferencer gives it one"
    return None


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", choices=["patchcore", "reverse_distillation"])
    parser.add_argument("data", type=Path)
    parser.add_argument("--weights", type=Path, required=True)
    parser.add_argument("--validation", choices=sorted(_SPLITS), default="synthetic")
    parser.add_argument("--epochs", type=int, default=200)
    parser.add_argument("--coreset", type=float, default=0.1, help="part of the patches that PatchCore keeps")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("-o", "--out", type=Path, required=True)
    return parser


if __name__ == "__main__":
    main()
