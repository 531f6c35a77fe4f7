"""The threshold, from the scores of good pictures that training never saw.

Split-conformal: of n such scores the ceil((n + 1)(1 - alpha))-th smallest is exceeded by at most a share alpha of new
good pictures, whatever the law of the scores, as long as they are exchangeable (Vovk, Gammerman and Shafer 2005;
Angelopoulos and Bates, arXiv:2107.07511). With fewer than 1 / alpha - 1 scores there is no such score, and an
exponential tail is fitted to the largest of them instead (docs/decisions/threshold-tail.md compares the candidates).
Where there are few scores, those far above the others do not count: one defect among thirty good pictures, or one good
part under another light, would raise the threshold above most defects. The user is told which pictures they are.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from edgerd.bundle.manifest import ThresholdRecord
from edgerd.errors import InputError
from edgerd.evaluation.outliers import far_outside

_USUAL = 0.9
"""Share of the good scores that do not exceed `ThresholdRecord.usual_score`."""
_TAIL_SCORES = 10
_N_FOR_QUARTILES = 20
"""With fewer scores, their quartiles are too uncertain to say which of them are far above the others."""
FEW = 99
"""From this number of scores on, a rate of 1 % is settled, and one score far above the others only shifts the rank."""
N_NEAREST = 20
"""The pictures, nearest to the threshold, that an engine's shift of scores is measured on."""
_ROUNDING = 1e-9
"""(n + 1)(1 - alpha) is often whole on paper and a hair above in binary; this keeps the rank."""


def threshold_from_scores(scores: npt.ArrayLike, false_alarm_rate: float) -> ThresholdRecord:
    """Find the threshold for a false-alarm rate.

    Args:
        scores: (n,), any float type: scores of good pictures by models that never saw them, one per picture.
        false_alarm_rate: alpha, the share of good parts that may be called NG, between 0 and 1.

    Returns:
        The record, `extrapolated` where alpha < 1 / (n + 1); then the threshold is not below the largest score. With
        fewer than `FEW` scores, those far above the others (`edgerd.evaluation.outliers`) do not count
        among the n.

    Raises:
        InputError: The rate is outside (0, 1), a score is not finite, or there are too few scores.
    """
    ordered = np.sort(np.asarray(scores, dtype=np.float64).ravel())
    n = ordered.size
    _check(ordered, false_alarm_rate)
    n_left_out = len(far_outside(ordered)) if _N_FOR_QUARTILES <= n < FEW else 0
    kept = ordered[: n - n_left_out]
    rank = max(1, math.ceil((kept.size + 1) * (1 - false_alarm_rate) - _ROUNDING))
    extrapolated = rank > kept.size
    return ThresholdRecord(
        value=tail_threshold(kept, false_alarm_rate) if extrapolated else float(kept[rank - 1]),
        false_alarm_rate=false_alarm_rate,
        n_good=n,
        rank=None if extrapolated else rank,
        extrapolated=extrapolated,
        n_left_out=n_left_out,
        largest_score=float(kept[-1]),
        usual_score=float(np.quantile(kept, _USUAL, method="higher")),
        realised_rate_90=None if extrapolated else realised_rate_interval(kept.size, rank),
        n_more_needed=max(0, math.ceil(1 / false_alarm_rate - _ROUNDING) - 1 - kept.size),
    )


def threshold_like(
    scores: npt.ArrayLike,
    reference_scores: npt.ArrayLike,
    reference: ThresholdRecord,
    others: tuple[npt.ArrayLike, npt.ArrayLike] = ((), ()),
) -> ThresholdRecord:
    """The threshold of another engine, with the same meaning as that of the FP32 graph.

    Where the reference is settled, and the engine has scored every picture that it was found from, the threshold is
    found from the engine's own scores. Otherwise the reference is shifted by as much as the engine's scores are. An
    extrapolated tail is not fitted again, since a fit to ten slightly different scores moves several times as far as
    they do. And where the models that gave some of the scores are gone, the engine has no scores to replace them.

    The shift is the mean difference of the scores on the `N_NEAREST` pictures whose reference scores are nearest to the
    reference threshold: lower precision may stretch scores as well as shift them, so that ordinary good parts, whose
    scores are far below, do not show what happens at the threshold.

    Args:
        scores: (n,), any float type: the engine's scores of good pictures that training never saw.
        reference_scores: (n,): the FP32 graph's, in the same order.
        reference: The FP32 graph's threshold, found from all of these pictures, or from others as well.
        others: Scores of more pictures to measure the shift on, by the engine and by the FP32 graph, (m,) each.

    Raises:
        InputError: A score is not finite, or there are none.
    """
    own, wanted = np.asarray(scores, np.float64), np.asarray(reference_scores, np.float64)
    if own.size == reference.n_good and not reference.extrapolated:
        return threshold_from_scores(own, reference.false_alarm_rate)
    ours, theirs = (np.append(good, other) for good, other in zip((own, wanted), others, strict=True))
    _check_finite(ours)
    if not ours.size:
        raise InputError("There are no pictures to compare an engine's scores on.", expected="one at least")
    nearest = np.argsort(np.abs(theirs - reference.value), kind="stable")[:N_NEAREST]
    shift = float(np.mean(ours[nearest] - theirs[nearest]))
    largest = reference.largest_score + shift
    if own.size == reference.n_good:
        largest = float(np.sort(own)[own.size - 1 - reference.n_left_out])
    value = reference.value + shift
    if reference.extrapolated:
        value = max(value, largest)
    usual = None if reference.usual_score is None else reference.usual_score + shift
    return reference.model_copy(update={"value": value, "largest_score": largest, "usual_score": usual})


def tail_threshold(ordered_scores: npt.NDArray[np.float64], false_alarm_rate: float) -> float:
    """The threshold from an exponential tail fitted to the ten largest scores, or to the upper half of fewer than 20.

    These m scores exceed the one below them, u, by amounts with sum S. A new score exceeds u with probability
    (m + 1) / (n + 1), and for an exponential tail (m - 1) / S is the unbiased estimate of its rate, hence
    u + S / (m - 1) * ln((m + 1) / ((n + 1) alpha)).

    Args:
        ordered_scores: float64 (n,), ascending, n >= 3.
        false_alarm_rate: alpha, below 1 / (n + 1).

    Returns:
        The threshold, not below the largest score.
    """
    n = ordered_scores.size
    m = max(2, min(n // 2, _TAIL_SCORES))
    base = ordered_scores[n - m - 1]
    excess_scale = float(np.sum(ordered_scores[n - m :] - base)) / (m - 1)
    fitted = base + excess_scale * math.log((m + 1) / ((n + 1) * false_alarm_rate))
    return float(max(fitted, ordered_scores[-1]))


def realised_rate_interval(n: int, rank: int) -> tuple[float, float]:
    """The central 90 % interval of the false-alarm rate, where the threshold is the rank-th smallest of n scores.

    The rate follows Beta(n + 1 - rank, rank) (arXiv:2107.07511, section 3.2) where no two scores are equal; equal
    scores can only lower it.

    Args:
        n: Number of scores.
        rank: 1 to n.

    Returns:
        Lower and upper end, each between 0 and 1.
    """
    low, high = (_beta_quantile(probability, n + 1 - rank, rank) for probability in (0.05, 0.95))
    return low, high


def describe(record: ThresholdRecord, bundle: str = "BUNDLE") -> str:
    """Explain in a few lines what a threshold promises, and what it does not.

    Args:
        record: The threshold, and how it was found.
        bundle: The bundle's path as one types it.
    """
    rate = percent(record.false_alarm_rate)
    more = f"{record.n_more_needed} more good {'picture' if record.n_more_needed == 1 else 'pictures'}"
    if record.extrapolated:
        return (
            f"NG is a score above {record.value:.4g}, extrapolated: {record.n_good} good pictures are too few to "
            f"settle a false-alarm rate of {rate}.\n"
            f"An exponential tail was fitted to their highest scores; the largest is {record.largest_score:.4g}"
            f"{_left_out(record.n_left_out)}.\n"
            f"{more} would settle it: edgerd calibrate {bundle} MORE_PICTURES, or --from-camera URI --minutes M."
        )
    low, high = record.realised_rate_90 or (0.0, 1.0)
    return (
        f"NG is a score above {record.value:.4g}, for a false-alarm rate of {rate}: "
        f"number {record.rank} of the {record.n_good - record.n_left_out} good pictures' scores in ascending order"
        f"{_left_out(record.n_left_out)}.\n"
        f"Expect {percent(low)} to {percent(high)} of good parts to be called NG (90 % interval, for parts like the "
        f"ones in those pictures)."
    )


def percent(share: float) -> str:
    """A share or a rate as people read it: 0.01 is "1 %"."""
    hundredths = 100 * share
    return f"{hundredths:.2g} %" if hundredths < 10 else f"{hundredths:.0f} %"


def _left_out(n: int) -> str:
    if not n:
        return ""
    return f", but for {'one that stands' if n == 1 else f'{n} that stand'} far outside: parts like that will be NG"


def _check(ordered: npt.NDArray[np.float64], false_alarm_rate: float) -> None:
    if not 0 < false_alarm_rate < 1:
        raise InputError(
            f"A false-alarm rate of {false_alarm_rate:g} makes no sense.",
            expected="a share of the good parts, above 0 and below 1",
            hint="--false-alarm-rate 0.01 lets one good part in a hundred be called NG.",
        )
    _check_finite(ordered)
    n_least = min(3, math.ceil(1 / false_alarm_rate - _ROUNDING) - 1)
    if ordered.size < max(1, n_least):
        raise InputError(
            f"{ordered.size} good pictures are too few for a threshold.",
            expected=f"{max(1, n_least)} or more that training never saw",
            hint="Pass more good pictures: edgerd calibrate BUNDLE DATA",
        )


def _check_finite(scores: npt.NDArray[np.float64]) -> None:
    if not np.isfinite(scores).all():
        raise InputError(
            f"{np.count_nonzero(~np.isfinite(scores))} of {scores.size} scores are not finite.",
            expected="finite scores of good pictures",
            hint="Evaluate the FP32 engine; if its scores are not finite either, train again.",
        )


def _beta_quantile(probability: float, a: int, b: int) -> float:
    """The x with P(X <= x) = probability, for X ~ Beta(a, b) with whole numbers a and b.

    Found by bisection. P(X <= x) is P(Binomial(a + b - 1, x) >= a), or one less the sum of the a terms below.
    """
    n = a + b - 1
    log_choose = [math.lgamma(n + 1) - math.lgamma(j + 1) - math.lgamma(n - j + 1) for j in range(a)]
    low, high = 0.0, 1.0
    for _ in range(60):
        x = (low + high) / 2
        log_x, log_rest = math.log(x), math.log1p(-x)
        below = math.fsum(math.exp(c + j * log_x + (n - j) * log_rest) for j, c in enumerate(log_choose))
        low, high = (x, high) if 1 - below < probability else (low, x)
    return (low + high) / 2
