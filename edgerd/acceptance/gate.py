"""The gate: an engine is only installed if it says what the FP32 graph says.

Pure functions of maps, labels and masks. Each check is a row: what was measured, what is allowed, whether it passed.

Each graph judges with its own threshold, as it will on the line: FP32 with the bundle's, the engine with the one that
`threshold_like` finds for the same false-alarm rate. A shift of all scores alike therefore changes no verdict. How many
verdicts would change with FP32's threshold stands in the report, and is not judged. Good pictures score below the
threshold, most of them far below; what happens to the scores of defects is measured on pasted ones.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from edgerd.acceptance.outputs import Outputs
from edgerd.bundle.manifest import GateCheck, GateReport, ThresholdRecord
from edgerd.evaluation.metrics import alarm_rate
from edgerd.evaluation.summary import Metrics
from edgerd.evaluation.threshold import threshold_like

MAX_MAP_ERROR = 0.25
"""Largest difference of two maps, as a part of the threshold, that is let through by default."""
MAX_MEAN_MAP_ERROR = 0.025
"""The mean difference that is let through, in the same unit; docs/decisions/int8-cpu.md has that of ResNet18."""
MEAN_OF_LARGEST = 0.2
"""Mean difference allowed, as a part of the largest that a person allows; rounding's mean is an eighth of it."""
MIN_RANK_CORRELATION = 0.95
MAX_FLIPPED = 0.01
MAX_FALSE_ALARM_CHANGE = 0.01
MAX_AUROC_DROP = 0.003
MAX_PASTED_DROP = 0.05
"""Share of the pasted defects that may be lost: two of 48."""
MIN_GOOD_PICTURES = 8
"""Good pictures that an engine is judged by, at least; with fewer a verdict more or less says nothing."""
MIN_RANKED = 20
"""Pictures whose order says something: with fewer, rounding among good ones that score alike decides it."""
RANKED_SPREAD = 3.0
"""How far apart scores must be for their order to be judged: their standard deviation, as a multiple of the mean map
error that is let through. Errors a third as large as what they are added to leave a correlation of 0.95."""
ON_THRESHOLD = 1e-4
"""Relative distance within which a score is the one that the threshold was taken from, whatever device computed it."""


@dataclass(frozen=True)
class Budget:
    """How far an engine may be from the FP32 graph.

    Attributes:
        max_map_error: Largest absolute difference of the maps, in units of the map.
        max_mean_map_error: Mean absolute difference of the maps, in the same units; None for `MEAN_OF_LARGEST` times
            the largest.
        max_auroc_drop: How far image AUROC, pixel AUROC and AUPRO may each fall.
        max_flipped: Largest share of pictures whose verdict changes.
        max_false_alarm_change: How far the false-alarm rate may move, up or down; one picture may always change.
        max_pasted_drop: How far the share of pasted defects that are found may fall; one may always be lost.
        min_rank_correlation: Least Spearman correlation of the scores of pictures that training never saw, where their
            order means something, and least Pearson correlation where pasted defects take part.
    """

    max_map_error: float
    max_mean_map_error: float | None = None
    max_auroc_drop: float = MAX_AUROC_DROP
    max_flipped: float = MAX_FLIPPED
    max_false_alarm_change: float = MAX_FALSE_ALARM_CHANGE
    max_pasted_drop: float = MAX_PASTED_DROP
    min_rank_correlation: float = MIN_RANK_CORRELATION

    @classmethod
    def usual(cls, threshold: float) -> Budget:
        """What is let through where nobody asks for more or less: map errors in proportion to the threshold."""
        return cls(MAX_MAP_ERROR * threshold, MAX_MEAN_MAP_ERROR * threshold)


def own_threshold(given: Outputs, reference: Outputs, fp32: ThresholdRecord) -> ThresholdRecord:
    """An engine's threshold, from what it and the FP32 graph give for the same pictures (`threshold_like`).

    Labelled pictures take no part: the threshold is the same with and without them.

    Raises:
        InputError: Scores that are not finite.
    """
    n, m = given.n_never_seen, len(given.good)
    ours, theirs = (np.append(each.scores[n:m], each.pasted_scores) for each in (given, reference))
    return threshold_like(given.scores[:n], reference.scores[:n], fp32, (ours, theirs))


def compare(
    given: Outputs, reference: Outputs, threshold: ThresholdRecord, budget: Budget, broken_weights: Sequence[str] = ()
) -> GateReport:
    """Compare what an engine gives with what the FP32 graph gives for the same pictures.

    Args:
        given: The engine's.
        reference: The FP32 graph's, all finite.
        threshold: The FP32 graph's, as it stands in the bundle.
        budget: What is let through.
        broken_weights: Names of the engine's weights with NaN or infinity. Maps alone do not tell: QuantizeLinear makes
            an integer of NaN, and what is left is a channel that says nothing.
    """
    finite = given.n_not_finite == 0
    checks = [
        _at_least("good pictures", len(given.good), MIN_GOOD_PICTURES, "fewer cannot show whether verdicts flip"),
        _at_most("weights with NaN or inf", len(broken_weights), 0, ", ".join(broken_weights[:1])),
        _at_most("maps with NaN or inf", given.n_not_finite, 0),
    ]
    worst = mean = -1.0  # NaN and infinity are not JSON
    correlation, flipped = None, 0
    if finite:
        worst, mean = _map_errors(given, reference)
        correlation = rank_correlation(given.scores, reference.scores)
        own, wanted = own_threshold(given, reference, threshold).value, threshold.value
        flipped = _n_flipped(given, reference, own, wanted)
        checks += [
            _at_most("largest map error", worst, budget.max_map_error),
            _at_most("mean map error", mean, _mean_allowed(budget)),
            *_correlations(correlation, given, reference, budget),
            *_flips(given, reference, flipped, wanted, budget),
            *_pasted(given, reference, own, wanted, budget),
            _false_alarms(given, reference, own, wanted, budget),
            *_drops(given.metrics(own), reference.metrics(wanted), budget),
        ]
    failures = tuple(str(check) for check in checks if check.passed is False)
    return GateReport(
        n_pictures=len(given.good) + len(given.labelled),
        n_labelled=len(given.labelled),
        max_map_error=worst,
        mean_map_error=mean,
        score_rank_correlation=correlation,
        verdicts_flipped=flipped,
        finite=finite,
        passed=not failures,
        failures=failures,
        checks=tuple(checks),
    )


def rank_correlation(left: npt.NDArray[np.float64], right: npt.NDArray[np.float64]) -> float | None:
    """Spearman's correlation; equal values share their mean rank. None with fewer than 3, or without variation."""
    if len(left) < 3 or np.ptp(left) == 0 or np.ptp(right) == 0:
        return None
    return float(np.corrcoef(_ranks_of(left), _ranks_of(right))[0, 1])


def _ranks_of(values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    _, place, n_equal = np.unique(values, return_inverse=True, return_counts=True)
    mean_ranks: npt.NDArray[np.float64] = np.cumsum(n_equal) - (n_equal - 1) / 2
    return mean_ranks[place]


def _mean_allowed(budget: Budget) -> float:
    mean = budget.max_mean_map_error
    return MEAN_OF_LARGEST * budget.max_map_error if mean is None else mean


def _map_errors(given: Outputs, reference: Outputs) -> tuple[float, float]:
    """The largest difference of two maps, and the mean over all; one picture at a time."""
    largest, means = 0.0, []
    for ours, wanted in zip(given.all, reference.all, strict=True):
        difference = np.abs(ours.anomaly_map - wanted.anomaly_map)
        largest = max(largest, float(difference.max()))
        means.append(float(difference.mean()))
    return largest, float(np.mean(means))


def _n_flipped(given: Outputs, reference: Outputs, own: float, wanted: float) -> int:
    """Verdicts that differ, each graph's scores against its own threshold."""
    # a conformal threshold is one of these very scores: on which side of it that picture falls says nothing
    is_on_one = np.isclose(given.scores, own, rtol=ON_THRESHOLD, atol=0.0)
    is_on_one |= np.isclose(reference.scores, wanted, rtol=ON_THRESHOLD, atol=0.0)
    return int((((given.scores > own) != (reference.scores > wanted)) & ~is_on_one).sum())


def _flips(given: Outputs, reference: Outputs, flipped: int, wanted: float, budget: Budget) -> Iterator[GateCheck]:
    n = len(given.scores)
    one = f"; one picture is {1 / n:.1%}" if 1 / n > budget.max_flipped else ""
    yield _at_most("flipped, own thresholds", flipped / n, budget.max_flipped, f"{flipped} of {n}{one}")
    at_fp32 = _n_flipped(given, reference, wanted, wanted)
    yield _not_judged("flipped, FP32 threshold", at_fp32 / n, f"{at_fp32} of {n}; the engine has its own")


def _pasted(given: Outputs, reference: Outputs, own: float, wanted: float, budget: Budget) -> Iterator[GateCheck]:
    """Compare how many pasted defects are found, each graph judging with its own threshold."""
    n = len(given.pasted)
    if not n:
        return
    is_found, was_found = given.pasted_scores > own, reference.pasted_scores > wanted
    lost = int(was_found.sum()) - int(is_found.sum())
    note = f"{was_found.sum()} to {is_found.sum()} of {n} found; {(is_found != was_found).sum()} verdicts differ"
    yield _at_most("pasted defects lost", lost / n, max(budget.max_pasted_drop, 1 / n), note)


def _correlations(ranks: float | None, given: Outputs, reference: Outputs, budget: Budget) -> Iterator[GateCheck]:
    """Whether both graphs put the pictures in the same order.

    Good parts may score almost alike, above all where they were trained on, so that rounding decides their order. Where
    there are too few others, or where an error that is let through would change their order, Pearson's correlation over
    good pictures and pasted defects is judged instead: together their scores are as far apart as those on a line.
    """
    name, n = "score rank correlation", given.n_never_seen + len(given.labelled)
    spread, needed = float(np.std(reference.scores)), RANKED_SPREAD * _mean_allowed(budget)
    if ranks is not None and n >= MIN_RANKED and spread >= needed:
        yield _at_least(name, ranks, budget.min_rank_correlation)
        return
    few = f"{n} pictures that training never saw; {MIN_RANKED} are needed"
    alike = f"the scores' standard deviation is {spread:.2g}; to judge their order, {needed:.2g}"
    yield _not_judged(name, ranks, few if n < MIN_RANKED else alike)
    ours, wanted = (np.append(each.scores, each.pasted_scores) for each in (given, reference))
    if given.pasted and np.ptp(ours) > 0 and np.ptp(wanted) > 0:
        correlation = float(np.corrcoef(ours, wanted)[0, 1])
        yield _at_least("score correlation, pasted too", correlation, budget.min_rank_correlation)


def _false_alarms(given: Outputs, reference: Outputs, own: float, wanted: float, budget: Budget) -> GateCheck:
    """Compare the false-alarm rates on labelled good pictures, each graph judging with its own threshold.

    The good pictures that thresholds are found from would not do: on them both rates are what was asked for.
    """
    name, is_good = "false-alarm rate change", given.labels.is_good
    n = int(is_good.sum())
    if n < MIN_GOOD_PICTURES:
        n = len(given.good)
        above = wanted * (1 + ON_THRESHOLD)
        change = alarm_rate(given.scores[:n], above) - alarm_rate(reference.scores[:n], above)
        return _not_judged(name, change, f"at FP32's threshold; to judge, {MIN_GOOD_PICTURES} labelled good pictures")
    ours, theirs = (
        alarm_rate(graph.scores[len(graph.good) :][is_good], threshold)
        for graph, threshold in ((given, own), (reference, wanted))
    )
    allowed = max(budget.max_false_alarm_change, 1 / n)
    return _at_most(name, abs(ours - theirs), allowed, f"{theirs:.3f} to {ours:.3f} on {n} labelled good pictures")


def _drops(given: Metrics | None, reference: Metrics | None, budget: Budget) -> Iterator[GateCheck]:
    for name, attribute, needed in (
        ("image AUROC drop", "image_auroc", "good and defective labelled pictures"),
        ("pixel AUROC drop", "pixel_auroc", "masks"),
        ("AUPRO drop", "aupro", "masks"),
    ):
        ours, wanted = getattr(given, attribute, None), getattr(reference, attribute, None)
        if ours is None or wanted is None:
            yield _not_judged(name, None, f"needs {needed}")
        else:
            yield _at_most(name, wanted - ours, budget.max_auroc_drop, f"{wanted:.4f} to {ours:.4f}")


def _at_most(name: str, measured: float, allowed: float, note: str = "") -> GateCheck:
    return GateCheck(name=name, measured=measured, allowed=allowed, passed=measured <= allowed, note=note)


def _at_least(name: str, measured: float, allowed: float, note: str = "") -> GateCheck:
    passed = measured >= allowed
    return GateCheck(
        name=name, measured=measured, allowed=allowed, bound="at least", passed=passed, note="" if passed else note
    )


def _not_judged(name: str, measured: float | None, note: str) -> GateCheck:
    return GateCheck(name=name, measured=measured, allowed=None, passed=None, note=note)
