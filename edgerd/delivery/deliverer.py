"""A thread per sink that takes events out of the outbox until the sink has them."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from edgerd.delivery.outbox import Outbox
from edgerd.delivery.rows import StoredEvent
from edgerd.errors import DeliveryError, EdgerdError
from edgerd.sinks.protocol import DeliveringSink

_BATCH = 50
_LONGEST_ASKED_S: Final = 3600.0
"""A receiver may ask for a pause, but not for ever."""
_LAST_WORDS_S: Final = 1.0


@dataclass(frozen=True, slots=True)
class BackOff:
    """How long a sink that fails is left alone: each time about twice as long, up to a cap.

    Attributes:
        first_s: Pause after the first failure.
        cap_s: The longest pause.
    """

    first_s: float = 0.5
    cap_s: float = 30.0

    def pause_s(self, n_failures: int) -> float:
        """A pause after the n-th failure in a row, from 1; up to half shorter by chance, so that many spread out."""
        longest = min(self.cap_s, self.first_s * 2.0 ** min(n_failures - 1, 30))
        return longest * random.uniform(0.5, 1.0)  # noqa: S311  no secret


@dataclass(frozen=True, slots=True)
class SinkStatus:
    """How one sink does.

    Attributes:
        name: The sink's.
        is_ok: Whether its last batch was taken or refused; False while it is tried again.
        reason: Why it was not, one sentence; empty where it was.
        n_delivered: Events that it has got since the start.
        n_refused: Events that it refused for good since the start.
        n_failures: Tries that failed, in a row.
    """

    name: str
    is_ok: bool
    reason: str
    n_delivered: int
    n_refused: int
    n_failures: int


class Deliverer:
    """Delivers what is in an outbox to sinks, at least once, in the order of appending.

    Each sink has a thread and its own pace: where one fails, it alone waits and is tried again. An event that a sink
    refuses for good goes to the outbox's dead letters with a warning, and does not hold up those behind it.

    Args:
        outbox: Opened with the names of these sinks.
        sinks: Closed by `close`, each by its own thread.
        on_warning: Takes a sentence for people, from any thread; must not raise.
        back_off: Pauses after failures.

    Raises:
        ValueError: The outbox was opened with other names.
    """

    def __init__(
        self,
        outbox: Outbox,
        sinks: Sequence[DeliveringSink],
        *,
        on_warning: Callable[[str], None],
        back_off: BackOff = BackOff(),
    ) -> None:
        if sorted(outbox.sinks) != sorted(sink.name for sink in sinks):
            raise ValueError(f"sinks {[sink.name for sink in sinks]} for an outbox of {list(outbox.sinks)}")
        self._outbox = outbox
        self._warn = on_warning
        self._back_off = back_off
        self._deliveries = {sink.name: self._begun(sink) for sink in sinks}

    @property
    def status(self) -> tuple[SinkStatus, ...]:
        """How each sink does, in the order in which they were given."""
        return tuple(delivery.status for delivery in tuple(self._deliveries.values()))

    def close(self, timeout_s: float) -> bool:
        """Deliver what is committed (see `Outbox.flush`), then end.

        A sink that is waiting after a failure is tried once more at once.

        Args:
            timeout_s: Then what is left stays in the outbox for the next process.

        Returns:
            Whether every sink has got all of it.
        """
        return _ended(tuple(self._deliveries.values()), timeout_s)

    def change(self, leave: Sequence[str], begin: Sequence[DeliveringSink], timeout_s: float) -> None:
        """End the delivery to some sinks as `close` does, and begin it to others; the rest are not disturbed.

        Args:
            leave: Names of the sinks whose delivery ends. What they have not got stays in the outbox.
            begin: Sinks whose delivery begins; the outbox knows their names. One may have the name of one that leaves.
            timeout_s: How long those that end may still deliver.
        """
        _ended([self._deliveries[name] for name in leave], timeout_s)
        began = {sink.name: self._begun(sink) for sink in begin}
        kept = {name: delivery for name, delivery in self._deliveries.items() if name not in leave}
        self._deliveries = kept | began

    def _begun(self, sink: DeliveringSink) -> _Delivery:
        return _Delivery(self._outbox, sink, self._warn, self._back_off)


def _ended(deliveries: Sequence[_Delivery], timeout_s: float) -> bool:
    """End deliveries, each once it has nothing left or the time is over; returns whether none has anything left."""
    deadline = time.monotonic() + timeout_s
    for delivery in deliveries:
        delivery.finish()
    for delivery in deliveries:
        delivery.join(max(0.0, deadline - time.monotonic()))
    for delivery in deliveries:
        delivery.stop()
    for delivery in deliveries:
        delivery.join(_LAST_WORDS_S)
    return all(delivery.is_drained for delivery in deliveries)


class _Delivery:
    """The thread of one sink.

    Attributes:
        is_drained: Whether it ended because nothing was left.
    """

    def __init__(
        self, outbox: Outbox, sink: DeliveringSink, on_warning: Callable[[str], None], back_off: BackOff
    ) -> None:
        self.is_drained = False
        self._outbox = outbox
        self._sink = sink
        self._warn = on_warning
        self._back_off = back_off
        self._bell = threading.Event()
        self._is_finishing = threading.Event()
        self._is_stopping = threading.Event()
        self._status = SinkStatus(sink.name, True, "", 0, 0, 0)
        outbox.on_commit(self._bell.set)
        self._thread = threading.Thread(target=self._run, name=f"edgerd-{sink.name}", daemon=True)
        self._thread.start()

    @property
    def status(self) -> SinkStatus:
        """How it does now; a value that its thread replaces as a whole."""
        return self._status

    def finish(self) -> None:
        """End when nothing is left."""
        self._is_finishing.set()
        self._bell.set()

    def stop(self) -> None:
        """End after the batch that is on its way."""
        self._is_stopping.set()
        self.finish()

    def join(self, timeout_s: float) -> None:
        """Wait for the end."""
        self._thread.join(timeout_s)

    def _run(self) -> None:
        try:
            while not self._is_stopping.is_set():
                # Both before looking, so that what comes in between is not missed.
                self._bell.clear()
                is_finishing = self._is_finishing.is_set()
                if self._try_next():
                    continue
                if is_finishing:
                    self.is_drained = True
                    return
                self._bell.wait()
        finally:
            self._outbox.off_commit(self._bell.set)
            self._sink.close()

    def _try_next(self) -> bool:
        """Deliver the next batch, or pause where that fails; False where there is none."""
        try:
            batch = self._outbox.take(self._sink.name, _BATCH)
            if batch:
                self._deliver(batch)
        except DeliveryError as error:
            self._pause(_what_and_next(error), error.retry_after_s)
        except EdgerdError as error:  # the outbox cannot be read
            self._pause(_what_and_next(error))
        except Exception as error:  # noqa: BLE001  a fault of a sink must not end its thread: nobody would be told
            self._pause(f"{type(error).__name__}: {error}")
        else:
            return bool(batch)
        return True

    def _deliver(self, batch: Sequence[StoredEvent]) -> None:
        try:
            self._sink.deliver([stored.event for stored in batch])
        except DeliveryError as error:
            n_delivered = min(error.n_delivered, len(batch) - 1)
            self._settle(batch[:n_delivered])
            if error.retryable:
                raise
            self._refuse(batch[n_delivered], error)
        else:
            self._settle(batch)

    def _settle(self, batch: Sequence[StoredEvent]) -> None:
        if batch:
            self._outbox.delivered(self._sink.name, batch[-1].number)
            self._recovered(n_delivered=len(batch))

    def _refuse(self, stored: StoredEvent, error: DeliveryError) -> None:
        self._outbox.refused(self._sink.name, stored.number, error.what)
        self._recovered(n_refused=1)
        self._warn(
            f"{self._sink.name} refused the event {stored.event.get('id')} for good: {error.what} It is kept as a dead "
            "letter, see `edgerd outbox`."
        )

    def _recovered(self, n_delivered: int = 0, n_refused: int = 0) -> None:
        was = self._status
        self._status = SinkStatus(was.name, True, "", was.n_delivered + n_delivered, was.n_refused + n_refused, 0)
        if not was.is_ok:
            self._warn(f"{was.name} takes events again.")

    def _pause(self, reason: str, asked_s: float | None = None) -> None:
        """Leave the sink alone for a while; new events do not end that, only the end of the run does."""
        was = self._status
        n_failures = was.n_failures + 1
        self._status = SinkStatus(was.name, False, reason, was.n_delivered, was.n_refused, n_failures)
        if was.is_ok:
            self._warn(f"{was.name} does not take events: {reason} They wait in the outbox, and it is tried again.")
        pause_s = max(self._back_off.pause_s(n_failures), min(asked_s or 0.0, _LONGEST_ASKED_S))
        (self._is_stopping if self._is_finishing.is_set() else self._is_finishing).wait(pause_s)


def _what_and_next(error: EdgerdError) -> str:
    return f"{error.what} {error.hint}" if error.hint else error.what
