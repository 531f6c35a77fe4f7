"""Presets: how ranges are chosen, in a TOML file that a person writes.

    method = "percentile"       # an entry of `RANGE_METHODS`
    percentile = 99.99          # for the method of that name
    n_pictures = 32             # how many pictures the ranges are found from

    [parts."decoder/stage1"]    # it and all within it; of several such parts, the longest counts
    method = "minmax"

    [parts."teacher/layer2"]
    precision = "high"          # no INT8 here

A part is named by its nodes' names in the graph, which are those of the network's modules: "decoder",
"decoder/stage1", "decoder/stage1.0". "teacher/layer3.1" is not a part of "teacher/layer3.10", nor the other way round.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Literal

import onnx
from pydantic import Field, ValidationError, field_validator, model_validator

from edgerd.bundle.manifest import Record
from edgerd.errors import InputError
from edgerd.graph_names import UNQUANTIZED_PREFIXES
from edgerd.paths import is_file, is_locked
from edgerd.precision.body import lies_in
from edgerd.precision.ranges import MIN_RANGE_PICTURES, USUAL_PICTURES
from edgerd.precision.scales import DEFAULT_CHOICE, RANGE_METHODS, RangeChoice
from edgerd.tables import did_you_mean

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

_PERCENTILE = "percentile"


class PartPreset(Record):
    """The settings of one part of the networks; what is not given is as in the rest of them."""

    method: str | None = None
    percentile: float | None = Field(default=None, gt=50.0, le=100.0)
    precision: Literal["int8", "high"] | None = None

    @field_validator("method")
    @classmethod
    def _known(cls, method: str | None) -> str | None:
        return method if method is None else _known_method(method)


class Preset(Record):
    """How the ranges of a graph's activations are chosen, and which parts stay out of INT8."""

    method: str = DEFAULT_CHOICE.method
    """An entry of `RANGE_METHODS`."""
    percentile: float = Field(default=DEFAULT_CHOICE.percentile, gt=50.0, le=100.0)
    n_pictures: int = Field(default=USUAL_PICTURES, ge=MIN_RANGE_PICTURES)
    """How many pictures the ranges are found from, where there are so many."""
    parts: dict[str, PartPreset] = Field(default_factory=dict)
    """Name of a part to its settings; `edgerd.precision.body.lies_in` says which nodes lie in it."""

    @field_validator("method")
    @classmethod
    def _known(cls, method: str) -> str:
        return _known_method(method)

    @model_validator(mode="after")
    def _everything_has_an_effect(self) -> Preset:
        methods = {part.method or self.method for part in self.parts.values()} | {self.method}
        if "percentile" in self.model_fields_set and _PERCENTILE not in methods:
            raise ValueError(f'percentile has no effect with the method {self.method!r}: write method = "percentile"')
        for name, part in self.parts.items():
            if part.percentile is not None and (part.method or self.method) != _PERCENTILE:
                raise ValueError(f'parts."{name}".percentile has no effect: write method = "percentile" beside it')
            above = [high for high in self.high_precision if lies_in(name, high)]
            if above and part.precision != "high":
                raise ValueError(f'parts."{name}" lies in parts."{above[0]}", which stays in high precision')
        return self

    @property
    def high_precision(self) -> tuple[str, ...]:
        """Names of the parts that stay out of INT8."""
        return tuple(name for name, part in self.parts.items() if part.precision == "high")

    def choice(self, *names: str) -> RangeChoice:
        """How the range of an activation is chosen.

        Args:
            names: The activation's own name, and that of the node that gives it. Of the parts that any of them lies in,
                the one with the longest name counts.
        """
        matching = [part for part in self.parts if any(lies_in(name, part) for name in names)]
        part = self.parts[max(matching, key=len)] if matching else PartPreset()
        percentile = self.percentile if part.percentile is None else part.percentile
        return RangeChoice(part.method or self.method, percentile)

    def choices(self, graph: onnx.GraphProto) -> dict[str, RangeChoice]:
        """The choice for every tensor that a node of the graph gives, by the tensor's name.

        Raises:
            InputError: A part names nothing in the graph.
        """
        self._refuse_unknown_parts(graph)
        return {name: self.choice(name, node.name) for node in graph.node for name in node.output}

    def _refuse_unknown_parts(self, graph: onnx.GraphProto) -> None:
        names = [name for node in graph.node for name in (node.name, *node.output)]
        for part in self.parts:
            if not any(lies_in(name, part) for name in names):
                known = _parts_of(node.name for node in graph.node)
                raise InputError(
                    f"The preset's part {part!r} names nothing in the graph.",
                    expected="a part of the graph's networks, such as " + ", ".join(sorted(known, key=len)[:6]),
                    hint=did_you_mean(part, known),
                )


def load_preset(name_or_file: str | Path) -> Preset:
    """Read a preset.

    Args:
        name_or_file: A TOML file; or an entry of `RANGE_METHODS`, for that method and nothing else.

    Raises:
        InputError: There is no such file or method; or it is no TOML, has unknown keys or values out of range.
    """
    file = Path(name_or_file)
    if not is_file(file) and not is_locked(file):
        if str(name_or_file) in RANGE_METHODS:
            return Preset(method=str(name_or_file))
        raise InputError(
            f"There is no preset {str(name_or_file)!r}.",
            expected=f"a TOML file, or one of {', '.join(RANGE_METHODS)}",
            hint=did_you_mean(str(name_or_file), RANGE_METHODS),
        )
    try:
        return Preset.model_validate(tomllib.loads(file.read_text(encoding="utf-8-sig")))
    except OSError as error:
        raise InputError(f"{file} cannot be read: {error.strerror}.", hint="Check its permissions.") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InputError(f"{file} is not TOML: {error}.", expected='lines such as method = "mse"') from error
    except ValidationError as error:
        raise _input_error(file, error.errors()[0]) from error


def _known_method(name: str) -> str:
    if name not in RANGE_METHODS:
        near = did_you_mean(name, RANGE_METHODS)
        raise ValueError(f"there is no range method {name!r}, only {', '.join(RANGE_METHODS)}. {near or ''}".strip())
    return name


def _input_error(file: Path, found: Any) -> InputError:
    """The error for the first thing that pydantic found wrong: it names file, key, and what was expected."""
    path = [str(step) for step in found["loc"]]
    key = ".".join(f'"{step}"' if "/" in step else step for step in path)
    if found["type"] == "extra_forbidden":
        known = (PartPreset if path[0] == "parts" else Preset).model_fields
        return InputError(
            f"{file}: there is no key {key!r}.",
            expected=f"one of {', '.join(known)}",
            hint=did_you_mean(path[-1], known),
        )
    # pydantic puts "Value error, " before the text of our own checks
    message = found["msg"].removeprefix("Value error, ")
    return InputError(f"{file}: {key + ': ' if key else ''}{message}.".replace("?.", "?").replace("..", "."))


def _parts_of(names: Iterable[str]) -> set[str]:
    """The parts that nodes of the networks lie in: teacher, teacher/layer1, teacher/layer1.0, ..."""
    found = set()
    for name in names:
        if name.startswith(UNQUANTIZED_PREFIXES):
            continue
        network, _, module = name.partition("/")
        steps = module.split("/")[0].split(".")
        found |= {network} | {f"{network}/{'.'.join(steps[: depth + 1])}" for depth in range(len(steps))}
    return found
