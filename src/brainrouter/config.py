"""Settings: YAML files merged key by key, then checked. Every key has a default; every error names file and key.

Order, later wins: /etc/brainrouter/brainrouter.yaml, $XDG_CONFIG_HOME/brainrouter/brainrouter.yaml, --config FILE.
No file is read from the current folder: a repository must not configure the daemon.
"""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, cast

import msgspec

from brainrouter.config_tree import ConfigError, Tree, is_there, line_of, merged, parsed, read_text
from brainrouter.http1.origin import Origin

__all__ = ["ConfigError", "Loaded", "Secret", "Settings", "load", "load_aliases", "user_file"]

Price = Annotated[float, msgspec.Meta(ge=0, le=1e6)]

SYSTEM_FILE = Path("/etc/brainrouter/brainrouter.yaml")
PLACEHOLDER_KEY = "mnfst_REPLACE_WITH_YOUR_KEY"
USUAL_ALIASES = "~/.config/omp-bridge/config.yaml"
_CHOICES = {
    "manifest.protocols": "chat, messages or responses",
    "review.forced_mode": "auto, cloud or local",
    "llama_swap.tool_slimming": "0, 1 or 2",
    "bridge.tools": "none or read",
    "log.level": "error, warn, info or debug",
}


class Secret:
    """A value that never shows itself in logs, errors or reprs."""

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        return self._value

    def __repr__(self) -> str:
        return "Secret(***)"


class ManifestSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    base_url: str = "http://localhost:3001/v1"
    api_key_env: str = "MANIFEST_API_KEY"
    protocols: list[Literal["chat", "messages", "responses"]] = msgspec.field(
        default_factory=lambda: ["chat", "messages", "responses"]
    )
    keep_model_names: bool = False
    first_byte_s: float = 60.0
    stall_s: float = 180.0


class LlamaSwapSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    base_url: str = "http://localhost:8081/v1"
    fallback_model: str | None = None
    local_system_prompt: str | None = None
    api_key_env: str | None = None
    context_tokens: int | None = None
    tool_slimming: Literal[0, 1, 2] = 1
    kept_tools: list[str] = msgspec.field(default_factory=list[str])
    first_byte_s: float = 180.0
    stall_s: float = 180.0


class BonsaiSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    model_path: str | None = None


class DecisionSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    deadline_ms: float = 200.0
    classifier: bool = True
    knob: float | None = None
    turn_budget: int = 60
    ability: dict[str, float] = msgspec.field(default_factory=dict[str, float])


class LimitSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    body_bytes: int = 32 * 1024 * 1024
    total_s: float = 3600.0
    drain_s: float = 10.0


class ReviewSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    max_iterations: int = 5
    forced_mode: Literal["auto", "cloud", "local"] = "auto"
    forced_model: str | None = None
    roots: list[str] = msgspec.field(default_factory=list[str])
    timeout_s: float = 600.0


class DiscordSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    enabled: bool = False
    token: str | None = None
    prefix: str = "!"
    allowed_users: list[str] = msgspec.field(default_factory=list[str])
    allowed_channels: list[str] = msgspec.field(default_factory=list[str])
    may_write: list[str] = msgspec.field(default_factory=list[str])
    answer_mentions: bool = False


class SignalSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    enabled: bool = False
    account: str | None = None
    group_id: str | None = None
    prefix: str = "!"
    storage_path: str | None = None
    llama_swap_url: str | None = None
    allowed_numbers: list[str] = msgspec.field(default_factory=list[str])
    may_write: list[str] = msgspec.field(default_factory=list[str])
    rpc: str | None = None
    spawn: bool = False


class BridgeSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    omp_path: str = "omp"
    work_dir: str | None = None
    aliases_config: str | None = None
    timeout_secs: float = 600.0
    default_model: str = "brainrouter/auto"
    tools: Literal["none", "read"] = "read"
    discord: DiscordSettings = DiscordSettings()
    signal: SignalSettings = SignalSettings()


class OpsSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    manifest_dir: str = "~/ai/stack/manifest"
    llama_cpp_restart: str | None = None
    llama_swap_dir: str | None = None
    llama_swap_binary: str | None = None
    toolbox: Annotated[str, msgspec.Meta(pattern="^[A-Za-z0-9][A-Za-z0-9_.-]{0,62}$")] = "llama-vulkan-radv"
    check_updates: bool = True
    release_api: str = "https://api.github.com"
    image_api: str = "https://hub.docker.com"


class LogSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    level: Literal["error", "warn", "info", "debug"] | None = None


class PriceSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    cloud_input_per_mtok: Price | None = None
    cloud_output_per_mtok: Price | None = None
    currency: Annotated[str, msgspec.Meta(pattern="^[A-Z]{3}$")] = "USD"


class Settings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The whole configuration. Sections that no file mentions hold their defaults."""

    manifest: ManifestSettings = ManifestSettings()
    llama_swap: LlamaSwapSettings = LlamaSwapSettings()
    bonsai: BonsaiSettings = BonsaiSettings()
    decision: DecisionSettings = DecisionSettings()
    limits: LimitSettings = LimitSettings()
    review: ReviewSettings = ReviewSettings()
    bridge: BridgeSettings = BridgeSettings()
    ops: OpsSettings = OpsSettings()
    prices: PriceSettings = PriceSettings()
    log: LogSettings = LogSettings()


class Loaded(msgspec.Struct, frozen=True):
    """What was read: the settings, the files they came from, and the sections that some file mentions."""

    settings: Settings
    files: tuple[Path, ...]
    mentioned: frozenset[str]


def user_file(env: Mapping[str, str]) -> Path:
    """The user's own configuration file, whether it is there or not."""
    base = Path(env.get("XDG_CONFIG_HOME") or "")
    # A relative one would be read from the current folder; the XDG rules ignore it too.
    if not base.is_absolute():
        base = Path(env.get("HOME") or "~").expanduser() / ".config"
    return base / "brainrouter" / "brainrouter.yaml"


def places(explicit: Path | None, env: Mapping[str, str], system: Path = SYSTEM_FILE) -> list[Path]:
    """Where configuration may lie, whether it is there or not; later wins."""
    return [system, user_file(env), *([explicit] if explicit is not None else [])]


def load(explicit: Path | None, env: Mapping[str, str], system: Path = SYSTEM_FILE) -> Loaded:
    """Read and merge the files that exist. Raises ConfigError; an explicit file that is missing is an error."""
    files = [file for file in places(explicit, env, system) if file == explicit or is_there(file)]
    whole: Tree = {}
    settings = Settings()
    for file in files:
        text = read_text(file)
        tree = _without_empty(parsed(text, file), Settings())
        try:
            _convert(tree)
            whole = merged(whole, tree)
            settings = _convert(whole)
        except _Wrong as wrong:
            line = line_of(text, wrong.key)
            where = f" line {line}:" if line else ""
            raise ConfigError(f"{file}:{where} {wrong}") from wrong
    for name in (settings.manifest.api_key_env, settings.llama_swap.api_key_env):
        _check_key(env, name)
    return Loaded(settings, tuple(files), frozenset(whole))


def changed_keys(before: Settings, after: Settings) -> list[str]:
    """The keys (as `manifest.base_url`) that say something else now."""
    return list(_differences(before, after, ""))


def load_aliases(settings: BridgeSettings, env: Mapping[str, str]) -> dict[str, str]:
    """The chats' own names for models: the map `aliases` of bridge.aliases_config. Raises ConfigError.

    The usual file need not be there; one that is named has to be.
    """
    named = settings.aliases_config
    home = env.get("HOME") or str(Path.home())
    path = named or USUAL_ALIASES
    file = Path(home, path[2:]) if path.startswith("~/") else Path(path)
    if named is None and not is_there(file):
        return {}
    try:
        return msgspec.convert(parsed(read_text(file), file).get("aliases", {}), dict[str, str])
    except msgspec.ValidationError as error:
        raise ConfigError(f"{file}: key `aliases`: expected names of models by alias: {error}") from error


def key_from(env: Mapping[str, str], name: str | None) -> Secret | None:
    """The secret that an environment variable holds; the installer's placeholder counts as none."""
    value = (env.get(name) or "").strip() if name else ""
    return None if not value or value == PLACEHOLDER_KEY else Secret(value)


def _check_key(env: Mapping[str, str], name: str | None) -> None:
    key = key_from(env, name)
    if key is not None and not re.fullmatch(r"[\x21-\x7e]+", key.reveal()):
        raise ConfigError(f"environment variable {name}: a key is one line of plain ASCII without spaces")


def _without_empty(tree: Tree, defaults: msgspec.Struct) -> Tree:
    """A section whose keys are all commented out reads as null: the same as a section that is not there."""
    kept: Tree = {}
    for key, value in tree.items():
        default = getattr(defaults, str(key), None)
        if isinstance(default, msgspec.Struct) and isinstance(value, dict):
            kept[key] = _without_empty(cast("Tree", value), default)
        elif value is not None or not isinstance(default, msgspec.Struct):
            kept[key] = value
    return kept


class _Wrong(Exception):
    """What is wrong with a key; the file and the line are for the caller to add."""

    def __init__(self, key: str, words: str) -> None:
        super().__init__(words)
        self.key = key


def _differences(before: msgspec.Struct, after: msgspec.Struct, above: str) -> Iterator[str]:
    for name in before.__struct_fields__:
        old, new = getattr(before, name), getattr(after, name)
        if isinstance(old, msgspec.Struct):
            yield from _differences(old, new, f"{above}{name}.")
        elif old != new:
            yield f"{above}{name}"


def _convert(tree: Tree) -> Settings:
    try:
        settings = msgspec.convert(tree, Settings, strict=True)
    except msgspec.ValidationError as error:
        raise _explained(str(error)) from error
    _check(settings)
    return settings


def _explained(text: str) -> _Wrong:
    path = re.search(r"at (`key` in )?`\$\.?([^`]*)`", text)
    key = path.group(2) if path else ""
    if path and path.group(1):
        where = f" of `{key}`" if key else ""
        advice = "put it in quotes (YAML reads on, off, yes, no and numbers as values)"
        return _Wrong(key, f"a key{where} is not text; {advice}")
    unknown = re.search(r"unknown field `([^`]*)`", text)
    if unknown:
        name = f"{key}.{unknown.group(1)}" if key else unknown.group(1)
        close = difflib.get_close_matches(unknown.group(1), _names(key), n=1)
        hint = f"; did you mean `{close[0]}`?" if close else ""
        return _Wrong(name, f"key `{name}` is not known{hint}")
    choices = _CHOICES.get(key.partition("[")[0])
    if choices and text.startswith("Invalid enum value"):
        found = text.split(" - at ")[0].removeprefix("Invalid enum value ")
        return _Wrong(key, f"key `{key}`: expected {choices}, found {found}")
    what = text.split(" - at ")[0].replace("Expected `object`", "Expected a section").replace("`", "")
    return _Wrong(key, f"key `{key}`: {what[0].lower()}{what[1:]}" if key else what)


def _names(key: str) -> list[str]:
    section: Any = Settings
    for part in key.split(".") if key else []:
        section = getattr(section(), part).__class__
    return list(section.__struct_fields__)


def _check(settings: Settings) -> None:
    urls = {
        "manifest.base_url": settings.manifest.base_url,
        "llama_swap.base_url": settings.llama_swap.base_url,
        "ops.release_api": settings.ops.release_api,
        "ops.image_api": settings.ops.image_api,
    }
    if settings.bridge.signal.llama_swap_url is not None:
        urls["bridge.signal.llama_swap_url"] = settings.bridge.signal.llama_swap_url
    for key, url in urls.items():
        try:
            Origin.parse(url)
        except ValueError as error:
            found = "" if re.search("[@?#]", url) else f", found {url!r}"  # a key may stand there
            raise _Wrong(key, f"key `{key}`: {error}{found}") from error
    positive = {
        "decision.turn_budget": settings.decision.turn_budget,
        "decision.deadline_ms": settings.decision.deadline_ms,
        "manifest.first_byte_s": settings.manifest.first_byte_s,
        "manifest.stall_s": settings.manifest.stall_s,
        "llama_swap.first_byte_s": settings.llama_swap.first_byte_s,
        "llama_swap.stall_s": settings.llama_swap.stall_s,
        "limits.body_bytes": settings.limits.body_bytes,
        "limits.total_s": settings.limits.total_s,
        "review.max_iterations": settings.review.max_iterations,
        "review.timeout_s": settings.review.timeout_s,
        "bridge.timeout_secs": settings.bridge.timeout_secs,
    }
    if settings.llama_swap.context_tokens is not None:
        positive["llama_swap.context_tokens"] = settings.llama_swap.context_tokens
    for key, value in positive.items():
        if not 0 < value < math.inf:
            raise _Wrong(key, f"key `{key}`: expected a number above zero, found {value}")
    if not 0 <= settings.limits.drain_s < math.inf:
        found = settings.limits.drain_s
        raise _Wrong("limits.drain_s", f"key `limits.drain_s`: expected a number from zero up, found {found}")
    if settings.decision.knob is not None and not math.isfinite(settings.decision.knob):
        raise _Wrong(
            "decision.knob", f"key `decision.knob`: expected a number, found {settings.decision.knob}"
        )
