"""The one guard for aspect ratios: says where pictures have another one than those that a bundle was trained on.

With aspect `stretch` such a picture is distorted otherwise than in training, and a network that never saw parts of this
shape may call good ones NG and miss defects. With `letterbox` it is not distorted, but scaled and padded otherwise.
With `crop`, and where the spec has a region, what is judged always has the ratio of training, and nothing is said.

Two ratios are the same where they differ by `ASPECT_TOLERANCE` at most: 1366x768 is 16:9 but for rounding.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Final

from edgerd.bundle.manifest import Manifest, PictureSize, PreprocessSpec

ASPECT_TOLERANCE: Final = 0.02
"""How much larger than another one an aspect ratio may be and still count as the same. A part that is 2 % wider than in
training differs less than parts and lenses do."""
_NAMED = 3
"""How many sizes a sentence names; the others are counted."""
_ADVICE = "Give pictures of the trained shape, or train again on pictures like these"
_ADVICE_IF_STRETCHED = ": --region x,y,w,h cuts the part out, --keep-aspect crop or letterbox does not distort them."


class ShapeGuard:
    """Takes the sizes of the pictures that a bundle judges, and says what is wrong with them.

    Args:
        manifest: The bundle's. One of an older version, which does not list the sizes of its training pictures, never
            gives a warning.
    """

    def __init__(self, manifest: Manifest) -> None:
        self._spec = manifest.preprocess
        self._trained = manifest.training.sizes
        self._seen: Counter[tuple[int, int]] = Counter()
        self._known: dict[tuple[int, int], bool] = {}

    def fits(self, width: int, height: int) -> bool:
        """Whether pictures of this size are judged as those of training were; their sides are in pixels."""
        if self._spec.region is not None or self._spec.aspect == "crop" or not self._trained:
            return True
        if (width, height) not in self._known:  # a line asks at each frame, and a bundle may know thousands of sizes
            ratio = width / height
            self._known[width, height] = any(same_ratio(ratio, one.width / one.height) for one in self._trained)
        return self._known[width, height]

    def see(self, width: int, height: int) -> None:
        """Count a picture of this size, in pixels."""
        self._seen[width, height] += 1

    def warnings(self) -> tuple[str, ...]:
        """What a person must know of the pictures that were counted: a warning, or none."""
        others = counted_sizes(size for size in self._seen.elements() if not self.fits(*size))
        if not others:
            return ()
        n = sum(one.n for one in others)
        return (self._warning(f"{n} of {self._seen.total()} pictures", others),)

    def warning_of_camera(self, camera: str, width: int, height: int) -> str | None:
        """What a person must know of a camera whose frames have this size, in pixels; None where all is well."""
        if self.fits(width, height):
            return None
        return self._warning(f"The frames of {camera}", (PictureSize(width=width, height=height, n=1),))

    def _warning(self, subject: str, others: Sequence[PictureSize]) -> str:
        other = others[0]
        trained = min(self._trained, key=lambda one: _factor(other, one))  # the most common of those that are nearest
        return (
            f"{subject} ({_named(others, with_counts=False)}) have another aspect ratio than the pictures that this "
            f"bundle was trained on ({_named(self._trained, with_counts=False)}): "
            f"{_effect(other, trained, self._spec)} Good parts may be called NG, and defects missed. "
            + _ADVICE
            + (_ADVICE_IF_STRETCHED if self._spec.aspect == "stretch" else ".")
        )


def counted_sizes(sizes: Iterable[tuple[int, int]]) -> tuple[PictureSize, ...]:
    """How many pictures have which size, the most common first; (width, height) in pixels."""
    return tuple(PictureSize(width=width, height=height, n=n) for (width, height), n in Counter(sizes).most_common())


def same_ratio(one: float, other: float) -> bool:
    """Whether two aspect ratios, width over height, are the same to within `ASPECT_TOLERANCE`."""
    return max(one, other) <= (1 + ASPECT_TOLERANCE) * min(one, other)


def warning_of_mixed_shapes(sizes: Sequence[PictureSize], spec: PreprocessSpec) -> str | None:
    """What a person must know of training pictures whose aspect ratios differ; None where they do not.

    Args:
        sizes: The sizes of the pictures, the most common first.
        spec: The preprocessing that they are trained with.
    """
    ratios = [one.width / one.height for one in sizes]
    if not ratios or same_ratio(min(ratios), max(ratios)):
        return None
    n, factor = sum(one.n for one in sizes), max(ratios) / min(ratios)
    named = f"The {n} pictures have different aspect ratios: {_named(sizes, with_counts=True)}. "
    if spec.region is not None:
        return named + f"The region {spec.region} is cut out of each at the same pixels, whatever it shows there."
    if spec.aspect == "crop":
        return named + "Of each the centre is used, and what is cut off differs: check that no part is cut off."
    if spec.aspect == "letterbox":
        return named + (
            "None is distorted, but each is scaled and padded for itself: the same part differs in size and place, and "
            "small defects stand out less. Pictures of one shape find more."
        )
    return named + (
        f"All are stretched to {spec.width}x{spec.height}, so that the same part is up to {factor:.2f} times as wide "
        "in some as in others, and a defect has to stand out from that. Use pictures of one shape, --region x,y,w,h, "
        "or --keep-aspect crop or letterbox."
    )


def _effect(other: PictureSize, trained: PictureSize, spec: PreprocessSpec) -> str:
    """What becomes of a part in pictures of another shape, in a sentence with numbers."""
    ratio, usual = other.width / other.height, trained.width / trained.height
    if spec.aspect == "letterbox":
        return (
            f"they are {ratio:.2f} : 1, and not {usual:.2f} : 1, so that they are scaled and padded in another way, "
            "and a part has another size and place."
        )
    side, share = ("width", usual / ratio) if ratio > usual else ("height", ratio / usual)
    return (
        f"they are {ratio:.2f} : 1, and not {usual:.2f} : 1, and are stretched to the same {spec.width}x{spec.height}, "
        f"so that a part is squeezed to {share:.0%} of its {side}."
    )


def _factor(one: PictureSize, other: PictureSize) -> float:
    """How much larger the larger aspect ratio is."""
    ratio = one.width * other.height / (one.height * other.width)
    return max(ratio, 1 / ratio)


def _named(sizes: Sequence[PictureSize], *, with_counts: bool) -> str:
    parts = [f"{one.n} of {one}" if with_counts else str(one) for one in sizes[:_NAMED]]
    if len(sizes) > _NAMED:
        parts.append(f"{len(sizes) - _NAMED} more sizes")
    return ", ".join(parts)
