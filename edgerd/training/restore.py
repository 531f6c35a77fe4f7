"""Rebuilds the networks of a run from its checkpoint."""

from __future__ import annotations

from edgerd.errors import WeightsError
from edgerd.models.networks import Networks
from edgerd.models.positions import Positions
from edgerd.models.prototypes import Prototypes
from edgerd.models.student import Student, make_student
from edgerd.models.teachers import Teacher, make_teacher
from edgerd.models.weights import fill
from edgerd.training.checkpoint import Checkpoint, Progress
from edgerd.training.methods import make_method
from edgerd.training.run import RunFolder
from edgerd.training.run_files import RECORD_FILE


def networks_of(run: RunFolder) -> tuple[Networks, Progress]:
    """The networks of a run's newest checkpoint, in eval mode on the CPU, and how far training is.

    The newest checkpoint is the one of a fine-tune for INT8, where there was one.

    Raises:
        WeightsError: There is no checkpoint, or it is damaged, not finite, or another run's.
    """
    checkpoint = Checkpoint.open(run.newest_checkpoint_file)
    return networks_in(checkpoint, run), checkpoint.progress


def networks_in(checkpoint: Checkpoint, run: RunFolder) -> Networks:
    """The networks of a checkpoint, in eval mode on the CPU.

    Args:
        checkpoint: The newest checkpoint of `run`.
        run: The run, which says what the networks are.

    Raises:
        WeightsError: It is another run's.
    """
    config = run.record.config
    teacher, student, prototypes, positions = make_teacher(config.teacher), None, None, None
    if checkpoint.student:
        student = make_student(teacher.info, config.student, make_method(config.method).finest).eval()
    restore(teacher, student, checkpoint, run)
    if checkpoint.prototypes:
        prototypes = Prototypes(teacher.info, checkpoint.prototypes["points"].shape[1]).eval()
        prototypes.load_state_dict(checkpoint.prototypes)
    if checkpoint.positions:
        positions = Positions(teacher.info, *checkpoint.positions["mean"].shape[1:]).eval()
        positions.load_state_dict(checkpoint.positions)
    return Networks(teacher, student, prototypes, positions, checkpoint.fusion)


def restore(teacher: Teacher, student: Student | None, checkpoint: Checkpoint, run: RunFolder) -> None:
    """Fill teacher and student with the weights of a checkpoint.

    Args:
        teacher: The teacher to fill.
        student: The student to fill; None to fill the teacher alone.
        checkpoint: The newest checkpoint of `run`.
        run: The run, for error messages.

    Raises:
        WeightsError: It is another run's.
    """
    file = run.newest_checkpoint_file
    fill(teacher, checkpoint.teacher, str(file))
    if student is None:
        return
    try:
        student.load_state_dict(checkpoint.student)
    except RuntimeError as error:
        raise WeightsError(
            f"{file} holds another student than {run.path / RECORD_FILE} names.",
            expected=f"the student {run.record.config.student!r} of the teacher {run.record.config.teacher!r}",
            hint="Put back the checkpoint of this run, or train again into another folder.",
        ) from error
