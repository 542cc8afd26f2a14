"""The bridge's part of the configuration."""

from __future__ import annotations

from pathlib import Path

import pytest

from brainrouter.config import BridgeSettings, ConfigError, Settings, load, load_aliases

NOWHERE = Path("/nonexistent/brainrouter.yaml")


def test_both_bridges_are_off_and_answer_nobody_by_default():
    bridge = Settings().bridge
    assert (bridge.discord.enabled, bridge.signal.enabled) == (False, False)
    assert (bridge.discord.allowed_users, bridge.signal.allowed_numbers, bridge.signal.group_id) == (
        [],
        [],
        None,
    )
    assert (bridge.timeout_secs, bridge.default_model, bridge.discord.prefix) == (
        600,
        "brainrouter/auto",
        "!",
    )


def test_aliases_come_from_the_usual_file_when_it_is_there(tmp_path: Path):
    env = {"HOME": str(tmp_path)}
    assert load_aliases(BridgeSettings(), env) == {}
    file = tmp_path / ".config" / "omp-bridge" / "config.yaml"
    file.parent.mkdir(parents=True)
    file.write_text("aliases:\n  fast: qwen3-4b\nother: 1\n", encoding="utf-8")
    assert load_aliases(BridgeSettings(), env) == {"fast": "qwen3-4b"}
    assert load_aliases(BridgeSettings(aliases_config="~/.config/omp-bridge/config.yaml"), env) == {
        "fast": "qwen3-4b"
    }


@pytest.mark.parametrize("text", ["aliases: [a]", "aliases:\n  fast: 4", "- x", "a: ["])
def test_a_file_of_aliases_that_is_none_is_told(tmp_path: Path, text: str):
    file = tmp_path / "aliases.yaml"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError, match=r"aliases\.yaml"):
        load_aliases(BridgeSettings(aliases_config=str(file)), {"HOME": str(tmp_path)})
    with pytest.raises(ConfigError, match="cannot be read"):
        load_aliases(BridgeSettings(aliases_config=str(tmp_path / "no.yaml")), {"HOME": str(tmp_path)})


def test_an_id_without_quotes_is_told_by_its_key(tmp_path: Path):
    file = tmp_path / "given.yaml"
    file.write_text("bridge: {discord: {allowed_users: [123456789012345678]}}", encoding="utf-8")
    with pytest.raises(ConfigError, match=r"bridge\.discord\.allowed_users"):
        load(file, {"HOME": str(tmp_path)}, NOWHERE)
