"""Runs of method edge, and what they give."""

import numpy as np
from mini_teacher import pretrained

from edgerd.exporting.check import reference_maps
from edgerd.models.fusion import scores_of_maps
from edgerd.training.checkpoint import Checkpoint
from edgerd.training.edge import train_edge
from edgerd.training.restore import networks_of

N_PICTURES, N_STUDENTS, STEPS = 24, 4, 4


def trained(run, **options):
    """Train a run on the CPU; gives how far training is."""
    return train_edge(run, pretrained(), device="cpu", **options)


def scores_by_others(run):
    """Scores of the training pictures by networks that never saw them, as they were kept."""
    return Checkpoint.open(run.checkpoint_file).cross_fit


def content_of(run):
    """Everything that a run gives: progress, the bytes of each tensor, the fusion, the honest scores."""
    checkpoint = Checkpoint.open(run.checkpoint_file)
    parts = {name: getattr(checkpoint, name) for name in ("student", "teacher", "prototypes", "positions")}
    tensors = {f"{name} {key}": value.numpy().tobytes() for name, part in parts.items() for key, value in part.items()}
    return checkpoint.progress, tensors, checkpoint.fusion, checkpoint.cross_fit


def stop_after(n_steps):
    """Options that ask the training to stop after so many steps, and after each one more."""
    reports = []
    return {"on_step": reports.append, "should_stop": lambda: len(reports) >= n_steps}


def files_of(run):
    return {file.name for file in run.path.iterdir()}


def own_scores(run):
    """Scores of the training pictures by the networks that are kept, which saw them."""
    networks, _ = networks_of(run)
    return scores_of_maps(reference_maps(networks, np.array(run.training_tiles())), networks.fusion)
