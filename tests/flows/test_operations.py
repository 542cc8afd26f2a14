"""Versions, restarts and upgrades around the real daemon, with fakes of the programs and places it asks."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import tarfile
from collections.abc import Awaitable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import pytest

from brainrouter.adapters.commands import Done, Say, run
from brainrouter.adapters.release_source import ReleaseSource
from brainrouter.adapters.service_probe import ServiceProbe
from brainrouter.config import OpsSettings
from brainrouter.flows.upgrade import Operations, Refused
from brainrouter.flows.versions import Versions
from tests.daemon import Answer, Daemon, eventually
from tests.sim.releases import SimReleases, archive, member, program
from tests.sim.services import SimServices, full_house


@dataclass
class House:
    """The use cases among fakes: real programs on PATH, a real server of releases."""

    folder: Path
    services: SimServices
    releases: SimReleases
    binary: Path
    ops: dict[str, Any]
    running: str | None = "v250"

    def settings(self) -> dict[str, Any]:
        given = {
            "manifest_dir": str(self.folder / "manifest"),
            "release_api": self.releases.url,
            "image_api": self.releases.url,
            "llama_swap_binary": str(self.binary),
        }
        return given | self.ops

    def during(self, *acts: tuple[str, str]) -> tuple[dict[str, Any], list[dict[str, Any]]]:
        """The versions before, and how each action ended."""
        return asyncio.run(self._during(acts))

    def act(self, action: str, service: str) -> dict[str, Any]:
        return self.during((action, service))[1][0]

    async def _during(self, acts: tuple[tuple[str, str], ...]) -> tuple[dict[str, Any], list[dict[str, Any]]]:
        ops = msgspec.convert(self.settings(), OpsSettings)
        env = {"PATH": f"{self.services.folder}:{os.environ['PATH']}", "HOME": str(self.folder)}
        source = ReleaseSource(ops.release_api, ops.image_api) if ops.check_updates else None
        probe = ServiceProbe(ops, env, lambda argv, deadline_s: run(argv, deadline_s, env=env))

        async def says() -> str | None:
            return self.running

        def step(argv: Sequence[str], deadline_s: float, say: Say) -> Awaitable[Done]:
            return run(argv, deadline_s, say, env)

        versions = Versions(probe, source, says, embedded=False, changed=lambda: None)
        operations = Operations(versions, probe, source, step, lambda: None, lambda: None)
        if len(acts) != 1:
            await versions.look()
        before, ended = versions.view()["components"], list[dict[str, Any]]()
        working = asyncio.create_task(operations.run())
        for action, service in acts:
            begun = await operations.start(action, service)
            async with asyncio.timeout(10):
                while operations.view()[str(begun["id"])]["state"] == "running":
                    await asyncio.sleep(0.005)
            ended.append(operations.view()[str(begun["id"])])
        working.cancel()
        return before, ended


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    with furnished(tmp_path) as made:
        yield made


@contextlib.contextmanager
def furnished(folder: Path) -> Iterator[House]:
    services = full_house(folder / "bin", folder / "manifest")
    binary = folder / "opt" / "llama-swap"
    binary.parent.mkdir()
    binary.write_bytes(program("v250"))
    binary.chmod(0o755)
    script = folder / "restart llama;$(touch x)"
    script.write_text("#!/bin/sh\necho refreshed\n", encoding="utf-8")
    script.chmod(0o755)
    with SimReleases() as releases:
        yield House(folder, services, releases, binary, {"llama_cpp_restart": str(script)})


@dataclass
class Standing:
    """The same behind a real daemon, for what the routes add."""

    house: House
    daemon: Daemon

    def act(self, action: str, service: str, token: str | None = None, *, unix: bool = False) -> Answer:
        headers = {} if token is None else {"x_brainrouter_token": token}
        return self.daemon.send("POST", f"/api/{action}/{service}", {}, unix=unix, **headers)

    @property
    def token(self) -> str:
        found = re.search(r'brainrouter-token" content="([^"]+)"', self.daemon.send("GET", "/").body.decode())
        assert found is not None
        return found.group(1)

    def result(self, begun: Answer) -> dict[str, Any]:
        """The operation, once it is over."""
        assert begun.status == 202, begun
        number = begun.json()["operation"]["id"]

        def over() -> list[dict[str, Any]]:
            rows = self.daemon.get("/api/operations")["operations"]
            return [row for row in rows if row["id"] == number and row["state"] != "running"]

        return eventually(over)[0]


@pytest.fixture(scope="module")
def standing(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Standing]:
    with furnished(tmp_path_factory.mktemp("house")) as made:
        env = {"PATH": f"{made.services.folder}:{os.environ['PATH']}"}
        with Daemon(config={"ops": made.settings()}, env=env) as daemon:
            yield Standing(made, daemon)


def test_the_versions_of_everything_are_told_with_what_is_newer(house: House) -> None:
    parts, _ = house.during()
    told = {name: (part["installed"], part["latest"], part["newer"]) for name, part in parts.items()}
    assert told["llama-swap"] == ("v250", "v251", True)
    assert told["manifest"] == ("2026-08-14 · abababa", "2026-11-02 · 2222222", True)
    assert told["toolbox"] == ("42", "2026-11-02 · 2222222", True)
    assert told["llama-cpp"] == ("b6123", None, False)
    assert told["brainrouter"][1:] == (None, False)


def test_what_is_newest_is_asked_once_and_then_remembered(house: House) -> None:
    house.during(("restart", "llama-swap"), ("upgrade", "manifest"))
    assert len(house.releases.asked) == 3


def test_without_a_network_the_installed_versions_are_told_alone(house: House) -> None:
    house.running = None  # no server answers: the program itself is asked
    house.ops["release_api"] = house.ops["image_api"] = "http://127.0.0.1:9"
    parts, _ = house.during()
    assert (parts["llama-swap"]["installed"], parts["llama-swap"]["latest"]) == ("v250", None)
    assert not any(part["newer"] for part in parts.values())


def test_nobody_is_asked_where_looking_for_updates_is_off(house: House) -> None:
    house.ops["check_updates"] = False
    parts, _ = house.during()
    assert (parts["toolbox"]["installed"], house.releases.asked) == ("42", [])


@pytest.mark.parametrize(
    ("service", "command"),
    [
        ("llama-swap", ["systemctl", "--user", "restart", "llama-swap.service"]),
        ("manifest", ["docker", "compose", "--project-directory", "{manifest}", "restart", "manifest"]),
    ],
)
def test_a_service_is_restarted_as_it_is_run(
    house: House, tmp_path: Path, service: str, command: list[str]
) -> None:
    found = house.act("restart", service)
    assert (found["state"], found["service"]) == ("done", service)
    assert house.services.changes() == [
        [word.replace("{manifest}", str(tmp_path / "manifest")) for word in command]
    ]


def test_the_script_for_llama_cpp_runs_without_a_shell(house: House, tmp_path: Path) -> None:
    found = house.act("restart", "llama-cpp")
    assert (found["state"], found["steps"][-1]) == ("done", "refreshed")
    assert not (tmp_path / "x").exists()
    assert not Path("/x").exists()


def test_a_restart_that_fails_says_in_whose_words(house: House) -> None:
    house.services.save(fail={"restart llama-swap.service": "Job for llama-swap.service failed."})
    found = house.act("restart", "llama-swap")
    assert (found["state"], found["message"]) == (
        "failed",
        "systemctl failed (exit code 1): Job for llama-swap.service failed.",
    )


def test_images_are_pulled_and_what_runs_them_is_made_anew(house: House, tmp_path: Path) -> None:
    assert house.act("upgrade", "manifest")["state"] == "done"
    assert house.act("upgrade", "toolbox")["state"] == "done"
    image = "docker.io/kyuz0/amd-strix-halo-toolboxes:vulkan-radv"
    compose = ["docker", "compose", "--project-directory", str(tmp_path / "manifest")]
    assert house.services.changes() == [
        [*compose, "pull", "manifest"],
        [*compose, "up", "-d", "manifest"],
        ["podman", "pull", image],
        ["toolbox", "rm", "--force", "llama-vulkan-radv"],
        ["toolbox", "create", "--assumeyes", "--image", image, "--container", "llama-vulkan-radv"],
    ]


def test_a_unit_around_a_compose_file_is_upgraded_by_compose(house: House, tmp_path: Path) -> None:
    folder = tmp_path / "swap"
    folder.mkdir()
    (folder / "compose.yaml").write_text("services: {llama-swap: {}}\n", encoding="utf-8")
    house.ops["llama_swap_dir"] = str(folder)
    line = "{ path=/usr/bin/docker ; argv[]=/usr/bin/docker compose up --remove-orphans ; }"
    house.services.save(user_units={"llama-swap.service": {"ExecStart": line}})
    assert house.act("upgrade", "llama-swap")["state"] == "done"
    compose = ["docker", "compose", "--project-directory", str(folder)]
    assert house.services.changes() == [
        [*compose, "pull", "llama-swap"],
        [*compose, "up", "-d", "llama-swap"],
    ]


def test_llama_swap_is_replaced_by_the_checked_program_of_the_release(house: House) -> None:
    found = house.act("upgrade", "llama-swap")
    assert found["state"] == "done", found
    assert house.binary.read_bytes() == program("v251")
    assert house.binary.with_name("llama-swap.previous").read_bytes() == program("v250")
    assert [path.name for path in house.binary.parent.iterdir() if path.name.startswith(".")] == []
    assert house.services.changes() == [["systemctl", "--user", "restart", "llama-swap.service"]]


EVIL = {
    "a wrong checksum": (archive([(member("llama-swap"), program("v251"))]), "0" * 64 + "  {name}\n"),
    "no checksum for it": (archive([(member("llama-swap"), program("v251"))]), "0" * 64 + "  other.tar.gz\n"),
    "a link": (archive([(member("llama-swap", tarfile.SYMTYPE, "/bin/sh"), b"")]), None),
    "a hard link": (archive([(member("llama-swap", tarfile.LNKTYPE, "../../bin/sh"), b"")]), None),
    "a name that leads out": (archive([(member("../llama-swap"), program("v251"))]), None),
    "two of that name": (
        archive([(member("llama-swap"), program("v251")), (member("./llama-swap"), program("v9"))]),
        None,
    ),
    "a device": (archive([(member("llama-swap", tarfile.CHRTYPE), b"")]), None),
    "no archive": (b"rubbish", None),
    "half an archive": (archive([(member("llama-swap"), os.urandom(50_000))])[:20_000], None),
    "a program that fails": (archive([(member("llama-swap"), program("v251", code=1))]), None),
    "another machine's program": (
        archive([(member("llama-swap"), b"\x7fELF\x02\x01\x01" + bytes(64))]),
        None,
    ),
}


@pytest.mark.parametrize("what", EVIL)
def test_the_old_program_stays_when_the_release_holds(house: House, what: str) -> None:
    data, sums = EVIL[what]
    house.releases.release(251, data, None if sums is None else sums.format(name=house.releases.name))
    found = house.act("upgrade", "llama-swap")
    assert (found["state"], house.binary.read_bytes()) == ("failed", program("v250"))
    assert [path.name for path in house.binary.parent.iterdir()] == ["llama-swap"]
    assert house.services.changes() == []


def test_a_program_that_stops_working_in_its_place_is_put_back(house: House) -> None:
    picky = b"#!/bin/sh\ncase $0 in */opt/llama-swap) exit 1;; esac\n" + program("v251").split(b"\n", 1)[1]
    house.releases.release(251, archive([(member("llama-swap"), picky)]))
    found = house.act("upgrade", "llama-swap")
    assert (found["state"], "the old one is back" in found["message"]) == ("failed", True)
    assert house.binary.read_bytes() == program("v250")
    assert os.access(house.binary, os.X_OK)


def test_where_the_right_is_missing_the_admins_command_is_told(house: House) -> None:
    house.services.save(docker=False)
    with pytest.raises(Refused) as refused:
        house.act("restart", "manifest")
    assert refused.value.status == 409
    assert refused.value.way is not None
    assert str(refused.value.way.command).startswith("sudo docker compose")
    assert house.services.changes() == []


def test_a_second_action_on_a_service_has_to_wait(house: House) -> None:
    with pytest.raises(Refused) as refused:
        house.during(("restart", "manifest"), ("restart", "llama-swap"), ("restart", "manifest"))
    assert refused.value.status == 429
    assert len(house.services.changes()) == 2


@pytest.mark.parametrize("token", [None, "", "x", "\xe9"])
@pytest.mark.parametrize(
    "path", [("restart", "llama-swap"), ("upgrade", "manifest"), ("restart", "brainrouter")]
)
def test_no_action_without_the_token_of_the_page(
    standing: Standing, path: tuple[str, str], token: str | None
) -> None:
    assert standing.act(*path, token).status == 403


@pytest.mark.parametrize(
    "service", ["postgres", "toolbox", "llama-swap.service", "--user", "a%20b", "..", "x;reboot", "$(reboot)"]
)
def test_the_list_of_services_is_closed(standing: Standing, service: str) -> None:
    assert standing.act("restart", service, standing.token).status == 404


def test_with_the_token_of_the_page_it_is_done(standing: Standing) -> None:
    assert standing.result(standing.act("restart", "llama-swap", standing.token))["state"] == "done"
    assert standing.house.services.calls("systemctl", "--user", "restart")


def test_the_unix_socket_needs_no_token(standing: Standing) -> None:
    assert standing.result(standing.act("upgrade", "manifest", unix=True))["state"] == "done"


def test_a_brainrouter_that_was_started_by_hand_starts_itself_again(tmp_path: Path) -> None:
    with Daemon(env={"PATH": str(tmp_path)}) as daemon:
        started, child = daemon.health()["started"], daemon.child
        assert child is not None
        assert daemon.send("POST", "/api/restart/brainrouter", {}, unix=True).status == 202

        def back() -> bool:
            try:
                daemon.port = int(daemon.socket_path.with_suffix(".port").read_text())
                return daemon.health()["started"] != started
            except (OSError, ValueError):
                return False

        eventually(back, 20)
        assert child.poll() is None  # the same process, for whoever watches it
