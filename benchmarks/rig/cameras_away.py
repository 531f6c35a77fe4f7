"""Cameras that are switched off, cut off within a picture or hang, and come back: over HTTP, RTSP and GenICam."""

from __future__ import annotations

import random
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from pathlib import Path

from rig.bundles import Bundles
from rig.camera import HttpCamera, LosableCamera, Outage
from rig.camera_servers import (
    GENICAM_ADDRESS,
    GENICAM_SERIAL,
    genicam_server,
    missing_for_genicam,
    missing_for_rtsp,
)
from rig.check import Check
from rig.line import LineProcess, recipe_of
from rig.network_cameras import KEY_FRAME_INTERVAL, RTSP_FPS, GenicamCamera, RtspCamera
from rig.pictures import make_pool
from rig.records import deliveries, invented_alerts, lost_alerts, n_ng
from rig.webhook import Webhook

_BACK_S = 1.0
_SILENCE_S = 5.0
"""A camera that hangs is given up after that (`edgerd.cameras.protocol.LIVE_TIMEOUT_S`)."""
_HTTP: tuple[Outage, ...] = ("off", "cut", "off", "cut", "silent")
_PROGRAM: tuple[Outage, ...] = ("off", "off", "off", "off", "silent")


def cameras_away(folder: Path, bundles: Bundles, n: int, seed: int) -> list[Check]:
    """Two HTTP cameras, each gone and back n / 2 times at random times of its own."""
    names = ("left", "right")
    cameras = {name: HttpCamera(make_pool(bundles.small, "ring", 90, seed + i), 15) for i, name in enumerate(names)}
    return _away("camera gone and back", folder, cameras, n, seed, _HTTP)


def rtsp_away(folder: Path, bundles: Bundles, n: int, seed: int) -> list[Check]:
    """An RTSP camera that is gone and back n times; a stream that is joined begins with the next key frame."""
    fault = "RTSP camera gone and back"
    if missing := missing_for_rtsp():
        return [_not_tried(fault, missing)]
    camera = RtspCamera(folder / "pictures", make_pool(bundles.small, "ring", 45, seed))
    return _away(fault, folder, {"left": camera}, n, seed, _PROGRAM, KEY_FRAME_INTERVAL / RTSP_FPS)


def genicam_away(folder: Path, bundles: Bundles, n: int, seed: int) -> list[Check]:
    """A GenICam camera, n / 2 times one that is named by its address and n / 2 times by its serial number."""
    checks = []
    for i, (name, what) in enumerate(((GENICAM_ADDRESS, "address"), (GENICAM_SERIAL, "serial number"))):
        fault = f"GenICam camera, named by its {what}, gone and back"
        if missing := missing_for_genicam():
            checks.append(_not_tried(fault, missing))
            continue
        with genicam_server() as server:
            server.switch_on()
            camera = GenicamCamera(server, name, bundles.small)
            checks += _away(fault, folder / name, {"left": camera}, (n + i) // 2, seed + i, _PROGRAM)
    return checks


def _away(
    fault: str,
    folder: Path,
    cameras: Mapping[str, LosableCamera],
    n: int,
    seed: int,
    outages: Sequence[Outage],
    key_frame_s: float = 0.0,
) -> list[Check]:
    """Lose cameras and bring them back, each at random times of its own.

    Args:
        fault: What that is called.
        folder: For the line.
        cameras: By name; closed at the end. With two of them, the second has alerts that last.
        n: How often, over all cameras.
        seed: Of the times.
        outages: What happens to a camera, over and over.
        key_frame_s: Seconds from one key frame to the next.
    """
    hook = Webhook()
    line = LineProcess(folder, recipe_of(cameras, [f'type = "webhook"\nurl = "{hook.url}"'], right="stream"))
    with ExitStack() as stack:
        for closed in (*cameras.values(), line):
            stack.enter_context(closing(closed))
        began = line.start()
        for name in cameras:
            line.wait_for_verdict(name, began)
        with ThreadPoolExecutor() as pool:
            running = [
                pool.submit(_lose, line, name, camera, (n + i) // len(cameras), seed + i, outages)
                for i, (name, camera) in enumerate(cameras.items())
            ]
        backs_s = [back_s for one in running for back_s in one.result()]
        line.stop()
    hook.go_away()
    return [_in_time(fault, n, backs_s, key_frame_s), _told_once(fault, n, line, cameras, hook)]


def _in_time(fault: str, n: int, backs_s: Sequence[float], key_frame_s: float) -> Check:
    bar_s, ordered = _BACK_S + key_frame_s, sorted(backs_s)
    key_frames = f" ({_BACK_S:g} s and the {key_frame_s:g} s from one key frame to the next)" if key_frame_s else ""
    return Check(
        fault,
        n,
        f"frames again within {bar_s:g} s of its return{key_frames}",
        f"median {ordered[len(ordered) // 2]:.2f} s, max {ordered[-1]:.2f} s",
        ordered[-1] <= bar_s,
        of_the_machine=True,
    )


def _told_once(fault: str, n: int, line: LineProcess, cameras: Mapping[str, LosableCamera], hook: Webhook) -> Check:
    verdicts = line.verdicts()
    found = deliveries(hook.received)
    told = [event["state"] for event in found.events if event["kind"] == "camera"]
    invented = invented_alerts(cameras, found.events)
    lost = len(lost_alerts(verdicts, found.events, line.lives))
    return Check(
        fault,
        n,
        "each told once as lost and once as back; no alert made of it, none lost",
        f"{told.count('lost')} lost, {told.count('back')} back, {told.count('error')} other reasons; "
        f"{invented} alerts made up, {lost} lost of {n_ng(verdicts)} NG frames",
        (told.count("lost"), told.count("back"), invented, lost) == (n, n, 0, 0),
    )


def _lose(
    line: LineProcess, name: str, camera: LosableCamera, n: int, seed: int, outages: Sequence[Outage]
) -> list[float]:
    """Lose a camera n times; of each time the seconds from its return to the first verdict about a frame since.

    The next outage comes when the line has a frame again: else two would be one, to whoever is slow.
    """
    chance = random.Random(seed)  # noqa: S311  no secret
    backs_s = []
    for i in range(n):
        time.sleep(chance.uniform(0.5, 3.0))
        outage = outages[i % len(outages)]
        camera.lose(outage)
        time.sleep(chance.uniform(0.2, 2.5) + (_SILENCE_S + 0.5) * (outage == "silent"))
        back = camera.bring_back()
        backs_s.append(line.wait_for_verdict(name, back)["decided_at"] - back)
    time.sleep(1.0)
    return backs_s


def _not_tried(fault: str, why: str) -> Check:
    return Check(fault, 0, f"frames again within {_BACK_S:g} s of its return", f"not tried: {why}", False)
