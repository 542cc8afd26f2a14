"""Reading one HTTP/1.1 request from a stream, strictly."""

from __future__ import annotations

import asyncio
import json
import re
import time
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs, urlsplit

_TOKEN = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+\Z")


class BadRequest(Exception):
    """The bytes on the wire are not one unambiguous HTTP/1.1 request."""


@dataclass
class Request:
    """What was received, headers in order and as written."""

    method: str
    target: str
    version: str
    headers: list[tuple[str, str]]
    body: bytes
    chunked: bool
    received: float

    @property
    def path(self) -> str:
        """The path without the query."""
        return urlsplit(self.target).path

    @property
    def query(self) -> dict[str, str]:
        """The query, last value of each name."""
        return {name: values[-1] for name, values in parse_qs(urlsplit(self.target).query).items()}

    def header(self, name: str, default: str = "") -> str:
        """The first header of that name, any case."""
        return next((value for key, value in self.headers if key.lower() == name.lower()), default)

    @property
    def keep_alive(self) -> bool:
        """Whether the peer wants to use the connection again."""
        return self.version == "HTTP/1.1" and "close" not in self.header("connection").lower()

    def json(self) -> Any:
        """The body as JSON, or None where it is not."""
        try:
            return json.loads(self.body)
        except ValueError:
            return None


async def read_request(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> Request | None:
    """The next request, or None when the peer closed between requests."""
    try:
        head = await reader.readuntil(b"\r\n\r\n")
    except asyncio.IncompleteReadError as error:
        if error.partial.strip():
            raise BadRequest("the head ends early") from None
        return None
    except asyncio.LimitOverrunError:
        raise BadRequest("the head is too long") from None
    received = time.monotonic()
    method, target, version, headers = _parse_head(head)
    lengths = [value for name, value in headers if name.lower() == "content-length"]
    codings = [value for name, value in headers if name.lower() == "transfer-encoding"]
    if lengths and codings:
        raise BadRequest("both content-length and transfer-encoding")
    expects = [value.lower() for name, value in headers if name.lower() == "expect"]
    if "100-continue" in expects and version == "HTTP/1.1":
        writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
    body = b""
    if codings:
        if [value.strip().lower() for value in codings] != ["chunked"]:
            raise BadRequest("only the chunked coding is known")
        body = await _read_chunks(reader)
    elif lengths:
        if len(set(lengths)) != 1 or re.fullmatch(r"[0-9]+", lengths[0], re.ASCII) is None:
            raise BadRequest("content-length is not one number")
        body = await reader.readexactly(int(lengths[0]))
    return Request(method, target, version, headers, body, bool(codings), received)


def _parse_head(head: bytes) -> tuple[str, str, str, list[tuple[str, str]]]:
    first, *lines = head[:-4].lstrip(b"\r\n").decode("latin-1").split("\r\n")
    parts = first.split(" ")
    if len(parts) != 3 or parts[2] not in ("HTTP/1.0", "HTTP/1.1") or not _TOKEN.match(parts[0]):
        raise BadRequest("bad request line")
    headers: list[tuple[str, str]] = []
    for line in lines:
        name, colon, value = line.partition(":")
        if not colon or not _TOKEN.match(name) or "\n" in value or "\r" in value:
            raise BadRequest("bad header line")
        headers.append((name, value.strip(" \t")))
    hosts = sum(name.lower() == "host" for name, _ in headers)
    if hosts > 1 or (hosts == 0 and parts[2] == "HTTP/1.1"):
        raise BadRequest("exactly one host is needed")
    return parts[0], parts[1], parts[2], headers


async def _read_chunks(reader: asyncio.StreamReader) -> bytes:
    body = bytearray()
    while True:
        line = await reader.readuntil(b"\r\n")
        size_text = line[:-2].split(b";", 1)[0].strip()
        if re.fullmatch(rb"[0-9A-Fa-f]+", size_text) is None:
            raise BadRequest("bad chunk size")
        size = int(size_text, 16)
        if size == 0:
            break
        body += await reader.readexactly(size)
        if await reader.readexactly(2) != b"\r\n":
            raise BadRequest("chunk without its end")
    while await reader.readuntil(b"\r\n") != b"\r\n":
        pass
    return bytes(body)
