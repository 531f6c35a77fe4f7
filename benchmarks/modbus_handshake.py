"""Parts between a PLC and edgerd over Modbus TCP, with random delays and with restarts of either side.

    python benchmarks/modbus_handshake.py --parts 10000

The PLC is a program over pymodbus, edgerd's line a thread that answers each trigger after a while; the verdict that a
part must get follows from its product index, so a result of another part is noticed. Both ways round are tried: the PLC
polls edgerd's server, and edgerd polls the PLC's. Writes results/modbus_handshake.json and .md.
"""

from __future__ import annotations

import argparse
import queue
import random
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from machine import write_results
from modbus_plcs import Plc, PollingPlc, ServingPlc

from edgerd.events import FrameVerdict
from edgerd.sinks.hosts import check_can_listen
from edgerd.sinks.modbus import ModbusClient, ModbusServer
from edgerd.sinks.modbus.fake import LOST, PartResult, PlcProgram
from edgerd.sinks.modbus.link import ModbusLink
from edgerd.sinks.plc import CameraState
from edgerd.triggers import Trigger
from edgerd.types import Inspection, Verdict

CAMERA = "top"
ALIVE_TIMEOUT_S = 0.5
RESULTS = Path(__file__).parent / "results"
_VERDICTS = (Verdict.OK, Verdict.NG, Verdict.NO_DECISION)


def verdict_of(product: int) -> FrameVerdict:
    """What the line finds in a part."""
    verdict = _VERDICTS[product % 3]
    score = None if verdict is Verdict.NO_DECISION else product / 65536
    return FrameVerdict(Inspection(verdict, score, 0.5), CAMERA, product, CAMERA, 0.0, 0.0, "bundle")


def is_right(result: PartResult) -> bool:
    """Whether a part got its own result, whole."""
    verdict = verdict_of(result.product).inspection
    outcome = 1 + _VERDICTS.index(verdict.verdict)
    score = -1.0 if verdict.score is None else verdict.score
    return (result.outcome, result.result_product, result.score) == (outcome, result.product, score)


class Line:
    """edgerd's side: takes triggers, answers them late, and can be restarted or hang.

    Args:
        make_link: Makes a server or a client that calls what it is given for each trigger.
        seed: Of the delays.
    """

    def __init__(self, make_link: Callable[[Callable[[Trigger], None]], ModbusLink], seed: int) -> None:
        self.triggers: list[Trigger] = []
        self.is_hanging = False
        self.alive_s = 0.0
        self.trigger_errors = 0
        self._make_link = make_link
        self._random = random.Random(seed)  # noqa: S311  no secret
        self._queue: queue.Queue[Trigger] = queue.Queue()
        self._stop = threading.Event()
        self.link = self._start()
        self._thread = threading.Thread(target=self._judge)
        self._thread.start()

    def restart(self, down_s: float) -> None:
        """Close the link and open another one that knows nothing of it."""
        self._count_errors()
        self.link.close()
        time.sleep(down_s)
        self.link = self._start()

    def close(self) -> None:
        """Stop judging and close the link."""
        self._stop.set()
        self._thread.join()
        self._count_errors()
        self.link.close()

    def _start(self) -> ModbusLink:
        link = self._make_link(self._take)
        link.set_state(CAMERA, CameraState.READY)
        return link

    def _take(self, trigger: Trigger) -> None:
        self.triggers.append(trigger)
        self._queue.put(trigger)

    def _count_errors(self) -> None:
        self.trigger_errors += self.link.outputs(CAMERA).trigger_errors

    def _judge(self) -> None:
        while not self._stop.is_set():
            if self.is_hanging:
                time.sleep(0.001)
                continue
            self.link.alive()
            self.alive_s = time.monotonic()
            try:
                trigger = self._queue.get(timeout=0.02)
            except queue.Empty:
                continue
            time.sleep(self._random.choice((0.0, 0.001, 0.004)))
            # Of a link that was closed meanwhile, this is an answer that nobody waits for.
            self.link.publish(verdict_of(trigger.product or 0), trigger)


@dataclass
class Tally:
    """What became of the parts.

    Attributes:
        parts: How many there were.
        results: How each ended for the PLC.
        lost_in_plc: Parts in flight when the PLC restarted, which it does not know any more.
        plc_restarts: How often the PLC restarted.
        edgerd_restarts: How often edgerd did.
        hangs: Seconds from the line's last sign of life until the PLC took it for dead.
        triggers: Products of the triggers that the line got.
        trigger_errors: Triggers that edgerd refused.
        elapsed_s: How long it took.
    """

    parts: int = 0
    results: list[PartResult] = field(default_factory=list)
    lost_in_plc: int = 0
    plc_restarts: int = 0
    edgerd_restarts: int = 0
    hangs: list[float] = field(default_factory=list)
    triggers: list[int] = field(default_factory=list)
    trigger_errors: int = 0
    elapsed_s: float = 0.0

    @property
    def lost(self) -> int:
        """Parts that the PLC itself had to treat as ERROR, because edgerd restarted or hung."""
        return sum(result.outcome == LOST for result in self.results)

    @property
    def wrong(self) -> int:
        """Parts that got something else than their own result."""
        return sum(result.outcome != LOST and not is_right(result) for result in self.results)

    @property
    def without_result(self) -> int:
        """Parts of which nothing is known."""
        return self.parts - len(self.results) - self.lost_in_plc

    @property
    def twice(self) -> int:
        """Parts with more than one result, or that the line was asked for more than once."""
        ended = Counter(result.product for result in self.results)
        return sum(count > 1 for count in (*ended.values(), *Counter(self.triggers).values()))


class Bench:
    """A PLC's cycle, part after part, with what goes wrong meanwhile.

    Args:
        plc: Its wire.
        line: edgerd's side.
        seed: Of the delays and of what goes wrong.
        faults: Probability per cycle that the PLC restarts, and the same for edgerd.
    """

    def __init__(self, plc: Plc, line: Line, seed: int, faults: float) -> None:
        self.tally = Tally()
        self._plc, self._line = plc, line
        self._faults = faults
        self._random = random.Random(seed)  # noqa: S311  no secret
        self._program = PlcProgram()
        self._restart: threading.Thread | None = None

    def run(self, parts: int, hangs: int) -> Tally:
        """Let so many parts pass, and the line hang so often in between."""
        begun = time.monotonic()
        hang_at = set(self._random.sample(range(1, parts), hangs))
        while self.tally.parts < parts or self._program.has_part:
            if self._program.is_ready and self.tally.parts < parts and self._random.random() < 0.7:
                self.tally.parts += 1
                self._program.begin_part(self.tally.parts)
                if self.tally.parts in hang_at:
                    self._hang()
            self._cycle()
            self._go_wrong()
        if self._restart:
            self._restart.join()
        self._line.close()
        self.tally.results += self._program.results
        self.tally.triggers = [trigger.product or 0 for trigger in self._line.triggers]
        self.tally.trigger_errors = self._line.trigger_errors
        self.tally.elapsed_s = time.monotonic() - begun
        return self.tally

    def _cycle(self) -> None:
        block = self._plc.read()
        if block is not None:
            self._plc.write(self._program.scan(block, time.monotonic()))
        time.sleep(self._random.choice((0.0, 0.0, 0.001, 0.003, 0.01)))

    def _go_wrong(self) -> None:
        if self._random.random() < self._faults:
            self.tally.plc_restarts += 1
            self.tally.lost_in_plc += self._program.has_part
            self.tally.results += self._program.results
            self._program = PlcProgram()
            self._plc.restart()
        if self._random.random() < self._faults and not (self._restart and self._restart.is_alive()):
            self.tally.edgerd_restarts += 1
            self._restart = threading.Thread(target=self._line.restart, args=(self._random.uniform(0, 0.1),))
            self._restart.start()

    def _hang(self) -> None:
        """Let the line hang until the PLC has noticed, which ends the part that has just begun."""
        if self._restart:
            self._restart.join()
        self._line.is_hanging = True
        time.sleep(0.05)
        while not self._program.is_dead:
            self._cycle()
        self.tally.hangs.append(time.monotonic() - self._line.alive_s)
        self._line.is_hanging = False


def run(kind: str, parts: int, seed: int, faults: float, hangs: int) -> Tally:
    """Let parts pass.

    Args:
        kind: "server" where the PLC polls edgerd, "client" where edgerd polls the PLC.
        parts: How many, at most 65535.
        seed: Of the delays and faults.
        faults: Probability per cycle of the PLC that it restarts, and the same for edgerd.
        hangs: How often the line hangs.
    """
    if kind == "server":
        port = check_can_listen("127.0.0.1", 0)

        def serve(take: Callable[[Trigger], None]) -> ModbusLink:
            return ModbusServer([CAMERA], take, port=port, alive_timeout_s=ALIVE_TIMEOUT_S)

        polling = PollingPlc(port)
        try:
            return Bench(polling, Line(serve, seed), seed, faults).run(parts, hangs)
        finally:
            polling.close()
    serving = ServingPlc()

    def poll(take: Callable[[Trigger], None]) -> ModbusLink:
        return ModbusClient(
            [CAMERA], take, host="127.0.0.1", port=serving.port, poll_s=0.002, alive_timeout_s=ALIVE_TIMEOUT_S
        )

    try:
        return Bench(serving, Line(poll, seed), seed, faults).run(parts, hangs)
    finally:
        serving.close()


def main() -> None:
    """Parse, run, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--parts", type=int, default=10_000, help="divided between the two ways round")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--faults", type=float, default=0.002, help="per cycle of the PLC and per side")
    parser.add_argument("--hangs", type=int, default=20, help="per way round")
    parser.add_argument("--output", type=Path, default=RESULTS / "modbus_handshake")
    arguments = parser.parse_args()
    rows = []
    for kind, name in (("server", "PLC polls edgerd"), ("client", "edgerd polls PLC")):
        tally = run(kind, arguments.parts // 2, arguments.seed, arguments.faults, arguments.hangs)
        rows.append(
            {
                "way round": name,
                "parts": tally.parts,
                "own result": len(tally.results) - tally.lost - tally.wrong,
                "lost, edgerd restarted or hung": tally.lost,
                "lost, PLC restarted": tally.lost_in_plc,
                "another's result": tally.wrong,
                "two results": tally.twice,
                "no end": tally.without_result,
                "edgerd restarts": tally.edgerd_restarts,
                "PLC restarts": tally.plc_restarts,
                "hangs": len(tally.hangs),
                "dead seen after, max s": max(tally.hangs),
                "ms per part": 1000 * tally.elapsed_s / tally.parts,
            }
        )
    notes = [
        "A part that was in flight when a side restarted, or when the line hung, has no result of edgerd: the PLC sees "
        "another session, or a heartbeat that stands still, and treats the part as an ERROR. "
        f"The heartbeat's time-out was {ALIVE_TIMEOUT_S} s; the PLC's cycle adds up to 0.02 s to it.",
    ]
    write_results("Modbus handshake", rows, notes, arguments.output)


if __name__ == "__main__":
    main()
