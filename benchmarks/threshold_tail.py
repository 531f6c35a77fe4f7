"""How far the false-alarm rate is off when a threshold is extrapolated, for several ways to fit the tail.

Draws n scores of good pictures from known laws, fits, and asks the law itself how many new good pictures would be
called NG. Prints Markdown:

    python benchmarks/threshold_tail.py > benchmarks/results/threshold_tail.md
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import numpy as np
import numpy.typing as npt
from scipy import optimize, stats

from edgerd.evaluation.threshold import tail_threshold

Scores = npt.NDArray[np.float64]
Fit = Callable[[Scores, float], Scores]
REPEATS = 2000
CASES = ((8, 0.01), (20, 0.01), (50, 0.01), (98, 0.01), (98, 0.001))


class Law(Protocol):
    """What the experiment asks of a law of scores; scipy's frozen distributions have it."""

    def rvs(self, size: tuple[int, int], random_state: np.random.Generator) -> Scores:
        """Draw scores."""

    def sf(self, score: npt.ArrayLike) -> Scores:
        """Share of good pictures above a score."""

    def isf(self, rate: float) -> float:
        """The score that a share of `rate` is above."""


class TwoModes:
    """Nine parts in ten from one lot or light, the tenth from another."""

    often, seldom = stats.norm(0.30, 0.03), stats.norm(0.45, 0.05)

    def rvs(self, size: tuple[int, int], random_state: np.random.Generator) -> Scores:
        """Draw scores."""
        draws = [law.rvs(size, random_state=random_state) for law in (self.often, self.seldom)]
        return np.where(random_state.random(size) < 0.9, *draws)

    def sf(self, score: npt.ArrayLike) -> Scores:
        """Share of good pictures above a score."""
        return 0.9 * self.often.sf(score) + 0.1 * self.seldom.sf(score)

    def isf(self, rate: float) -> float:
        """The score that a share of `rate` is above."""
        return optimize.brentq(lambda score: self.sf(score) - rate, 0, 2)


LAWS: dict[str, Law] = {
    "normal": stats.norm(0.3, 0.05),
    "lognormal 0.25": stats.lognorm(0.25, scale=0.3),
    "lognormal 0.5": stats.lognorm(0.5, scale=0.3),
    "gamma 3": stats.gamma(3, loc=0.1, scale=0.05),
    "Gumbel": stats.gumbel_r(0.3, 0.04),
    "Weibull 2": stats.weibull_min(2, 0.2, 0.1),
    "Student t5": stats.t(5, 0.3, 0.04),
    "Student t3": stats.t(3, 0.3, 0.04),
    "two modes": TwoModes(),
}


def exponential(m_of: Callable[[int], int], scale: Callable[[int, float], float]) -> Fit:
    """Exponential tail of the m largest scores; `scale(m, log_ratio)` multiplies the sum of their excesses."""

    def fit(x: Scores, rate: float) -> Scores:
        n, m = x.shape[1], m_of(x.shape[1])
        base = x[:, n - m - 1]
        excess = (x[:, n - m :] - base[:, None]).sum(axis=1)
        return base + excess * scale(m, np.log((m + 1) / ((n + 1) * rate)))

    return fit


def generalised_pareto(x: Scores, rate: float) -> Scores:
    """Upper half, probability-weighted moments (Hosking and Wallis 1987)."""
    n, m = x.shape[1], x.shape[1] // 2
    base = x[:, n - m - 1]
    excess = x[:, n - m :] - base[:, None]
    mean, weighted = excess.mean(axis=1), (excess * np.arange(m - 1, -1, -1) / (m - 1)).mean(axis=1)
    shape = 2 - mean / (mean - 2 * weighted)
    scale = 2 * mean * weighted / (mean - 2 * weighted)
    return base + scale / shape * (((m + 1) / ((n + 1) * rate)) ** shape - 1)


def gumbel(x: Scores, rate: float) -> Scores:
    """All scores, L-moments."""
    n = x.shape[1]
    mean, weighted = x.mean(axis=1), (x * np.arange(n) / (n - 1)).mean(axis=1)
    scale = (2 * weighted - mean) / np.log(2)
    return mean - np.euler_gamma * scale - scale * np.log(-np.log1p(-rate))


def normal(x: Scores, rate: float) -> Scores:
    """Mean and standard deviation of all scores, Student's prediction limit."""
    n = x.shape[1]
    return x.mean(axis=1) + x.std(axis=1, ddof=1) * np.sqrt(1 + 1 / n) * stats.t.isf(rate, n - 1)


def lognormal(x: Scores, rate: float) -> Scores:
    """The same for the logarithms."""
    return np.exp(normal(np.log(np.maximum(x, 1e-6)), rate))


FITS: dict[str, Fit] = {
    "the largest score": lambda x, _: x[:, -1],
    "normal, prediction limit": normal,
    "lognormal, prediction limit": lognormal,
    "Gumbel": gumbel,
    "generalised Pareto, upper half": generalised_pareto,
    "exponential, upper half, plug-in": exponential(lambda n: n // 2, lambda m, log_ratio: log_ratio / m),
    "exponential, upper half, predictive": exponential(lambda n: n // 2, lambda m, log_ratio: np.expm1(log_ratio / m)),
    "exponential, upper half, unbiased rate": exponential(lambda n: n // 2, lambda m, log_ratio: log_ratio / (m - 1)),
    "**exponential, ten largest at most, unbiased rate (edgerd)**": lambda x, rate: np.array(
        [tail_threshold(s, rate) for s in x]
    ),
}


def main() -> None:
    """Print a table for every case."""
    rng = np.random.default_rng(0)
    print("# Extrapolated thresholds\n")
    print(
        f"{REPEATS} draws each. A cell: mean realised false-alarm rate over the rate asked for, then the height of the"
    )
    print(
        "threshold: median of (threshold - median score) / (true quantile - median score). 1.0 and 1.00 are ideal; no"
    )
    print("threshold is below the largest score drawn.")
    for n, rate in CASES:
        print(f"\n## {n} good pictures, false-alarm rate {rate:g}\n")
        print(f"| fit | {' | '.join(LAWS)} | all laws |")
        print("|---|" + "---|" * (len(LAWS) + 1))
        draws = {name: np.sort(law.rvs((REPEATS, n), random_state=rng), axis=1) for name, law in LAWS.items()}
        for title, fit in FITS.items():
            rates, heights = zip(*(judge(fit, draws[name], law, rate) for name, law in LAWS.items()), strict=True)
            cells = [f"{ratio:.1f}, {height:.2f}" for ratio, height in zip(rates, heights, strict=True)]
            span = f"{min(rates):.1f} to {max(rates):.1f}, {min(heights):.1f} to {max(heights):.1f}"
            print(f"| {title} | {' | '.join(cells)} | {span} |")


def judge(fit: Fit, draws: Scores, law: Law, rate: float) -> tuple[float, float]:
    """Realised rate over the rate asked for, and height, of one fit under one law."""
    threshold = np.maximum(fit(draws, rate), draws[:, -1])
    middle, quantile = law.isf(0.5), law.isf(rate)
    return law.sf(threshold).mean() / rate, float(np.median((threshold - middle) / (quantile - middle)))


if __name__ == "__main__":
    main()
