"""Makes the SDK's server importable without its client, its web servers and its command line: a second less at start.

A harness starts this server with every session and some wait for it: the package's own `__init__` imports all of it.
"""

from __future__ import annotations

import gc
import importlib.util
import sys
from collections.abc import Generator
from contextlib import contextmanager
from types import ModuleType

_PACKAGES = ("mcp", "mcp.server")


@contextmanager
def only_the_server() -> Generator[None]:
    """Within it, `mcp` and `mcp.server` are bare packages, so that an import takes the named module alone."""
    gc.disable()  # thousands of classes are about to be made and none of them is garbage
    made: list[str] = []
    spec = importlib.util.find_spec("mcp") if "mcp" not in sys.modules else None
    for name in _PACKAGES if spec is not None and spec.submodule_search_locations else ():
        bare = ModuleType(name)
        tail = name.partition(".")[2]
        assert spec is not None
        bare.__path__ = [
            f"{place}/{tail}" if tail else place for place in spec.submodule_search_locations or ()
        ]
        sys.modules[name] = bare
        made.append(name)
    try:
        yield
    finally:
        for name in made:
            del sys.modules[name]
        gc.freeze()
        gc.enable()
