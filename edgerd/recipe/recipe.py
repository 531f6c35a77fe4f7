"""A recipe: the settings of a line, as `edgerd.toml` has them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, model_validator

from edgerd.recipe.camera import Camera
from edgerd.recipe.records import (
    LIVE,
    Address,
    EnvironmentVariable,
    Misfit,
    RecipePath,
    RecipeRecord,
    is_loopback,
    refuse,
)
from edgerd.recipe.secrets import check_secrets, has_secret, two_sources
from edgerd.recipe.sinks import Sink


class Archive(RecipeRecord):
    """Pictures that are kept: all NG and NO_DECISION, and some OK."""

    folder: RecipePath
    """Where they are kept, in a layout that `train`, `calibrate` and `evaluate` read."""
    quota_gb: Annotated[float, Field(gt=0, le=1_000_000)] = Field(default=10.0, json_schema_extra=LIVE)
    """Gigabytes (10^9 bytes) that the archive may take; the oldest OK pictures are removed first."""
    ok_share: Annotated[float, Field(ge=0, le=1)] = Field(default=0.0, json_schema_extra=LIVE)
    """Share of the OK pictures that are kept, chosen at random."""


class Outbox(RecipeRecord):
    """Events that wait to be delivered."""

    path: RecipePath = Path("edgerd-outbox")
    """Folder of the database, on a disk of this machine; nothing else should be in it."""
    retention_days: Annotated[float, Field(ge=0, le=3650)] = Field(default=7.0, json_schema_extra=LIVE)
    """How long events are kept after every sink has them."""


class Monitor(RecipeRecord):
    """Metrics and health, for other programs to read."""

    bind: Address = "127.0.0.1:9108"
    """host:port to listen on."""
    host_names: tuple[str, ...] = ()
    """Names by which it is addressed, beside localhost and IP addresses."""


class Control(RecipeRecord):
    """Triggers and product change-overs over HTTP."""

    bind: Address = "127.0.0.1:9109"
    """host:port to listen on. Beyond this machine it takes a token."""
    token_env: EnvironmentVariable | None = None
    """Environment variable that holds the token which requests must carry."""
    token_file: RecipePath | None = None
    """File that holds the token which requests must carry."""

    @model_validator(mode="after")
    def _token_beyond_this_machine(self) -> Control:
        misfits = [*two_sources(self, "token")]
        if not is_loopback(self.bind) and not has_secret(self, "token"):
            expected = "token_env or token_file beyond this machine, so that not everybody can trigger"
            misfits.append(Misfit(("bind",), expected))
        refuse(misfits)
        return self


class AuditSettings(RecipeRecord):
    """The record of starts, stops, changes and what people did: JSON lines, each with the hash of the one before.

    `edgerd audit FILE` checks that none was changed.
    """

    path: RecipePath = Path("edgerd-audit.jsonl")
    """The file that is appended to."""


class Recipe(RecipeRecord):
    """All of `edgerd.toml`. The smallest one is a camera with a uri and a bundle."""

    cameras: tuple[Camera, ...] = Field(alias="camera", min_length=1, max_length=64)
    sinks: Annotated[tuple[Sink, ...], Field(max_length=64)] = Field(default=(), alias="sink", json_schema_extra=LIVE)
    archive: Archive | None = None
    """Without it, no pictures are kept."""
    outbox: Outbox = Outbox()
    monitor: Monitor | None = None
    """Without it, nothing is served. An empty table is enough."""
    control: Control | None = None
    """Without it, nothing is listened to. An empty table is enough."""
    audit: AuditSettings = AuditSettings()

    def check_secrets(self) -> None:
        """Read every secret once, as a start does later; they are not kept.

        Raises:
            InputError: Variables are not set, or files cannot be read; the message names all of them.
        """
        check_secrets([*self.cameras, *self.sinks, *([self.control] if self.control else [])])

    @model_validator(mode="before")
    @classmethod
    def _with_default_tables(cls, data: Any) -> Any:
        """Let the paths in tables that are not there begin at the recipe's folder, too."""
        return {"outbox": {}, "audit": {}, **data} if isinstance(data, dict) else data

    @model_validator(mode="after")
    def _tables_go_together(self) -> Recipe:
        cameras, sinks = dict(enumerate(self.cameras)), dict(enumerate(self.sinks))
        refuse(misfits_between(cameras, sinks, has_control=self.control is not None, has_all_sinks=True))
        return self


def misfits_between(
    cameras: Mapping[int, Camera], sinks: Mapping[int, Sink], *, has_control: bool, has_all_sinks: bool
) -> Iterator[Misfit]:
    """What does not go together among tables that are right by themselves.

    Args:
        cameras: By their place in the recipe; those that are wrong by themselves may be missing.
        sinks: As the cameras.
        has_control: Whether there is a table `[control]`.
        has_all_sinks: False where a sink is missing in `sinks`; it could be the one that a trigger needs.
    """
    for table, named in (("camera", cameras), ("sink", sinks)):
        first: dict[str, int] = {}
        for place, record in named.items():
            if first.setdefault(record.name, place) != place:
                yield Misfit((table, place, "name"), f"another name than {record.name!r}, which a {table} above has")
    types = {sink.type for sink in sinks.values()}
    for place, camera in cameras.items():
        key = ("camera", place, "trigger")
        if camera.trigger == "http" and not has_control:
            yield Misfit(key, "a table [control], which says where HTTP triggers are listened to")
        if camera.trigger in ("mqtt", "modbus") and camera.trigger not in types and has_all_sinks:
            yield Misfit(key, f'a [[sink]] of type = "{camera.trigger}", which the triggers come through')
