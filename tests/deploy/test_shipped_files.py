"""What deploy ships, held against the program: units, compose files, the polkit rule, settings, the shell's variables."""

from __future__ import annotations

import configparser
import re
import subprocess
from pathlib import Path

import pytest
import yaml

from brainrouter.adapters.service_probe import ADMIN_GROUP
from brainrouter.config import PLACEHOLDER_KEY, load
from brainrouter.harness.claude import variables
from brainrouter.harness.target import Target
from brainrouter.policy.service_plan import UNITS, Found, restart_way

ROOT = Path(__file__).resolve().parents[2]
DEPLOY = ROOT / "deploy"
COMPOSE = sorted(DEPLOY.glob("compose/*/*.yaml"))
SERVICES = [path for path in COMPOSE if path.name == "compose.yaml"]


def unit(name: str) -> configparser.ConfigParser:
    parsed = configparser.ConfigParser(strict=False, delimiters="=", interpolation=None, allow_no_value=True)
    parsed.optionxform = str  # type: ignore[assignment, method-assign]
    parsed.read_string((DEPLOY / "systemd" / name).read_text(encoding="utf-8").replace("@SOCKET@", ""))
    return parsed


def test_polkit_lets_the_group_do_what_the_daemon_does_and_no_more():
    rule = (DEPLOY / "etc" / "50-ai-stack.rules").read_text(encoding="utf-8")
    managed = {
        restart_way(service, Found("system unit")).steps[0] for service in UNITS if service != "brainrouter"
    }
    units = {argv[-1] for argv in managed}
    assert set(re.findall(r'"([\w-]+\.service)"', rule)) == units
    verbs = re.search(r"var verbs = \[(.*)\]", rule)
    assert verbs is not None
    assert (
        {argv[-2] for argv in managed} <= set(re.findall(r'"(\w+)"', verbs.group(1))) == {"start", "restart"}
    )
    assert re.findall(r'isInGroup\("(\w+)"\)', rule) == [ADMIN_GROUP]
    assert rule.count("polkit.Result.YES") == 1


@pytest.mark.parametrize("file", SERVICES, ids=lambda path: path.parent.name)
def test_images_are_pinned_by_a_tag_and_ports_are_on_the_loopback(file: Path):
    services = yaml.safe_load(file.read_text(encoding="utf-8"))["services"]
    env = (file.parent / "env").read_text(encoding="utf-8")
    for name, service in services.items():
        tag = re.fullmatch(r"[a-z0-9./_-]+:\$\{([A-Z_]+):\?[^}]+\}", service["image"])
        assert tag is not None, name
        line = re.search(rf"^{tag.group(1)}=(\S+)$", env, re.MULTILINE)
        assert line is not None, name
        assert line.group(1) not in ("latest", ""), name
        for port in service.get("ports", []):
            assert re.fullmatch(r"127\.0\.0\.1:\d+:\d+", port), (name, port)
        assert "no-new-privileges:true" in service["security_opt"], name
        assert not {"privileged", "network_mode", "pid"} & service.keys(), name


def test_every_variable_of_a_compose_file_is_set_beside_it():
    for file in COMPOSE:
        if file.name == "config.yaml":  # llama-swap's own, with macros of its own
            continue
        asked = set(re.findall(r"\$\{([A-Z_]+)", file.read_text(encoding="utf-8")))
        given = set(
            re.findall(r"^([A-Z_]+)=", (file.parent / "env").read_text(encoding="utf-8"), re.MULTILINE)
        )
        assert asked <= given, file


@pytest.mark.parametrize("name", ["manifest.service", "llama-swap.service"])
def test_the_system_units_are_those_that_the_daemon_looks_for(name: str):
    assert name in UNITS.values()
    parsed = unit(name)
    assert parsed["Install"]["WantedBy"] == "multi-user.target"
    folder = parsed["Service"]["WorkingDirectory"]
    settings = yaml.safe_load(shipped_settings())
    assert folder == settings["ops"][name.removesuffix(".service").replace("-", "_") + "_dir"]
    for key in ("NoNewPrivileges", "PrivateTmp", "ProtectKernelTunables", "MemoryDenyWriteExecute"):
        assert parsed["Service"][key] == "yes", key


def test_the_user_unit_runs_serve_and_does_not_try_again_what_cannot_work():
    parsed = unit(UNITS["brainrouter"])
    assert parsed["Service"]["ExecStart"] == "/usr/local/bin/brainrouter serve"
    assert parsed["Service"]["RestartPreventExitStatus"] == "78"
    assert parsed["Service"]["NoNewPrivileges"] == "yes"
    off = unit("brainrouter-toolbox.conf")["Service"]
    sandbox = {"NoNewPrivileges", "LockPersonality", "SystemCallFilter", "SystemCallArchitectures"}
    sandbox |= {
        key
        for key in parsed["Service"]
        if key.startswith("Restrict") and not key.startswith("RestartPrevent")
    }
    assert set(off) == {key for key in sandbox if not key.startswith("Restart")}


def shipped_settings(on: str = "") -> str:
    text = (DEPLOY / "etc" / "brainrouter.yaml").read_text(encoding="utf-8")
    for name, value in {
        "@FALLBACK@": on,
        "@CLASSIFIER@": on,
        "@MODEL@": "/opt/models/bonsai/m.gguf",
        "@TOOLBOX@": "box",
    }.items():
        text = text.replace(name, value)
    return text


@pytest.mark.parametrize("on", ["", "#"])
def test_the_settings_of_the_machine_and_of_a_person_load(tmp_path: Path, on: str):
    system, own = tmp_path / "system.yaml", tmp_path / "brainrouter" / "brainrouter.yaml"
    system.write_text(shipped_settings(on), encoding="utf-8")
    own.parent.mkdir()
    own.write_bytes((DEPLOY / "etc" / "user.yaml").read_bytes())
    loaded = load(None, {"XDG_CONFIG_HOME": str(tmp_path)}, system)
    assert loaded.settings.llama_swap.fallback_model == (None if on else "bonsai-8b")
    assert loaded.settings.bonsai.model_path == (None if on else "/opt/models/bonsai/m.gguf")
    assert yaml.safe_load(own.read_text(encoding="utf-8")) is None


def test_everything_that_a_person_is_offered_is_a_setting(tmp_path: Path):
    offered = re.sub(
        r"^# ?", "", (DEPLOY / "etc" / "user.yaml").read_text(encoding="utf-8"), flags=re.MULTILINE
    )
    settings = offered.split("\n\n", 1)[1]
    file = tmp_path / "brainrouter.yaml"
    file.write_text(settings, encoding="utf-8")
    loaded = load(file, {"XDG_CONFIG_HOME": str(tmp_path / "none"), "HOME": str(tmp_path)}, tmp_path / "none")
    assert {"llama_swap", "decision", "review", "bridge"} <= loaded.mentioned


def test_the_key_is_the_placeholder_that_the_daemon_knows():
    assert f"MANIFEST_API_KEY={PLACEHOLDER_KEY}\n" in (DEPLOY / "etc" / "env").read_text(encoding="utf-8")


@pytest.mark.parametrize("bonsai", ["", "#"])
def test_the_seeded_llama_swap_configuration_is_one(bonsai: str):
    text = (DEPLOY / "compose" / "llama-swap" / "config.yaml").read_text(encoding="utf-8")
    parsed = yaml.safe_load(text.replace("@BONSAI@", bonsai).replace("@FILE@", "bonsai/m.gguf"))
    assert set(parsed["models"] or {}) == (set() if bonsai else {"bonsai-8b"})


def profile(home: Path, runtime: Path, **env: str) -> dict[str, str]:
    """The environment that a login shell has after the profile."""
    words = [
        "env",
        "-i",
        "PATH=/usr/bin:/bin",
        f"HOME={home}",
        f"XDG_RUNTIME_DIR={runtime}",
        *(f"{k}={v}" for k, v in env.items()),
    ]
    shell = ["sh", "-euc", f". {DEPLOY / 'etc' / 'ai-stack.sh'}; . {DEPLOY / 'etc' / 'ai-stack.sh'}; env"]
    said = subprocess.run([*words, *shell], capture_output=True, text=True, check=True).stdout
    return dict(line.split("=", 1) for line in said.splitlines())


def test_a_shell_has_the_variables_that_the_installer_would_write(tmp_path: Path):
    (tmp_path / "brainrouter.port").write_text("9104\n")
    found = profile(tmp_path, tmp_path)
    target = Target("http://127.0.0.1:9104", "brainrouter", "socket", 200_000, None, 200_000)
    assert {name: found.get(name) for name in variables(target)} == variables(target)
    assert found["PATH"].split(":").count(f"{tmp_path}/.bun/bin") == 1


def test_a_shell_is_left_alone_where_no_daemon_runs_or_the_person_chose_otherwise(tmp_path: Path):
    assert "ANTHROPIC_BASE_URL" not in profile(tmp_path, tmp_path)
    (tmp_path / "brainrouter.port").write_text("9104\n")
    own = profile(tmp_path, tmp_path, ANTHROPIC_BASE_URL="https://elsewhere.test")
    assert own["ANTHROPIC_BASE_URL"] == "https://elsewhere.test"
    assert "ANTHROPIC_MODEL" not in own
    choice = tmp_path / ".config" / "brainrouter" / "no-shell-variables"
    choice.parent.mkdir(parents=True)
    choice.touch()
    assert "ANTHROPIC_BASE_URL" not in profile(tmp_path, tmp_path)


def test_no_checksum_is_written_down_anywhere():
    for path in [ROOT / "install.sh", *DEPLOY.rglob("*")]:
        if path.is_file():
            assert not re.search(r"\b[0-9a-f]{40,}\b", path.read_text(encoding="utf-8")), path
