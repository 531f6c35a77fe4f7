"""Judge pictures while an event loop does other work: python asyncio_line.py BUNDLE FOLDER [RUNTIME]."""

import asyncio
import sys
from pathlib import Path

from edgerd import Inspector


async def judge(inspector: Inspector, files: list[Path]) -> None:
    for file in files:
        # in a thread, so that the loop goes on; the frames stay in order
        inspection = await asyncio.to_thread(inspector.inspect, file)
        print(file.name, inspection)


async def other_work() -> None:
    while True:
        await asyncio.sleep(0.01)  # a web server, a PLC, ...


async def main(bundle: str, folder: str, runtime: str | None = None) -> None:
    with Inspector.open(bundle, runtime=runtime) as inspector:
        beside = asyncio.create_task(other_work())
        await judge(inspector, sorted(Path(folder).glob("*.png")))
        beside.cancel()


asyncio.run(main(*sys.argv[1:]))
