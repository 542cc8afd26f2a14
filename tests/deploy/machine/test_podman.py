"""A machine with Podman in place of Docker, whose ledger knows every package, from apt to the last of it. In the order of the file."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.deploy.machine import podman_room
from tests.deploy.machine.bare import ROOT, base
from tests.deploy.machine.conftest import PEOPLE
from tests.deploy.machine.images import load_images
from tests.deploy.machine.machine import Done, Machine
from tests.deploy.machine.test_interrupted import BEGIN
from tests.deploy.machine.transcript import Transcript

pytestmark = pytest.mark.deploy
LEFT_OUT = "--engine podman --skip bun,omp"
INSTALLED = "dpkg-query -W -f '${db:Status-Abbrev} ${binary:Package}\\n' | sort"

# Accounts, and what Debian's own packages leave when they are purged: podman its networks' locks, others folders.
LEFT_BY_DEBIAN = re.compile(
    r"etc/((passwd|group|shadow|gshadow|subuid|subgid|xml)$|cni\b|containers/networks\b)|usr/share/polkit-1/rules\.d$"
)


@pytest.fixture(scope="module")
def machine() -> Iterator[Machine]:
    with Machine("podman", [base()]) as made:
        for name in PEOPLE:
            made.ok(f"useradd --create-home --shell /bin/bash {name}")
        podman_room.make_room(made)
        made.ok(f"{INSTALLED} >/var/tmp/packages-before")
        made.mark()
        yield made


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("wheel")
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(place)]
    subprocess.run(build, cwd=ROOT, check=True)
    (made,) = place.glob("*.whl")
    return made


def test_apt_killed_in_the_middle_of_dpkg_is_resumed(machine: Machine, options: str, transcript: Transcript):
    install = f"{options} {LEFT_OUT} --only packages"
    said = machine.run(
        BEGIN.format(install)
        + "for try in $(seq 3000); do grep -q '^Unpacking git ' /tmp/killed.log && break; sleep 0.1; done; "
        "kill -KILL -- -$(cat /tmp/killed.pid); for name in /proc/[0-9]*/comm; do case $(cat $name 2>/dev/null) in "
        "apt-get | dpkg | dpkg-deb) kill -KILL ${name//[^0-9]/} ;; esac; done; sleep 1; dpkg --audit",
        quiet=True,
    )
    assert "must be configured" in said.output or "only half" in said.output, said
    machine.ok(f"bash /checkout/install.sh {install}")
    podman_room.after_boot(machine)
    machine.ok(
        "git --version && go version && podman --version && docker-compose version && toolbox --version"
    )
    transcript.chapter(
        "A machine with Podman, whose apt was killed in the middle of dpkg",
        "The second run of `install.sh --engine podman --only packages` finished what dpkg had begun, and the rest.",
    )


def test_manifest_and_llama_swap_run_under_podman(
    machine: Machine, options: str, wheel: Path, transcript: Transcript
):
    load_images(machine, "6.18.0", "podman")
    (machine.docker / wheel.name).write_bytes(wheel.read_bytes())
    said = machine.ok(f"bash /checkout/install.sh {options} {LEFT_OUT} --wheel /var/lib/docker/{wheel.name}")
    transcript.said("bash install.sh --engine podman --skip bun,omp --wheel ...", said)
    assert "healthy" in machine.ok("curl -sf localhost:3001/api/v1/health && curl -sf localhost:8081/health")
    said = machine.ok("podman ps --format '{{.Names}}  {{.Image}}  {{.Ports}}' | sort")
    transcript.said("podman ps", said)
    assert set(re.findall(r"(\S+)->", said)) == {"127.0.0.1:3001", "127.0.0.1:8081"}
    assert machine.ok("systemd-analyze verify --man=no manifest.service llama-swap.service") == ""


def test_the_engine_is_remembered(machine: Machine, options: str, wheel: Path):
    again = f"bash /checkout/install.sh {options} --skip bun,omp --wheel /var/lib/docker/{wheel.name} --check"
    assert machine.run(again).code == 0


def test_a_service_that_does_not_stay_up_fails_its_step_with_what_it_said(machine: Machine, options: str):
    machine.ok(
        "cp /opt/ai/llama-swap/.env /var/tmp/env && sed -i 's/^LLAMA_SWAP_TAG=.*/LLAMA_SWAP_TAG=none/' /opt/ai/llama-swap/.env"
    )
    machine.ok("systemctl stop llama-swap")
    done = machine.run(f"bash /checkout/install.sh {options} --only llama_swap", quiet=True)
    assert done.code == 1, done.output
    assert "llama-swap.service does not stay up" in done.output
    assert 'The step "llama_swap" failed' in done.output
    machine.ok("cat /var/tmp/env >/opt/ai/llama-swap/.env && rm /var/tmp/env")
    machine.ok(f"bash /checkout/install.sh {options} --only llama_swap && curl -sf localhost:8081/health")


def with_another_manifest(machine: Machine, options: str, entry: str) -> Done:
    """What install.sh says and does where Manifest's image begins with this."""
    name = "docker.io/manifestdotbuild/manifest"
    words = json.dumps(["/bin/sh", "-c", entry])
    machine.ok("systemctl stop manifest && cp /opt/ai/manifest/.env /var/tmp/env")
    machine.ok(f"podman commit --change 'ENTRYPOINT {words}' ai-stack-manifest_manifest_1 {name}:other")
    machine.ok("sed -i 's/^MANIFEST_VERSION=.*/MANIFEST_VERSION=other/' /opt/ai/manifest/.env")
    done = machine.run(f"bash /checkout/install.sh {options} --only manifest", quiet=True)
    machine.ok("systemctl stop manifest && cat /var/tmp/env >/opt/ai/manifest/.env && rm /var/tmp/env")
    machine.ok(f"bash /checkout/install.sh {options} --only manifest && podman rmi {name}:other")
    return done


def test_a_slow_service_is_waited_for_and_the_wait_is_shown(machine: Machine, options: str):
    done = with_another_manifest(machine, options, "echo the tables are made; sleep 20; exec /bin/sh /entry")
    assert done.code == 0, done.output
    assert "manifest.service does not answer yet" in done.output
    assert "done  manifest" in done.output


def test_a_container_that_ends_fails_its_step_though_the_unit_stays(machine: Machine, options: str):
    done = with_another_manifest(machine, options, "echo no database here; exit 3")
    assert done.code == 1, done.output
    assert "manifest.service does not stay up: a container of it ended" in done.output
    assert "no database here" in done.output
    assert "exited with code" in done.output


def test_podmans_services_run_after_a_restart_of_the_machine(machine: Machine):
    machine.off()
    machine.boot()
    podman_room.after_boot(machine)
    machine.ok(
        "for try in $(seq 120); do curl -sf localhost:3001/api/v1/health && curl -sf localhost:8081/health && exit 0; "
        "sleep 1; done; podman ps -a; journalctl -b -u manifest -u llama-swap; exit 1"
    )


def test_the_toolbox_is_made_and_its_llama_server_runs(
    machine: Machine, options: str, transcript: Transcript
):
    version = "LABEL org.opencontainers.image.version=2026-08-14"
    podman_room.load_for(machine, "ann", podman_room.toolbox_rootfs(), podman_room.TOOLBOX_IMAGE, version)
    said = machine.ok(f"bash /checkout/install.sh {options} --gpu amd --only toolbox")
    transcript.chapter(
        "An AMD machine's toolbox", "The image under its name is a stand-in, the toolbox is Debian's."
    )
    transcript.said("bash install.sh --gpu amd --only toolbox", said)
    said = machine.ok("llama-server-toolbox --port 1234", user="ann")
    assert "told: --port 1234" in said
    assert machine.run(f"bash /checkout/install.sh {options} --gpu amd --only toolbox --check").code == 0
    # The daemon looks through the drop-in that lifts its sandbox.
    versions = "curl -s --unix-socket /run/user/1000/brainrouter.sock http://localhost/api/versions"
    machine.ok(f"for try in $(seq 60); do {versions} | grep -q b4711 && exit 0; sleep 1; done; exit 1")
    found = json.loads(machine.ok(versions))
    assert found["components"]["llama-cpp"]["installed"] == "b4711", found
    assert found["upgrades"]["toolbox"]["allowed"], found


def test_the_container_image_is_built_and_answers(machine: Machine, transcript: Transcript):
    storage = podman_room.storage_of_its_own(machine, "ben")
    podman_room.load_for(
        machine, "ben", podman_room.python_rootfs(), podman_room.PYTHON_IMAGE, *podman_room.python_env()
    )
    said = machine.ok(
        "cp -r /checkout brainrouter && cd brainrouter && podman build -t brainrouter .", user="ben"
    )
    assert "Successfully tagged localhost/brainrouter" in said
    transcript.chapter(
        "The container image",
        "Built and run by a person without root; python's image is a Debian with a 3.13.",
    )
    transcript.said("podman build -t brainrouter .", "\n".join(said.splitlines()[-4:]) + "\n")
    run = "podman run --detach --name br --network host --userns keep-id:uid=1000,gid=1000 --volume brainrouter:/home/brainrouter brainrouter up --tcp-addr 127.0.0.1:9797"
    machine.ok(run, user="ben")
    chat = json.dumps(
        {"model": "local", "max_tokens": 8, "messages": [{"role": "user", "content": "Say hello."}]}
    )
    ask = f"curl -sf -H content-type:application/json -d '{chat}' http://127.0.0.1:9797/v1/chat/completions"
    said = machine.run(
        f"for try in $(seq 300); do {ask} && exit 0; sleep 1; done; podman logs br; exit 1", user="ben"
    )
    assert said.code == 0, said.output
    assert json.loads(said.output)["choices"][0]["message"]["content"]
    assert '"status":"ok"' in machine.ok("curl -sf http://127.0.0.1:9797/health", user="ben")
    machine.ok("podman rm --force --time 10 br && podman system reset --force", user="ben")
    machine.ok(
        f"umount {storage}; rm -rf /home/ben/brainrouter /home/ben/.local/share/containers /home/ben/.config/cni /home/ben/.config/containers "
        "/home/ben/.cache/containers && rmdir --ignore-fail-on-non-empty /home/ben/.cache"
    )


def test_uninstalled_with_its_packages_but_for_what_something_else_needs(
    machine: Machine, transcript: Transcript
):
    machine.ok("apt-get install -y -q --no-install-recommends tig")
    said = machine.ok("bash /checkout/deploy/uninstall.sh --data yes --packages")
    stay = re.search(r"these packages stay, since something else here needs or recommends them: (.*)", said)
    assert stay is not None
    # apt and systemd recommend the two, which a bare machine of debootstrap's does without.
    assert {"git"} <= set(stay.group(1).split()) <= {"git", "ca-certificates", "polkitd"}
    transcript.chapter(
        "Taken back with the packages that install.sh added", "Somebody had installed tig, which needs git."
    )
    transcript.said("bash deploy/uninstall.sh --data yes --packages", said)
    nothing_else = "-o APT::AutoRemove::SuggestsImportant=false -o APT::AutoRemove::RecommendsImportant=false"
    machine.ok(f"apt-get purge -y -q --auto-remove {nothing_else} tig ca-certificates polkitd")
    assert machine.ok(f"{INSTALLED} | diff /var/tmp/packages-before -") == ""
    # Her image was there before install.sh, so it stays, and her podman's storage around it; nothing else of hers does.
    kept = machine.ok("cat /home/ann/.local/share/containers/storage/*-images/images.json")
    assert podman_room.TOOLBOX_IMAGE in kept
    machine.ok("cd /home/ann && rm -rf .local/share/containers && rmdir .local/share .local")
    left = [path for path in machine.changed() if not LEFT_BY_DEBIAN.match(path)]
    assert left == [], "\n".join(left)
