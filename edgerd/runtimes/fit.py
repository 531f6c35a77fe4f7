"""Whether an engine's key fits this machine."""

from __future__ import annotations

import re
from pathlib import Path
from shlex import quote

from edgerd.bundle.manifest import EngineKey
from edgerd.errors import EngineMismatchError

ANY_DEVICE = "any"
"""A key whose device is this fits every device."""
LATER = " or later"
"""A version or feature that ends with this fits higher ones too."""


def misfit(key: EngineKey, here: EngineKey, bundle: Path | None = None) -> EngineMismatchError | None:
    """The error for an engine that cannot run here; None where its key fits.

    Args:
        key: The engine's.
        here: The key of an engine that would be built here and now.
        bundle: Where the engine is, for the message; None where that is not known.
    """
    found = differences(key, here)
    if not found:
        return None
    where, argument = (f" in {bundle}", f" {quote(str(bundle))}") if bundle else ("", "")
    return EngineMismatchError(
        f"The engine {key.name}{where} was built for {', '.join(found)}.",
        expected="an engine built on this device, with this runtime version, from this graph",
        hint=f"edgerd build-engine{argument} --runtime {key.runtime} --precision {key.precision}",
    )


def differences(key: EngineKey, here: EngineKey) -> list[str]:
    """What keeps an engine from running here, in words; empty where its key fits.

    Args:
        key: The engine's.
        here: The key of an engine that would be built here and now.
    """
    return [
        f"{name.replace('_', ' ')} {_shown(getattr(key, name))} (here {_shown(getattr(here, name))})"
        for name in EngineKey.model_fields
        if not _fits(getattr(key, name), getattr(here, name))
    ]


def _fits(wanted: str | tuple[str, ...], found: str | tuple[str, ...]) -> bool:
    if isinstance(wanted, tuple) and isinstance(found, tuple):
        return len(wanted) == len(found) and all(map(_fits, wanted, found))
    if wanted in (found, ANY_DEVICE):
        return True
    text = str(wanted)
    return text.endswith(LATER) and _numbers(text) <= _numbers(str(found))


def _numbers(text: str) -> list[int]:
    return [int(number) for number in re.findall(r"\d+", text)]


def _shown(value: str | tuple[str, ...]) -> str:
    return value if isinstance(value, str) else " ".join(value) or "none"
