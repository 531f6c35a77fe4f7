"""What a camera can be told to inspect: an inspector per product, all of them ready, one of them at a time."""

from __future__ import annotations

import math
import threading
import time
from collections import deque
from collections.abc import Mapping
from types import MappingProxyType

from edgerd.errors import InputError
from edgerd.inspection.inspector import Inspector
from edgerd.inspection.slots import Buffers
from edgerd.tables import did_you_mean
from edgerd.types import UInt8Array

_MAX_CHANGES = 1000
"""Change-overs that are remembered: many more than come between the capture of a frame and its verdict."""


class Products:
    """The products of a camera, by name.

    A change-over holds for the frames that were captured after it, so that no frame is judged as what it is not:
    neither one that waits to be judged, nor one that is under way.

    Args:
        inspectors: What judges each product; they stay open.
        first: The product to begin with.
        numbers: By which number a PLC calls a product.

    Attributes:
        names: The products.
    """

    def __init__(
        self, inspectors: Mapping[str, Inspector], first: str, numbers: Mapping[int, str] = MappingProxyType({})
    ) -> None:
        self.names = tuple(inspectors)
        self._inspectors = dict(inspectors)
        self._numbers = dict(numbers)
        self._current = first
        # (since when, product), the newest last; the first product has been there for ever.
        self._changes: deque[tuple[float, str]] = deque([(-math.inf, first)], maxlen=_MAX_CHANGES)
        self._lock = threading.Lock()

    def change_to(self, name: str) -> None:
        """Inspect another product from now on. For any thread; returns at once.

        Raises:
            InputError: There is no such product.
        """
        if name not in self._inspectors:
            raise InputError(
                f"There is no product {name!r}.",
                expected=f"one of {', '.join(self.names)}",
                hint=did_you_mean(name, self._inspectors) or "The recipe names the products of a camera.",
            )
        with self._lock:
            self._changes.append((time.monotonic(), name))

    def name_of(self, number: int) -> str | None:
        """The product that a PLC calls by this number; None where there is none."""
        return self._numbers.get(number)

    def at(self, captured_monotonic_s: float) -> str:
        """The product that a frame shows, by the time of its capture; frames may be asked about in any order.

        Args:
            captured_monotonic_s: When it was captured, on `time.monotonic`'s clock.

        Returns:
            The name of the product; for a time before all change-overs that are remembered, that of the oldest.
        """
        with self._lock:
            before = (name for since_s, name in reversed(self._changes) if since_s <= captured_monotonic_s)
            self._current = next(before, self._changes[0][1])
            return self._current

    def __getitem__(self, name: str) -> Inspector:
        """What judges a product."""
        return self._inspectors[name]

    @property
    def current(self) -> str:
        """The product of the frame that was taken last."""
        return self._current

    @property
    def newest(self) -> str:
        """The product of the frames that are captured from now on."""
        with self._lock:
            return self._changes[-1][1] if self._changes else self._current

    @property
    def inspectors(self) -> tuple[Inspector, ...]:
        """The inspectors of all products."""
        return tuple(self._inspectors.values())

    @property
    def buffers(self) -> Buffers | None:
        """Where the camera's frames lie best; None where that does not matter."""
        by_product = {name: each.buffers for name, each in self._inspectors.items()}
        if len(by_product) == 1 or not any(by_product.values()):
            return next(iter(by_product.values()))
        return _BuffersOfProducts(self, by_product)


class _BuffersOfProducts:
    """Lends buffers of the product that is inspected now; a frame that lies in another product's is copied later."""

    def __init__(self, products: Products, by_product: Mapping[str, Buffers | None]) -> None:
        self._products = products
        self._by_product = by_product
        self._all = tuple(buffers for buffers in by_product.values() if buffers)

    def lend(self) -> UInt8Array | None:
        """A free buffer of the product that was inspected last; None where there is none."""
        current = self._by_product[self._products.current]
        return current.lend() if current else None

    def holds(self, data: UInt8Array) -> bool:
        """Whether this data lies in a buffer of one of the products."""
        return any(buffers.holds(data) for buffers in self._all)

    def has_room(self, data: UInt8Array) -> bool:
        """Whether a frame can be judged now, whichever product it shows."""
        return all(buffers.has_room(data) for buffers in self._all)

    def give_back(self, data: UInt8Array) -> None:
        """The buffer in which this data lies is free again, whichever product's it is; else nothing."""
        for buffers in self._all:
            buffers.give_back(data)
