"""What a report is made from."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from edgerd.bundle.manifest import ThresholdRecord
from edgerd.evaluation.summary import Metrics
from edgerd.types import GOOD, BoolArray, Box, Float32Array, UInt8Array


@dataclass(frozen=True, slots=True)
class ReportPicture:
    """A picture in the list of pictures.

    Attributes:
        name: The name that is shown, e.g. the path below the data folder.
        defect: Kind of defect, "good" for a good picture.
        score: The picture's score; finite.
    """

    name: str
    defect: str
    score: float

    @property
    def is_defective(self) -> bool:
        """Whether the part has a defect."""
        return self.defect != GOOD


@dataclass(frozen=True, slots=True, eq=False)
class Example:
    """What is drawn for a picture.

    Attributes:
        picture: uint8 (h, w, 3), BGR, as it was read.
        anomaly_map: float32 (T, H, W), or (H, W) for one tile.
        mask: bool, any size, True on the defect; None where there is none.
        tiles: Where the T tiles lie in the picture; empty for one tile that covers it.
    """

    picture: UInt8Array
    anomaly_map: Float32Array
    mask: BoolArray | None = None
    tiles: tuple[Box, ...] = ()


@dataclass(frozen=True, slots=True)
class ComparedRun:
    """The figures of another evaluation, shown beside this one's.

    Attributes:
        file: The JSON file that they were read from; its name stands for the run.
        engine: Its runtime and precision.
        metrics: Its figures.
    """

    file: Path
    engine: str
    metrics: Metrics


@dataclass(frozen=True, slots=True, eq=False)
class ReportData:
    """The content of a report.

    Attributes:
        title: Heading and window title.
        facts: Name and value of what was evaluated, shown in this order: date, bundle, engine, data, ...
        command: What to type to make this report again.
        run_options: What to type behind "edgerd run" to inspect with this bundle and engine.
        metrics: From `edgerd.evaluation.summary.evaluate_scores`, of these pictures.
        pictures: Every picture that was evaluated.
        example: Gives what is drawn for the picture of an index. It is called once for each, so that no more than one
            picture has to be in memory.
        doubts: Reasons to doubt the figures, a paragraph each, shown above them.
        threshold: How `metrics.threshold` was found, explained in the report; None if a person chose it.
        this_run: Name and engine of this evaluation, in the table that compares it with `compared`.
        compared: Other evaluations.
    """

    title: str
    facts: Mapping[str, str]
    command: str
    run_options: str
    metrics: Metrics
    pictures: Sequence[ReportPicture]
    example: Callable[[int], Example]
    doubts: Sequence[str] = ()
    threshold: ThresholdRecord | None = None
    this_run: tuple[str, str] = ("this run", "")
    compared: Sequence[ComparedRun] = ()
