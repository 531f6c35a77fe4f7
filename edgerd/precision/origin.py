"""How INT8 was written into a graph: kept in the graph's own metadata, so that it goes wherever the file goes."""

from __future__ import annotations

import hashlib
import json

import onnx
from onnx import helper
from pydantic import JsonValue, ValidationError

from edgerd.bundle.manifest import Record
from edgerd.precision.preset import Preset

KEY = "edgerd.int8"
"""Key of the entry in `ModelProto.metadata_props`."""


class Origin(Record):
    """The settings that an INT8 graph was written with; two graphs of the same origin, ranges and flavour are equal."""

    preset: dict[str, JsonValue]
    """The fields of `edgerd.precision.preset.Preset`."""
    high_precision: tuple[str, ...]
    """Blocks that it leaves in high precision, those of the preset included."""

    @classmethod
    def of(cls, preset: Preset, high_precision: tuple[str, ...]) -> Origin:
        """The origin of a graph with this preset, and with these blocks in high precision beside the preset's own."""
        kept = tuple(dict.fromkeys((*high_precision, *preset.high_precision)))
        return cls(preset=preset.model_dump(mode="json"), high_precision=kept)

    @property
    def digest(self) -> str:
        """8 hex digits that differ where preset or blocks do; the order of the blocks makes no difference."""
        said = json.dumps([self.preset, sorted(self.high_precision)], sort_keys=True)
        return hashlib.sha256(said.encode()).hexdigest()[:8]


def with_origin(graph: bytes, origin: Origin) -> bytes:
    """Write the origin into a graph, ONNX."""
    model = onnx.load_from_string(graph)
    entries = {entry.key: entry.value for entry in model.metadata_props}
    helper.set_model_props(model, entries | {KEY: origin.model_dump_json()})
    content: bytes = model.SerializeToString(deterministic=True)
    return content


def origin_of(graph: bytes) -> Origin | None:
    """Read the origin of a graph, ONNX; None where it has none, or one that another version wrote."""
    for entry in onnx.load_from_string(graph).metadata_props:
        if entry.key == KEY:
            try:
                return Origin.model_validate_json(entry.value)
            except ValidationError:
                return None
    return None
