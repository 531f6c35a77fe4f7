"""The engines of a line: one for all cameras and products with the same bundle, runtime and precision."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

from edgerd.calibration.other_rate import threshold_at
from edgerd.inspection.gpu.options import DeviceOptions
from edgerd.inspection.inspector import Inspector, check_threshold
from edgerd.inspection.self_test import self_test
from edgerd.recipe.camera import Camera
from edgerd.recipe.fit import check_bundle_id, moved_region
from edgerd.recipe.product import Product
from edgerd.runtimes.choose import open_engine

_Key = tuple[Path, str | None, str | None, int]


@dataclass
class Engines:
    """Inspectors for the products of cameras, over engines that are opened once.

    All but `changed_threshold` is for the thread that judges, to which the engines belong.

    Args:
        stack: Closes engines and inspectors, the last first.
        device: How to use a GPU.
        say: Takes a line for people: which engine was opened, and why that one.
        warn: Takes a sentence about what could not be checked.
    """

    stack: ExitStack
    device: DeviceOptions
    say: Callable[[str], None]
    warn: Callable[[str], None]
    _first: dict[_Key, Inspector] = field(default_factory=dict)

    @property
    def opened(self) -> tuple[Inspector, ...]:
        """The first inspector of each engine, in the order in which the engines were opened."""
        return tuple(self._first.values())

    def inspector(self, camera: Camera, name: str) -> Inspector:
        """An inspector for a product of a camera, with buffers and settings of its own.

        Args:
            camera: The recipe's table of the camera.
            name: Name of the product.

        Returns:
            An inspector that is closed with the stack.

        Raises:
            BundleError: There is no bundle, it is another one than the recipe says, no engine fits this machine, or an
                engine does not give the score that was noted for it.
            InputError: The threshold is none that a score can have.
            DeviceError: The GPU cannot be used.
        """
        product = camera.all_products[name]
        first = self._engine(camera, product)
        return self.stack.enter_context(
            first.beside(
                self.threshold(camera, product),
                masks=camera.masks,
                spec=moved_region(first.bundle.manifest.preprocess, product.region, f"camera {camera.name}, {name}"),
            )
        )

    def threshold(self, camera: Camera, product: Product) -> float:
        """The threshold that a product's parts are judged by: the recipe's, else the engine's own.

        Args:
            camera: The recipe's table of the camera.
            product: The recipe's table of one of its products.

        Raises:
            BundleError: The bundle has no scores of good pictures, which a false-alarm rate needs.
            InputError: It has too few of them.
        """
        if product.threshold is not None:
            return product.threshold
        first = self._engine(camera, product)
        if product.false_alarm_rate is None:
            return first.threshold
        return threshold_at(first.bundle, first.engine, product.false_alarm_rate).value

    def changed_threshold(self, camera: Camera, product: Product) -> float:
        """Find the threshold that `threshold` gives, in a thread that runs beside the one that judges.

        An engine serves one thread only. So a second one is opened to find the threshold for a false-alarm rate, on one
        CPU thread, which leaves the others to the line.

        Raises:
            EdgerdError: The same errors as of `threshold`; or no second engine can be opened, for example because the
                GPU lacks the memory for it.
            InputError: The threshold is none that a score can have.
        """
        if product.false_alarm_rate is None:
            return self.threshold(camera, product)
        first = self._engine(camera, product)
        key = first.engine.key
        with open_engine(first.bundle, key.runtime, key.precision, threads=1) as opened:
            found = threshold_at(first.bundle, opened.engine, product.false_alarm_rate, threads=1).value
        check_threshold(found)
        return found

    def _engine(self, camera: Camera, product: Product) -> Inspector:
        key = (product.bundle, camera.runtime, camera.precision, camera.threads)
        if key not in self._first:
            self._first[key] = self._open(camera, product)
        check_bundle_id(self._first[key].bundle.manifest, product, f"camera {camera.name}")
        return self._first[key]

    def _open(self, camera: Camera, product: Product) -> Inspector:
        inspector = self.stack.enter_context(
            Inspector.open(
                product.bundle,
                runtime=camera.runtime,
                precision=camera.precision,
                threads=camera.threads,
                device=self.device,
            )
        )
        self.say(f"{product.bundle}: {inspector.why}")
        inspector.warm_up()
        note = self_test(inspector)
        if note:
            self.warn(note)
        return inspector
