"""Which of the engines that were built is installed: the fastest that passed the gate."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from edgerd.building.candidates import Candidate
from edgerd.building.typed_graph import unused_variants
from edgerd.bundle.bundle import Bundle
from edgerd.bundle.manifest import EngineRecord
from edgerd.errors import GateError


@dataclass(frozen=True)
class Built:
    """What `build_engine` did.

    Attributes:
        bundle: The bundle as it was saved.
        chosen: The record of the engine that was installed.
        candidates: All engines that were built.
    """

    bundle: Bundle
    chosen: EngineRecord
    candidates: tuple[Candidate, ...]


def fastest(candidates: Sequence[Candidate], *, force: bool = False, can_be_tuned: bool = True) -> Candidate:
    """The fastest candidate that passed the gate.

    Args:
        candidates: All engines that were built.
        force: If none passed, take the fastest of those that the gate refused.
        can_be_tuned: Whether the student can be trained for INT8; then the error says so.

    Raises:
        GateError: None passed; or, with `force`, none has finite maps.
    """
    built = [(candidate, candidate.record) for candidate in candidates if candidate.record is not None]
    able = [(c, record) for c, record in built if record.gate.passed] or (built if force else [])
    if not able:
        raise GateError(
            "No engine was let through: " + "; ".join(f"{c.name}: {', '.join(c.gate.failures)}" for c in candidates),
            expected="every check of the gate passed; the bundle is unchanged",
            hint=_next_steps(candidates, can_be_tuned),
        )
    return min(able, key=lambda pair: pair[1].median_ms or float("inf"))[0]


def _next_steps(candidates: Sequence[Candidate], can_be_tuned: bool) -> str:
    """What to try after the gate has refused all candidates."""
    steps = []
    if any(candidate.precision == "int8" for candidate in candidates):
        steps = [
            "--precision auto with --max-map-error X or --max-auroc-drop X looks for blocks to leave in high precision",
            "more, and more different, range pictures make better INT8 (calibration/collect.py)",
        ]
        if can_be_tuned:
            steps.append("edgerd train DATA -o RUN --resume --quantize trains the student for INT8")
    if any(candidate.record is not None for candidate in candidates):
        steps.append("--max-map-error X or --max-auroc-drop X allows more of these, --force installs it all the same")
    else:
        steps.append("edgerd show BUNDLE --verify tells whether the bundle is damaged; if not, export it again")
    return "; ".join(steps) + "."


def install(bundle: Bundle, best: Candidate, candidates: Sequence[Candidate]) -> Built:
    """Store an engine in the bundle as its default, in place of one of the same runtime and precision.

    INT8 graphs of other presets or blocks leave the bundle with the last engine that was compiled from them.

    Args:
        bundle: Where to.
        best: The engine that was chosen.
        candidates: All engines that were built, for the result.

    Raises:
        StorageError: The bundle could not be written.
    """
    if best.record is None:
        raise ValueError(f"{best} was not built")
    gate = best.record.gate.model_copy(update={"forced": not best.record.gate.passed})
    chosen = best.record.model_copy(update={"default": True, "gate": gate})
    others = [
        other.model_copy(update={"default": False}) for other in bundle.manifest.engines if other.name != chosen.name
    ]
    manifest = bundle.manifest.model_copy(update={"engines": (*others, chosen)})
    left = unused_variants(manifest)
    return Built(bundle.save_with(manifest, best.files, without=left), chosen, tuple(candidates))
