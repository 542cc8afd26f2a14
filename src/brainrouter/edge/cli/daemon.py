"""`up` and `serve`: read the settings, bind, build, run until a signal."""

from __future__ import annotations

import asyncio
import logging
import os
import re
import shutil
import signal
import sys
from dataclasses import dataclass
from pathlib import Path

import uvloop

from brainrouter.adapters.allocator import keep_freed_memory
from brainrouter.adapters.listen import CannotListen, Listening, default_socket, listen
from brainrouter.adapters.log_sink import keep_standard_streams, leave_standard_streams
from brainrouter.adapters.logs import level_of, set_level, start_logging
from brainrouter.adapters.model_file import cache_dir
from brainrouter.adapters.upstream import Timeouts, Upstream
from brainrouter.config import ConfigError, Loaded, Settings, key_from, load, places
from brainrouter.edge.cli.show import Show
from brainrouter.flows.discover import PROBE_S
from brainrouter.flows.discover import discover as look_around
from brainrouter.http1.client import Client
from brainrouter.wiring import Choice, ConfigSource, Daemon, build

EXIT_REFUSED = 1
EXIT_CONFIG = 78
POOLED = 256  # idle connections kept for each upstream: a burst of agents must not reconnect
LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})

_log = logging.getLogger("brainrouter")


@dataclass(frozen=True, slots=True)
class Options:
    """What the command line said. `any_port` lets us take the next free port when the usual one is held."""

    config: Path | None
    address: str
    any_port: bool
    socket: Path | None
    log_level: str | None


def start(options: Options, *, discover: bool) -> int:
    """Run the daemon; the exit code says how it ended: 0, 1 (cannot listen), 78 (configuration)."""
    keep_standard_streams()
    keep_freed_memory()
    env = os.environ
    interactive = discover and sys.stdout.isatty()

    def level(settings: Settings) -> int:
        usual = "warn" if interactive else None
        return level_of(env, options.log_level or settings.log.level or usual)

    def read() -> Loaded:
        loaded = load(options.config, env)
        set_level(level(loaded.settings))
        return loaded

    log = start_logging(level(Settings()))
    try:
        loaded = read()
        host, port = _address(options.address)
    except ConfigError as error:
        print(f"brainrouter: {error}", file=sys.stderr)
        return EXIT_CONFIG
    try:
        listening = listen(host, port, options.socket or default_socket(env), any_port=options.any_port)
    except CannotListen as error:
        print(f"brainrouter: {error}", file=sys.stderr)
        return EXIT_REFUSED
    try:
        source = ConfigSource(read, lambda: places(options.config, env))
        again = uvloop.run(_serve(loaded, listening, source, discover=discover, interactive=interactive))
    finally:
        listening.close()
        log.finish()
        leave_standard_streams()
    if again:
        # The same command in the same process: whoever watches it, a terminal or a service, goes on watching it.
        os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])  # noqa: S606
    return 0


async def _serve(
    loaded: Loaded, listening: Listening, source: ConfigSource, *, discover: bool, interactive: bool
) -> bool:
    """Serve until the end; True when it is to start again."""
    client = Client(max_idle_per_origin=POOLED)
    choice = await _chosen(loaded, client) if discover else _configured(loaded)
    daemon = build(loaded, choice, os.environ, client, source)
    show = Show(daemon, listening, loaded) if discover else None
    loop = asyncio.get_running_loop()

    def ask_to_stop() -> None:
        if daemon.live.draining:
            os._exit(130)  # a second signal means now
        daemon.stop()

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, ask_to_stop)
    _on_hangup(loop, daemon)

    def on_serving() -> None:
        _log.info("serving on %s and %s", listening.tcp.getsockname(), listening.path)
        if show is not None:
            show.serving(interactive=interactive)

    follow = loop.create_task(show.follow()) if show is not None else None
    try:
        await daemon.run(listening, on_serving)
    finally:
        if follow is not None:
            follow.cancel()
    return daemon.again


def _on_hangup(loop: asyncio.AbstractEventLoop, daemon: Daemon) -> None:
    """SIGHUP reads the configuration again; but when our terminal is gone it means the end, as for any program."""
    if signal.getsignal(signal.SIGHUP) == signal.SIG_IGN:
        return  # nohup: whoever started us wants nothing to come of it
    terminals = [number for number in (0, 1, 2) if os.isatty(number)]

    def hung_up() -> None:
        if terminals and not any(map(os.isatty, terminals)):
            daemon.stop()
        else:
            daemon.reload.soon()

    loop.add_signal_handler(signal.SIGHUP, hung_up)


def _configured(loaded: Loaded) -> Choice:
    settings = loaded.settings
    return Choice(settings.manifest.base_url, settings.llama_swap.base_url)


async def _chosen(loaded: Loaded, client: Client) -> Choice:
    """Configured sides are used as they are; for the others, what runs on the usual ports, else the embedded model."""
    settings = loaded.settings
    manifest_said, local_said = "manifest" in loaded.mentioned, "llama_swap" in loaded.mentioned

    def reach(url: str) -> Upstream:
        return Upstream(client, url, "cloud", Timeouts(PROBE_S, PROBE_S, PROBE_S))

    found = await look_around(reach, manifest=not manifest_said, llama_swap=not local_said)
    cloud = settings.manifest.base_url if manifest_said else found.manifest
    local = settings.llama_swap.base_url if local_said else found.llama_swap
    notes: dict[str, str] = {
        "cloud": "configured" if manifest_said else "found running" if found.manifest else "missing",
        "local": "configured" if local_said else "found running" if found.llama_swap else "embedded",
        "classifier": "configured" if settings.bonsai.model_path else "embedded",
        "key": "set" if key_from(os.environ, settings.manifest.api_key_env) else "missing",
    }
    return Choice(
        cloud,
        local,
        embedded=local is None,
        llama_swap_binary=_llama_swap_binary(),
        found=frozenset({"manifest", "llama_swap"} - loaded.mentioned),
        notes=notes,
    )


def _llama_swap_binary() -> Path | None:
    """llama-swap from PATH, or one that `make llama-swap` put into the cache."""
    cached = cache_dir(os.environ) / "bin" / "llama-swap"
    found = shutil.which("llama-swap") or (str(cached) if os.access(cached, os.X_OK) else None)
    return Path(found) if found else None


def _address(text: str) -> tuple[str, int]:
    match = re.fullmatch(r"(\[[0-9a-fA-F:]+\]|[^:\[\]]+):(\d{1,5})", text)
    if not match or int(match.group(2)) > 65535:
        raise ConfigError(f"--tcp-addr: expected HOST:PORT, found {text!r}")
    host = match.group(1).strip("[]")
    if host not in LOOPBACK:
        raise ConfigError(
            f"--tcp-addr: {host} is not a loopback address; brainrouter has no login and stays on one"
        )
    return host, int(match.group(2))
