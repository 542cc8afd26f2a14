"""Many clients at once, on one event loop: requests over kept connections, streams on one connection each."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Iterable
from dataclasses import replace
from itertools import cycle

from tests.faults.ways import Heard, Way

PATIENCE_S = 300.0


class Crowd:
    """Clients of the daemon on `port`."""

    def __init__(self, port: int) -> None:
        self._port = port

    async def requests(self, count: int, at_a_time: int, ways: Iterable[Way]) -> list[Heard]:
        """Ask `count` times, so many at a time; what each heard, and how long it took."""
        jobs = iter(list(zip(range(count), cycle(ways), strict=False)))
        heard: list[Heard] = []

        async def client() -> None:
            reader, writer = await asyncio.open_connection("127.0.0.1", self._port)
            try:
                for _, way in jobs:
                    started = time.monotonic()
                    found = await self._ask(reader, writer, way)
                    heard.append(replace(found, took_s=time.monotonic() - started))
            finally:
                writer.close()

        async with asyncio.timeout(PATIENCE_S), asyncio.TaskGroup() as group:
            for _ in range(at_a_time):
                group.create_task(client())
        return heard

    async def streams(self, count: int, ways: Iterable[Way]) -> list[str]:
        """So many streams at the same time; the text of each, "" for one that is not whole."""

        async def client(way: Way) -> str:
            reader, writer = await asyncio.open_connection("127.0.0.1", self._port)
            try:
                heard = await self._ask(reader, writer, way)
                return heard.text if heard.complete else ""
            finally:
                writer.close()

        async with asyncio.timeout(PATIENCE_S), asyncio.TaskGroup() as group:
            chosen = [way for _, way in zip(range(count), cycle(ways), strict=False)]
            tasks = [group.create_task(client(way)) for way in chosen]
        return [task.result() for task in tasks]

    async def _ask(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, way: Way) -> Heard:
        body = json.dumps(way.body("cloud", "one of a crowd")).encode()
        head = (
            f"POST {way.path} HTTP/1.1\r\nhost: 127.0.0.1:{self._port}\r\ncontent-type: application/json\r\n"
        )
        writer.write(f"{head}content-length: {len(body)}\r\n\r\n".encode() + body)
        lines = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        headers = {
            name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines[1:])
        }
        if headers.get("transfer-encoding") == "chunked":
            got = b""
            while size := int(await reader.readuntil(b"\r\n"), 16):
                got += (await reader.readexactly(size + 2))[:-2]
            await reader.readexactly(2)
        else:
            got = await reader.readexactly(int(headers["content-length"]))
        return Heard(way, int(lines[0].split()[1]), headers, got, cut=False, begun_s=0, took_s=0)
