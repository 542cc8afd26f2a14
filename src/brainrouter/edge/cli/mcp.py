"""`mcp`: start the MCP server as fast as its SDK allows."""

from __future__ import annotations

import os
from pathlib import Path

from brainrouter.adapters.listen import default_socket
from brainrouter.edge.mcp.light_import import only_the_server


def serve(socket: Path | None) -> None:
    """Serve on standard input and output until the harness closes them."""
    with only_the_server():
        from brainrouter.edge.mcp.server import run

    run(socket or default_socket(os.environ))
