"""The tables `[[camera]]` of a recipe: what each camera inspects, with what, and when it raises an alert."""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Final, Literal
from urllib.parse import urlsplit

from pydantic import Field, ValidationInfo, field_validator, model_validator

from edgerd.cameras import CAMERAS
from edgerd.recipe.product import BundleId, Mask, Place, Product, Rate, Threshold, two_thresholds
from edgerd.recipe.records import (
    FOLDER,
    LIVE,
    MAX_TEXT,
    EnvironmentVariable,
    Misfit,
    Name,
    RecipePath,
    RecipeRecord,
    Text,
    refuse,
    refuse_secrets,
)
from edgerd.recipe.secrets import has_secret, read_secret, two_sources, with_secret
from edgerd.redaction import HIDDEN, without_secrets
from edgerd.runtimes import RUNTIMES
from edgerd.tables import did_you_mean

DEFAULT_PRODUCT: Final = "default"
"""What the product of a camera is called that names none."""


class Camera(RecipeRecord):
    """A camera, and what is done with its frames."""

    name: Name = "camera"
    """What it is called in events, metrics and topics. Without it, a name is made from the URI."""
    uri: Text
    """Where the frames come from: 0, /dev/video0, csi://0, rtsp://..., http://..., a video, a folder or glob of
    pictures, sample://... A password is written as `{password}` and given by the next two keys."""
    password_env: EnvironmentVariable | None = None
    """Environment variable that holds the password."""
    password_file: RecipePath | None = None
    """File that holds the password."""
    bundle: RecipePath | None = None
    """Folder of the bundle, where the camera sees one product only. Short for a table of products with one entry."""
    bundle_id: BundleId | None = None
    """With `bundle`: as in a product."""
    region: Place | None = None
    """With `bundle`: as in a product."""
    threshold: Threshold | None = Field(default=None, json_schema_extra=LIVE)
    """With `bundle`: as in a product."""
    false_alarm_rate: Rate | None = Field(default=None, json_schema_extra=LIVE)
    """With `bundle`: as in a product."""
    products: dict[Name, Product] = Field(default_factory=dict)
    """Several products, by name. All their engines stay loaded, and one is inspected at a time."""
    default_product: str | None = None
    """The product to begin with. Needed where there are several."""
    masks: Annotated[tuple[Mask, ...], Field(max_length=100)] = Field(default=(), json_schema_extra=LIVE)
    """What is not inspected."""
    trigger: Literal["free", "every", "motion", "hardware", "http", "mqtt", "modbus"] = "free"
    """Which frames are judged. free: each one that comes. every: each N-th. motion: a part that passes. hardware: the
    camera is triggered, and each of its frames is a part. http, mqtt, modbus: the frame that follows a message."""
    every: Annotated[int, Field(ge=1, le=1_000_000)] | None = None
    """With trigger every: N."""
    trigger_timeout_ms: Annotated[float, Field(gt=0, le=600_000)] = 1000.0
    """With trigger http, mqtt and modbus: a trigger that got no frame for so long is NO_DECISION."""
    deadline_ms: Annotated[float, Field(gt=0, le=600_000)] | None = None
    """A verdict that comes later than this after the capture is NO_DECISION. Without it, there is no limit."""
    policy: Literal["part", "stream"] | None = Field(default=None, json_schema_extra=LIVE)
    """part: every NG is an alert. stream: an alert lasts from the first NG until the score has fallen again. Without
    it, stream for live cameras that run freely, and part for files and triggers."""
    confirm: Text | None = Field(default=None, json_schema_extra=LIVE)
    """With policy stream: "K/N" raises an alert only at the K-th NG among the last N frames."""
    frames: Literal["newest", "every"] | None = None
    """newest drops the frames that there is no time for, every judges them all. Without it, newest for live cameras."""
    runtime: str | None = None
    """The engine's runtime. Without it, the bundle's default engine."""
    precision: Literal["fp32", "bf16", "fp16", "int8"] | None = None
    """The engine's precision. Without it, the bundle's default engine."""
    threads: Annotated[int, Field(ge=0, le=1024)] = 0
    """CPU threads of the engine; 0 for all cores."""

    @property
    def all_products(self) -> dict[str, Product]:
        """The products by name; one called "default" where the camera has a bundle of its own."""
        if self.bundle is None:
            return self.products
        one = Product(
            bundle=self.bundle,
            bundle_id=self.bundle_id,
            region=self.region,
            threshold=self.threshold,
            false_alarm_rate=self.false_alarm_rate,
        )
        return {DEFAULT_PRODUCT: one}

    @property
    def first_product(self) -> str:
        """The name of the product to begin with."""
        return self.default_product or next(iter(self.all_products))

    @property
    def confirmation(self) -> tuple[int, int]:
        """K and N of `confirm`; 1, 1 where nothing has to be confirmed."""
        return (1, 1) if self.confirm is None else _k_and_n(self.confirm)

    def address(self) -> str:
        """The URI with its password in it, for the driver alone.

        Raises:
            InputError: The variable or file with the password cannot be read.
        """
        return with_secret(self.uri, "password", read_secret(self, "password"))

    @model_validator(mode="before")
    @classmethod
    def _named_after_its_uri(cls, data: Any) -> Any:
        is_named = not isinstance(data, dict) or "name" in data or not isinstance(data.get("uri"), str)
        # A longer URI is refused by itself, and would be searched for secrets for long.
        return data if is_named else {**data, "name": camera_name(data["uri"][:MAX_TEXT])}

    @field_validator("uri")
    @classmethod
    def _usable_uri(cls, uri: str, info: ValidationInfo) -> str:
        scheme, separator, _ = uri.partition("://")
        if separator and scheme.lower() not in CAMERAS:
            schemes = ", ".join(f"{name}://" for name in CAMERAS)
            near = did_you_mean(scheme.lower(), CAMERAS)
            raise ValueError(f"a device, a file, a folder, or one of {schemes}. {near or ''}".strip())
        refuse_secrets(uri, "password")
        if scheme.lower() == "gst":
            check_pipeline(uri)
        folder: Path | None = (info.context or {}).get(FOLDER)
        is_path = not separator and not uri.isdecimal()
        return os.path.normpath(folder / uri) if is_path and folder else uri

    @field_validator("runtime")
    @classmethod
    def _known_runtime(cls, runtime: str | None) -> str | None:
        if runtime is not None and runtime not in RUNTIMES:
            raise ValueError(f"one of {', '.join(RUNTIMES)}. {did_you_mean(runtime, RUNTIMES) or ''}".strip())
        return runtime

    @field_validator("confirm")
    @classmethod
    def _readable_confirmation(cls, confirm: str | None) -> str | None:
        if confirm is not None:
            _k_and_n(confirm)
        return confirm

    @model_validator(mode="after")
    def _everything_goes_together(self) -> Camera:
        refuse(
            [
                *two_sources(self, "password"),
                *two_thresholds(self.threshold, self.false_alarm_rate),
                *self._product_misfits(),
                *self._other_misfits(),
            ]
        )
        return self

    def _product_misfits(self) -> Iterator[Misfit]:
        if (self.bundle is None) == (not self.products):
            yield Misfit((), 'either bundle = "FOLDER", or a table [camera.products.NAME] for each product')
        if self.products:
            for key in ("bundle_id", "region", "threshold", "false_alarm_rate"):
                if getattr(self, key) is not None:
                    yield Misfit((key,), f"{key} in the tables [camera.products.NAME], one for each product")
            names = ", ".join(self.products)
            if self.default_product is None and len(self.products) > 1:
                yield Misfit((), f"default_product, which says what to begin with: one of {names}")
        if self.default_product is not None and self.default_product not in self.all_products:
            near = did_you_mean(self.default_product, self.all_products)
            yield Misfit(("default_product",), f"one of {', '.join(self.all_products)}. {near or ''}".strip())
        numbered: dict[int, str] = {}
        for name, product in self.products.items():
            if product.index is not None and (first := numbered.setdefault(product.index, name)) != name:
                yield Misfit(("products", name, "index"), f"another number than that of the product {first}")

    def _other_misfits(self) -> Iterator[Misfit]:
        if self.trigger == "every" and self.every is None:
            yield Misfit(("trigger",), "every = N beside it, to judge each N-th frame")
        if self.trigger != "every" and self.every is not None:
            yield Misfit(("every",), 'trigger = "every" beside it; it has no effect otherwise')
        if self.confirm is not None and self.policy != "stream":
            yield Misfit(("confirm",), 'policy = "stream" beside it; each part of policy "part" is seen once')
        is_address = "://" in self.uri  # in the name of a file, the same characters are nothing but its name
        if is_address and "{password}" in self.uri and not has_secret(self, "password"):
            yield Misfit(("uri",), 'password_env = "NAME_OF_A_VARIABLE" or password_file = "FILE" for its {password}')
        if has_secret(self, "password") and "{password}" not in self.uri:
            key = "password_env" if self.password_env is not None else "password_file"
            yield Misfit((key,), "{password} in the uri, where the password belongs")


def camera_name(uri: str) -> str:
    """The name of a camera that was given none: made from its URI without the secrets, always the same.

    Args:
        uri: As `edgerd.cameras.open_camera` takes it.

    Returns:
        A name of the letters that names may have: "camera-0" for "0", "rtsp-10.0.0.3-live" for
        "rtsp://admin:secret@10.0.0.3/live".
    """
    if uri.isdecimal():
        return f"camera-{uri}"[:64]
    shown = without_secrets(uri.replace("{password}", HIDDEN))
    if _is_url(shown):
        address = urlsplit(shown)
        shown = f"{address.scheme}-{address.netloc.rpartition('@')[2]}-{address.path}"
    words = (word.strip("-.") for word in re.findall(r"[A-Za-z0-9_.-]+", shown))
    return "-".join(filter(None, words))[:64].strip("-.") or "camera"


def check_pipeline(uri: str) -> None:
    """Refuse a pipeline that is not one line of words.

    Raises:
        ValueError: A quotation mark in it is not closed.
    """
    try:
        shlex.split(uri)
    except ValueError as error:
        raise ValueError("a pipeline whose quotation marks are closed") from error


def _is_url(uri: str) -> bool:
    """Whether an address has a host in it; a pipeline has none."""
    try:
        address = urlsplit(uri)
    except ValueError:  # brackets that hold no address
        return False
    return bool(address.netloc) and address.scheme.lower() != "gst"


def _k_and_n(text: str) -> tuple[int, int]:
    found = re.fullmatch(r"([0-9]{1,4})/([0-9]{1,4})", text)
    k, n = (int(found[1]), int(found[2])) if found else (0, 0)
    if not 1 <= k <= n:
        raise ValueError('"K/N" with 1 <= K <= N, such as "2/3"')
    return k, n
