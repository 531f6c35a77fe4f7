"""Every error edgerd raises on purpose, each with the exit code of the command line.

    EdgerdError                 1    anything else: disk, network, internal
    |-- InputError              2    input that cannot be used
    |   |-- DatasetError             a folder of pictures: empty, too small, wrong layout
    |   |-- PictureError             one picture or mask that cannot be read or does not fit
    |   |-- SpecError                a region, tiling or picture size that cannot be applied
    |   |-- RecipeError              a recipe with errors; it lists them all
    |   `-- WeightsError             teacher weights or a checkpoint of another shape, or not finite
    |-- BundleError             3    bundle or engine does not fit
    |   |-- BundleDamagedError       a file is missing, changed, or lies outside the bundle
    |   |-- BundleVersionError       written by a newer edgerd
    |   `-- EngineMismatchError      an engine of another device, runtime version or graph
    |-- AuditError              3    an audit trail that was changed
    |-- CameraError             4    a camera that does not open or is lost
    |-- GateError               5    an engine whose verdicts differ from the FP32 graph's
    |-- MissingDependencyError  6    something is not installed
    |   `-- DeviceNotReadyError 1    it is installed and does not answer yet: trying again helps
    |-- DeviceError             1    a GPU or a runtime that refuses what is asked of it
    |   `-- DeviceLostError          it no longer answers: an illegal access, a reset, a failed cable
    |-- StorageError            1    the disk is full, or a folder cannot be written
    |-- DeliveryError           1    a receiver of events did not take one
    `-- DownloadError           1    a file could not be fetched, or is not the one expected

A message says what happened, what was expected, and what to type next.
"""

from __future__ import annotations

from typing import ClassVar


class EdgerdError(Exception):
    """Base of all edgerd errors.

    Args:
        what: What happened, one sentence, naming the file, camera or value.
        expected: What was expected instead.
        hint: What to type or do next.
    """

    exit_code: ClassVar[int] = 1

    def __init__(self, what: str, *, expected: str | None = None, hint: str | None = None) -> None:
        super().__init__(what)
        self.what = what
        self.expected = expected
        self.hint = hint

    def __str__(self) -> str:
        parts = [self.what]
        if self.expected:
            parts.append(f"Expected: {self.expected}")
        if self.hint:
            parts.append(f"Next: {self.hint}")
        return "\n".join(parts)


class InputError(EdgerdError):
    """Input that cannot be used."""

    exit_code = 2


class DatasetError(InputError):
    """A folder of pictures that is empty, too small, or laid out differently."""


class PictureError(InputError):
    """One picture or mask that cannot be read or does not fit."""


class SpecError(InputError):
    """A region, tiling or picture size that cannot be applied."""


class RecipeError(InputError):
    """A recipe with errors, all of which `what` lists."""


class WeightsError(InputError):
    """Teacher weights or a checkpoint of another architecture, or with values that are not finite."""


class BundleError(EdgerdError):
    """A bundle or an engine in it does not fit."""

    exit_code = 3


class BundleDamagedError(BundleError):
    """A file of the bundle is missing, was changed, or lies outside it."""


class BundleVersionError(BundleError):
    """The bundle was written by a newer edgerd."""


class EngineMismatchError(BundleError):
    """An engine was built for another device, runtime version or graph."""


class AuditError(EdgerdError):
    """A line of an audit trail is not the one that was written."""

    exit_code = 3


class CameraError(EdgerdError):
    """A camera does not open, or is lost."""

    exit_code = 4


class GateError(EdgerdError):
    """An engine's maps or verdicts differ too much from the FP32 graph's."""

    exit_code = 5


class MissingDependencyError(EdgerdError):
    """Something is not installed."""

    exit_code = 6


class DeviceNotReadyError(MissingDependencyError):
    """A driver is installed but does not answer yet, as while the machine boots: a service should try again."""

    exit_code = 1


class DeviceError(EdgerdError):
    """A GPU, or a runtime on any device, refuses what is asked of it."""


class DeviceLostError(DeviceError):
    """A GPU no longer answers, and nothing in this process can bring it back."""


class StorageError(EdgerdError):
    """The disk is full, or a folder cannot be written."""


class DeliveryError(EdgerdError):
    """A receiver of events did not take one of a batch.

    Args:
        what: What happened, one sentence, without secrets.
        retryable: Whether the same event may be taken later (no connection, a server that is busy). Where it is False
            the receiver refused the event itself, and sending it again is of no use.
        n_delivered: How many events from the beginning of the batch the receiver has. The one after them is the one
            that was not taken; the receiver may or may not have those behind it.
        retry_after_s: How many seconds the receiver asked to wait before the next try; None where it did not say.
        expected: What was expected instead.
        hint: What to type or do next.
    """

    def __init__(
        self,
        what: str,
        *,
        retryable: bool,
        n_delivered: int = 0,
        retry_after_s: float | None = None,
        expected: str | None = None,
        hint: str | None = None,
    ) -> None:
        super().__init__(what, expected=expected, hint=hint)
        self.retryable = retryable
        self.n_delivered = n_delivered
        self.retry_after_s = retry_after_s


class DownloadError(EdgerdError):
    """A file could not be fetched, or is not the one expected."""
