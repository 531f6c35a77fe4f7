"""What `bundle.json` says: plain records, validated when they are read, versioned as a whole.

The records stand here, below every package that fills them in, so that a bundle can be opened with nothing but
pydantic installed.
"""

from __future__ import annotations

from typing import Any, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    SerializerFunctionWrapHandler,
    field_validator,
    model_serializer,
    model_validator,
)

SCHEMA_VERSION = 1
GRAPH_FILE = "graph.fp32.onnx"
ADDED_FOLDER = "pictures/added/"
"""Where good pictures lie that were added after training."""


class Record(BaseModel):
    """A frozen record; unknown keys are an error, NaN and infinity too."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class RegionSpec(Record):
    """The part of the frame that is inspected, in frame pixels."""

    x: int = Field(ge=0)
    y: int = Field(ge=0)
    width: int = Field(gt=0)
    height: int = Field(gt=0)

    def __str__(self) -> str:
        return f"{self.x},{self.y},{self.width},{self.height}"


class TileSpec(Record):
    """The region cut into rows x columns tiles, each overlapping its neighbours by a fraction of its own size."""

    rows: int = Field(ge=1, le=32)
    columns: int = Field(ge=1, le=32)
    overlap: float = Field(default=0.0, ge=0.0, lt=0.9)

    def __str__(self) -> str:
        return f"{self.rows}x{self.columns}" + (f":{self.overlap:g}" if self.overlap else "")


Aspect = Literal["stretch", "crop", "letterbox"]
"""What becomes of a picture whose aspect ratio is not the graph's; `edgerd.data.aspect` says how."""


class PreprocessSpec(Record):
    """The one preprocessing spec: frame -> BGR -> region -> tiles -> resize to (height, width) -> uint8 (H, W, 3)."""

    height: int = Field(default=256, ge=32, le=4096)
    width: int = Field(default=256, ge=32, le=4096)
    region: RegionSpec | None = None
    tiles: TileSpec = TileSpec(rows=1, columns=1)
    colour_standard: Literal["bt601", "bt709"] = "bt601"
    colour_range: Literal["limited", "full"] = "limited"
    aspect: Aspect = "stretch"

    @model_serializer(mode="wrap")
    def _stretch_goes_without_saying(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """A bundle's id is a hash over this JSON: those from before there was an `aspect` must keep theirs."""
        fields: dict[str, Any] = handler(self)
        if self.aspect == "stretch":
            fields.pop("aspect", None)
        return fields

    @model_validator(mode="after")
    def _multiple_of_32(self) -> PreprocessSpec:
        if self.height % 32 or self.width % 32:
            raise ValueError("height and width must be multiples of 32, the stride of the one-class embedding")
        return self

    @property
    def n_tiles(self) -> int:
        """Tiles per frame, the batch one frame needs."""
        return self.tiles.rows * self.tiles.columns


class FileRecord(Record):
    """A file of the bundle: its SHA-256 (64 hex digits) and its size in bytes."""

    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    n_bytes: int = Field(ge=0)


class ModelRecord(Record):
    """Which networks the graph holds."""

    teacher: str
    student: str | None
    """None where there are prototypes alone."""
    prototypes: int = 0
    """Patches of good parts that the graph compares with, of all its banks."""
    positions: bool = False
    """Whether the graph compares with what is usual at each position of good parts."""
    score_values: int | None = Field(default=None, ge=1)
    """How many of a map's highest values its score is the mean of (`edgerd.scoring`); None for its maximum."""
    teacher_sha256: str
    """Hash over the teacher's tensors."""


class PictureSize(Record):
    """A size that pictures have, in pixels, and how many have it."""

    width: int = Field(gt=0)
    height: int = Field(gt=0)
    n: int = Field(ge=1)

    def __str__(self) -> str:
        return f"{self.width}x{self.height}"


class TrainingRecord(Record):
    """How the student was trained."""

    method: str
    seed: int
    epochs: int
    steps: int
    batch_size: int
    n_train: int
    n_holdout: int
    n_skipped: int
    data_fingerprint: str
    """Hash over the names and contents of the training pictures."""
    tuning_steps: int = 0
    """Steps of the fine-tune for INT8 that followed; 0 where there was none."""
    sizes: tuple[PictureSize, ...] = ()
    """The sizes of the good pictures, the most common first. Bundles of older versions list none."""


class ThresholdRecord(Record):
    """A threshold found from the scores of good pictures that training never saw.

    Sources: split-conformal prediction (Vovk et al. 2005; Angelopoulos and Bates, arXiv:2107.07511, section 3.2 for the
    Beta law of the realised rate).
    """

    value: float
    """NG is score > value, strictly."""
    false_alarm_rate: float = Field(gt=0.0, lt=1.0)
    """The rate asked for."""
    n_good: int = Field(ge=1)
    """Good pictures it was found from."""
    rank: int | None
    """k: the threshold is the k-th smallest of the n scores; None where it was extrapolated."""
    extrapolated: bool
    """True where n is too small for the rate asked for and a tail was fitted."""
    n_left_out: int = Field(default=0, ge=0)
    """How many of the `n_good` scores stand far outside the others and do not count; 0 unless there are few."""
    largest_score: float
    """The largest score of a good picture that counts."""
    usual_score: float | None = None
    """What nine of ten of the scores that count do not exceed; None in bundles of older versions."""
    realised_rate_90: tuple[float, float] | None
    """90 % interval of the false-alarm rate that will be seen, from Beta(n + 1 - k, k); None where extrapolated."""
    n_more_needed: int = Field(ge=0)
    """How many more good pictures would settle the rate without extrapolation."""


class CrossFitRecord(Record):
    """Scores of good training pictures, each by a model that never saw it.

    The model of the bundle was trained on all of them, so that its own scores of them would be too low.
    """

    folds: int = Field(ge=2)
    """How many models there were; as many as pictures where each was left out alone."""
    scores: tuple[float, ...] = Field(min_length=1)
    """One per picture, scaled as the FP32 graph's."""


class PastedRecall(Record):
    """How many pasted defects of one kind are found."""

    n: int = Field(ge=1)
    found: int = Field(ge=0)


class RoughRecall(Record):
    """How many pasted defects the FP32 graph finds at its threshold (`edgerd.data.pasted`).

    Pasted defects are no real ones: many that are found promise little, but where few are, few real ones will be.
    """

    per_kind: dict[str, PastedRecall] = Field(min_length=1)

    @property
    def n(self) -> int:
        """Pasted defects of all kinds."""
        return sum(kind.n for kind in self.per_kind.values())

    @property
    def found(self) -> int:
        """How many of them score above the threshold."""
        return sum(kind.found for kind in self.per_kind.values())


class PictureLimits(Record):
    """What good pictures look like in the large; frames far outside are not judged. Grey levels 0 to 255."""

    mean_low: float
    mean_high: float
    contrast_low: float
    """Smallest standard deviation of the grey levels."""


class EngineKey(Record):
    """Where an engine runs: it is opened only where all of this is the same."""

    runtime: str
    runtime_version: str
    precision: str
    device: str
    """GPU or CPU model name."""
    features: tuple[str, ...] = ()
    """CPU features or compute capability that the compiled code may use, sorted."""
    graph_sha256: str
    """Hash of the graph that it was compiled from."""

    @property
    def name(self) -> str:
        """As commands print it: runtime and precision."""
        return f"{self.runtime} {self.precision}"


class GateCheck(Record):
    """One thing that an engine was compared in with the FP32 graph."""

    name: str
    measured: float | None
    """None where it could not be measured."""
    allowed: float | None
    """None where it is not judged."""
    bound: Literal["at most", "at least"] = "at most"
    passed: bool | None
    """None where it is not judged; `note` says why."""
    note: str = ""

    def __str__(self) -> str:
        measured = "-" if self.measured is None else f"{self.measured:.4g}"
        allowed = "" if self.allowed is None else f"; {self.bound} {self.allowed:.4g}"
        return f"{self.name}: {measured}{allowed}" + (f" ({self.note})" if self.note else "")


class GateReport(Record):
    """How an engine compares with the FP32 graph on good pictures that training never saw, and on labelled ones."""

    n_pictures: int
    """All of them."""
    n_labelled: int = 0
    """How many of them have labels."""
    max_map_error: float
    """Largest absolute difference of the maps over all pictures and pixels; -1 where they are not finite."""
    mean_map_error: float
    """Mean absolute difference of the maps over all pictures and pixels; -1 where they are not finite."""
    score_rank_correlation: float | None
    """Spearman's; None with fewer than 3 pictures."""
    verdicts_flipped: int
    """How many of the pictures get another verdict, each graph judging with its own threshold. A picture whose score is
    that threshold does not count."""
    finite: bool
    passed: bool
    forced: bool = False
    failures: tuple[str, ...] = ()
    checks: tuple[GateCheck, ...] = ()
    """All that was looked at, judged or not."""


class SelfTestRecord(Record):
    """What an engine gave for one stored good picture when it was built or calibrated; a line compares when it starts.

    The files stay in the bundle as long as this record names them.
    """

    files: tuple[str, ...] = Field(min_length=1)
    """One PNG per tile, in the bundle."""
    picture_sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    """Hash over the tiles, uint8 (T, H, W, 3): a file of the same name may come to hold another picture."""
    score: float
    """The largest over the tiles."""


class EngineRecord(Record):
    """An engine in the bundle."""

    key: EngineKey
    """Its hash is that of `graph`."""
    files: tuple[str, ...]
    graph: str = GRAPH_FILE
    """What it was compiled from: the exported graph, or one that a lower precision was written into."""
    high_precision: tuple[str, ...] = ()
    """Blocks that an INT8 engine leaves in high precision, named as the networks' modules: "teacher/layer1.0"."""
    threshold: ThresholdRecord
    gate: GateReport
    default: bool = False
    median_ms: float | None = None
    """Median milliseconds per frame when it was built, on the device of the key; for choosing, not for quoting."""
    self_test: SelfTestRecord | None = None
    """None where the bundle has no pictures, or an older edgerd built the engine."""

    @property
    def name(self) -> str:
        """As commands print it: runtime and precision."""
        return self.key.name


class Manifest(Record):
    """`bundle.json`."""

    schema_version: int = SCHEMA_VERSION
    id: str = Field(pattern=r"^[0-9a-f]{64}$")
    """SHA-256 over the graph's hash and the preprocessing spec."""
    created_at: str
    """ISO 8601, UTC."""
    edgerd_version: str
    model: ModelRecord
    training: TrainingRecord
    preprocess: PreprocessSpec
    limits: PictureLimits
    threshold: ThresholdRecord | None = None
    """The FP32 graph's; None until it is calibrated."""
    holdout: tuple[str, ...] = ()
    """Good pictures that training never saw: those it held out, then those that `calibrate` added (in `ADDED_FOLDER`).
    One PNG per tile, file names in the bundle in order (picture by picture)."""
    holdout_scores: tuple[float, ...] = ()
    """FP32 scores of good pictures that training never saw and that do not travel in the bundle."""
    cross_fit: CrossFitRecord | None = None
    """Scores of the training pictures; None where training held pictures out instead. The FP32 graph's threshold is
    found from these, from `holdout_scores` and from its scores of `holdout`, all together."""
    self_test: SelfTestRecord | None = None
    """The FP32 graph's, noted when it was calibrated; None where the bundle has no pictures."""
    rough_recall: RoughRecall | None = None
    """At the current threshold; None where there was no picture to paste defects into."""
    ranges: tuple[str, ...] = ()
    """Pictures that quantization ranges are found from: training pictures, until others take their place. One PNG per
    tile, file names in the bundle in order (picture by picture)."""
    trained_on: tuple[str, ...] | None = None
    """The SHA-256 of each training picture, over its tiles, uint8 (T, H, W, 3), by which it is recognised where
    thresholds are found. Bundles of older versions list only the pictures that `ranges` once held; None where the
    pictures that `ranges` holds now are the only ones that are known."""
    engines: tuple[EngineRecord, ...] = ()
    files: dict[str, FileRecord] = Field(default_factory=dict)

    @field_validator("files")
    @classmethod
    def _inside(cls, files: dict[str, FileRecord]) -> dict[str, FileRecord]:
        for name in files:
            parts = name.split("/")
            if not name or "\\" in name or ":" in name or any(part in ("", ".", "..") for part in parts):
                raise ValueError(f"file name {name!r} leaves the bundle")
        return files

    @property
    def added(self) -> tuple[str, ...]:
        """The pictures in `holdout` that were added after training."""
        return tuple(name for name in self.holdout if name.startswith(ADDED_FOLDER))

    @property
    def scores_alone(self) -> tuple[float, ...]:
        """FP32 scores of good pictures that count for the threshold and are not in the bundle."""
        return (self.cross_fit.scores if self.cross_fit else ()) + self.holdout_scores

    @property
    def named_files(self) -> set[str]:
        """Files that pictures, self-tests and engines refer to; `files` must have a hash for each."""
        self_tests = (self.self_test, *(engine.self_test for engine in self.engines))
        return {
            *self.holdout,
            *self.ranges,
            *(file for each in self_tests if each for file in each.files),
            *(file for engine in self.engines for file in (engine.graph, *engine.files)),
        }
