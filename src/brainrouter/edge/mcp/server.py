"""`brainrouter mcp`: the review tools for a harness, over standard input and output."""

from __future__ import annotations

import asyncio
import json
import logging
import re
from pathlib import Path
from typing import Any

import mcp_types as types
from mcp.server.context import ServerRequestContext
from mcp.server.lowlevel.server import Server
from mcp.server.stdio import stdio_server

from brainrouter import __version__
from brainrouter.edge.mcp.daemon import Daemon, ToolError
from brainrouter.edge.mcp.tools import INSTRUCTIONS, TOOLS, call

Context = ServerRequestContext[Any]

_NAME = re.compile(r"[a-z][a-z0-9-]{0,30}")


def run(socket: Path) -> None:
    """Serve until standard input ends."""
    logging.basicConfig(level=logging.ERROR)  # to stderr: standard output belongs to the protocol
    asyncio.run(_serve(socket))


async def _serve(socket: Path) -> None:
    daemon = Daemon(socket)
    server = _server(daemon)
    try:
        async with stdio_server() as (incoming, outgoing):
            await server.run(incoming, outgoing, server.create_initialization_options())
    finally:
        await daemon.close()


def _server(daemon: Daemon) -> Server[Any]:
    async def list_tools(_: Context, __: types.PaginatedRequestParams | None) -> types.ListToolsResult:
        return types.ListToolsResult(tools=[_tool(name) for name in TOOLS])

    async def call_tool(context: Context, params: types.CallToolRequestParams) -> types.CallToolResult:
        try:
            found = await _call(daemon, context, params)
        except ToolError as error:
            return types.CallToolResult(content=[types.TextContent(text=str(error))], is_error=True)
        text = json.dumps(found, ensure_ascii=False, indent=2)
        return types.CallToolResult(content=[types.TextContent(text=text)], structured_content=found)

    return Server(
        "brainrouter",
        version=__version__,
        title="brainrouter code review",
        instructions=INSTRUCTIONS,
        on_list_tools=list_tools,
        on_call_tool=call_tool,
    )


async def _call(daemon: Daemon, context: Context, params: types.CallToolRequestParams) -> Any:
    last = -1.0

    async def progress(elapsed_s: float, message: str) -> None:
        nonlocal last
        last = max(elapsed_s, last + 0.001)  # the protocol wants it to grow
        await context.session.report_progress(last, message=message)

    return await call(daemon, params.name, params.arguments or {}, _harness(context), progress)


def _harness(context: Context) -> str | None:
    """The client's name as it said it at the start, made fit for a header."""
    client = context.session.client_params
    name = (
        re.sub(r"[^a-z0-9]+", "-", client.client_info.name.lower()).strip("-") if client is not None else ""
    )
    return name if _NAME.fullmatch(name) else None


def _tool(name: str) -> types.Tool:
    description, reads_only, schema = TOOLS[name]
    hints = types.ToolAnnotations(
        read_only_hint=reads_only, destructive_hint=False, idempotent_hint=reads_only, open_world_hint=False
    )
    return types.Tool(name=name, description=description, input_schema=schema, annotations=hints)
