"""A shared machine from the first run to the last, in the order of the file. Every test goes on where the last one stopped."""

from __future__ import annotations

import json
import re
import subprocess

import pytest

from tests.deploy.machine.bare import ROOT
from tests.deploy.machine.images import load_images
from tests.deploy.machine.machine import Machine
from tests.deploy.machine.publisher import MODEL_NAME, NEWEST_CPU, Publisher
from tests.deploy.machine.straight import Straight, straight_state
from tests.deploy.machine.transcript import Transcript

pytestmark = pytest.mark.deploy


def test_one_run_installs_everything(
    shared: Machine, publisher: Publisher, transcript: Transcript, options: str, straight: Straight
):
    load_images(shared, "6.18.0")
    publisher.breaks = [500_000] * 3
    first = shared.run(f"bash /checkout/install.sh {options}", quiet=True)
    assert first.code != 0
    assert 'The step "model" failed' in first.output, first.output
    transcript.chapter(
        "Installed",
        "The publisher of the model breaks off again and again, and at last for good. The second run goes on from there.",
    )
    transcript.said("bash install.sh", first.output)
    second = shared.ok(f"bash /checkout/install.sh {options}")
    transcript.said("bash install.sh", second)
    ranges = [asked for _, path, asked in publisher.asked if path.endswith(MODEL_NAME) and asked]
    assert ranges == [f"bytes={start}-" for start in range(500_000, 2_000_000, 500_000)]
    assert "2. sudoedit /etc/brainrouter/env" in second
    straight.state = straight_state(shared)


def test_everybody_has_a_daemon_of_their_own(shared: Machine, transcript: Transcript):
    transcript.chapter("In use")
    ports = {
        name: shared.ok(f"cat /run/user/$(id -u {name})/brainrouter.port").strip() for name in ("ann", "ben")
    }
    assert len(set(ports.values())) == 2
    for name, port in ports.items():
        health = json.loads(shared.ok(f"curl --fail --silent http://127.0.0.1:{port}/health"))
        assert health["status"] == "ok"
        assert health["config_files"] == [
            "/etc/brainrouter/brainrouter.yaml",
            f"/home/{name}/.config/brainrouter/brainrouter.yaml",
        ]
        assert health["cloud"]["key"].startswith("missing")
        variables = shared.ok("env", user=name)
        assert f"ANTHROPIC_BASE_URL=http://127.0.0.1:{port}\n" in variables
    said = shared.ok(
        "systemctl --user show --property=NoNewPrivileges,RestrictNamespaces,UMask brainrouter", user="ann"
    )
    assert "NoNewPrivileges=yes" in said
    said = shared.run("brainrouter doctor", user="ann", quiet=True).output
    transcript.said("runuser --login ann -c 'brainrouter doctor'", said)
    assert "brainrouter 0.1.0 answers" in said
    assert "needs" in said or "not set up yet" in said


def test_the_classifier_works_inside_the_sandbox(shared: Machine):
    shared.ok(
        "for try in $(seq 300); do curl -s localhost:$(cat /run/user/1000/brainrouter.port)/health "
        '| grep -q \'"state":"loading"\' || exit 0; sleep 1; done; exit 1'
    )
    health = json.loads(shared.ok("curl -s localhost:$(cat /run/user/1000/brainrouter.port)/health"))
    assert "failed" not in health["classifier"]["detail"], health["classifier"]


def test_manifest_and_llama_swap_answer_on_the_loopback_only(shared: Machine, transcript: Transcript):
    shared.ok(
        "for try in $(seq 120); do curl -sf localhost:3001/api/v1/health && curl -sf localhost:8081/health && exit 0; "
        "sleep 1; done; docker ps -a; journalctl -u manifest -u llama-swap; exit 1"
    )
    said = shared.ok("docker ps --format '{{.Names}}  {{.Image}}  {{.Ports}}' | sort")
    transcript.said("docker ps", said)
    assert set(re.findall(r"(\S+)->", said)) == {"127.0.0.1:3001", "127.0.0.1:8081"}
    assert f"ghcr.io/mostlygeek/llama-swap:{NEWEST_CPU}" in said


def test_the_units_and_the_compose_files_are_valid(shared: Machine, transcript: Transcript):
    assert shared.ok("systemd-analyze verify --man=no manifest.service llama-swap.service") == ""
    assert shared.ok("systemd-analyze --user verify --man=no brainrouter.service", user="ann") == ""
    exposed = shared.ok(
        "systemd-analyze security --no-pager --threshold=20 manifest.service llama-swap.service | grep Overall"
    )
    exposed += shared.ok(
        "systemd-analyze --user security --no-pager --threshold=70 brainrouter.service | grep Overall",
        user="ann",
    )
    transcript.said("systemd-analyze security", exposed)
    for folder in ("/opt/ai/manifest", "/opt/ai/llama-swap"):
        shared.ok(f"cd {folder} && docker-compose config --quiet")
    source = ROOT / "tests" / "deploy" / "machine" / "compose_check"
    subprocess.run(["go", "build", "-o", str(shared.docker / "compose-check"), "."], cwd=source, check=True)
    for flavour in ("cpu", "vulkan", "cuda"):
        shared.ok(
            "rm -rf /tmp/try && cp -r /opt/ai/llama-swap /tmp/try && sed -i 's|/opt/ai/llama-swap|/tmp/try|g' /tmp/try/.env && "
            f"cp /checkout/deploy/compose/llama-swap/gpu-{flavour}.yaml /tmp/try/gpu.yaml && "
            "/var/lib/docker/compose-check /tmp/try /opt/ai/llama-swap /opt/ai/manifest"
        )
    (shared.docker / "compose-check").unlink()


def test_who_may_do_what(shared: Machine, transcript: Transcript):
    shared.ok("useradd --create-home --shell /usr/sbin/nologin --system stranger")
    table: list[str] = []
    for user in ("ann", "stranger"):
        for words in (
            "restart llama-swap.service", "restart manifest.service", "start manifest.service", "stop manifest.service",
            "restart docker.service", "restart user@1001.service",
        ):  # fmt: skip
            done = shared.run(f"runuser -u {user} -- systemctl --no-ask-password {words}", quiet=True)
            may = user == "ann" and words.split()[1] in ("llama-swap.service", "manifest.service")
            may = may and not words.startswith("stop")
            assert (done.code == 0) == may, (user, words, done.output)
            table.append(f"{user:10}{words:30}{'yes' if may else 'no'}")
    for path, user, may in (
        ("/etc/brainrouter/env", "ann", True),
        ("/etc/brainrouter/env", "stranger", False),
        ("/opt/ai/manifest/.env", "ann", False),
        (f"/opt/models/bonsai/{MODEL_NAME}", "ann", True),
        (f"/opt/models/bonsai/{MODEL_NAME}", "stranger", False),
    ):
        done = shared.run(f"runuser -u {user} -- head -c 1 {path} >/dev/null", quiet=True)
        assert (done.code == 0) == may, (user, path, done.output)
        table.append(f"{user:10}{'read ' + path:30} {'yes' if may else 'no'}")
    transcript.said("(what polkit and the file modes let people do)", "\n".join(table) + "\n")
    shared.ok("userdel --remove stranger 2>/dev/null || true; ! id stranger 2>/dev/null")


def test_the_restart_button_works_for_a_person_without_root(shared: Machine, transcript: Transcript):
    socket = "--unix-socket /run/user/1000/brainrouter.sock"
    begun = shared.ok(f"curl -s {socket} -X POST http://localhost/api/restart/llama-swap", user="ann")
    transcript.said(
        "runuser --login ann -c 'curl ... -X POST http://localhost/api/restart/llama-swap'", begun + "\n"
    )
    said = shared.ok(
        f"for try in $(seq 100); do curl -s {socket} http://localhost/api/operations | grep -q running || break; "
        f"sleep 0.2; done; curl -s {socket} http://localhost/api/operations",
        user="ann",
    )
    assert "llama-swap was restarted" in said
    shared.ok("for try in $(seq 60); do curl -sf localhost:8081/health && exit 0; sleep 1; done; exit 1")


def test_a_second_run_changes_nothing(shared: Machine, transcript: Transcript, options: str):
    before = straight_state(shared)
    said = shared.ok(f"bash /checkout/install.sh {options}")
    assert " done " not in said
    assert shared.run(f"bash /checkout/install.sh {options} --check").code == 0
    assert straight_state(shared) == before
    transcript.chapter("A second run")
    transcript.said("bash install.sh", said)


def test_somebody_who_comes_later(shared: Machine, transcript: Transcript, options: str):
    shared.ok("useradd --create-home --shell /bin/bash cid")
    assert shared.run(f"bash /checkout/install.sh {options} --check").code == 1
    said = shared.ok(f"bash /checkout/install.sh {options}")
    transcript.chapter("Somebody comes later")
    transcript.said("useradd --create-home --shell /bin/bash cid; bash install.sh", said)
    assert "aistack" in shared.ok("id -nG cid")
    port = shared.ok("cat /run/user/$(id -u cid)/brainrouter.port").strip()
    assert '"status":"ok"' in shared.ok(f"curl -s http://127.0.0.1:{port}/health")


def test_a_new_key_reaches_the_daemons_by_another_run(shared: Machine, options: str):
    shared.ok("sleep 1; sed -i s/mnfst_REPLACE_WITH_YOUR_KEY/mnfst_a_key_of_a_test/ /etc/brainrouter/env")
    shared.ok(f"bash /checkout/install.sh {options}")
    health = json.loads(shared.ok("curl -s localhost:$(cat /run/user/1000/brainrouter.port)/health"))
    assert health["cloud"]["key"].startswith("from ")


def test_after_a_restart_of_the_machine_everything_runs_before_anybody_logs_in(
    shared: Machine, transcript: Transcript
):
    shared.off()
    shared.boot()
    said = shared.ok(
        "for try in $(seq 120); do "
        "[ $(ls /run/user/100[012]/brainrouter.port 2>/dev/null | wc -l) = 3 ] && curl -sf localhost:3001/api/v1/health "
        "&& curl -sf localhost:8081/health && exit 0; sleep 1; done; systemctl --failed; exit 1"
    )
    assert "healthy" in said
    transcript.chapter("After a restart of the machine, before anybody logs in")
    transcript.said(
        "systemctl list-units",
        shared.ok("systemctl list-units --no-legend manifest.service llama-swap.service user@*.service"),
    )


def test_a_person_sets_up_a_harness_with_the_same_script(shared: Machine, transcript: Transcript):
    said = shared.ok("brainrouter-user-setup --yes", user="ann")
    assert "omp is set up" in said
    assert "brainrouter" in shared.ok("cat .omp/agent/models.yml", user="ann")
    transcript.chapter("A person sets up the harnesses")
    transcript.said("runuser --login ann -c 'brainrouter-user-setup --yes'", said)


def test_uninstalled_without_its_data(shared: Machine, transcript: Transcript):
    shared.ok(
        "echo 'decision: {knob: 0.2}' >>.config/brainrouter/brainrouter.yaml; mkdir -p work; echo mine >work/file",
        user="ben",
    )
    shared.ok("echo mine >/opt/models/another.gguf")
    said = shared.ok("bash /checkout/deploy/uninstall.sh")
    transcript.chapter("Taken back, without a terminal to ask on: the data stays")
    transcript.said("bash deploy/uninstall.sh", said)
    left = sorted(shared.changed())
    transcript.said("(every path that is otherwise than before)", "\n".join(left) + "\n")
    folders = {
        "opt/ai",
        "opt/ai/manifest",
        "opt/models",
        "opt/models/bonsai",
        "etc/brainrouter",
        "var/lib/ai-stack",
    }
    data = {
        "opt/ai/manifest/.env", "opt/ai/manifest/compose.yaml", f"opt/models/bonsai/{MODEL_NAME}", "opt/models/another.gguf",
        "etc/brainrouter/env", "var/lib/ai-stack/made",
    }  # fmt: skip
    machine_wide = {path for path in left if not path.startswith("home/")}
    accounts = {"etc/passwd", "etc/group", "etc/shadow", "etc/gshadow", "etc/subuid", "etc/subgid", "etc"}
    assert machine_wide - accounts == folders | data
    assert shared.run("systemctl cat brainrouter.service", user="ben", quiet=True).code != 0
    assert "knob" in shared.ok("cat .config/brainrouter/brainrouter.yaml", user="ben")
    assert "database" in shared.ok("docker volume ls")


def test_uninstalled_with_its_data_nothing_is_left_but_what_people_made(
    shared: Machine, transcript: Transcript
):
    said = shared.ok("bash /checkout/deploy/uninstall.sh --data yes")
    transcript.chapter("Taken back, with the data")
    transcript.said("bash deploy/uninstall.sh --data yes", said)
    shared.ok("rm /opt/models/another.gguf; rmdir /opt/models; userdel --remove cid")
    shared.ok("rm -r work", user="ben")
    left = shared.changed()
    transcript.said(
        "(every path that is otherwise than before, less what the people made)", "\n".join(left) + "\n"
    )
    assert left == {}
    assert shared.ok("docker ps --all --quiet; docker volume ls --quiet; docker image ls --quiet") == ""
    assert shared.run("getent group aistack", quiet=True).code != 0


def test_one_person_alone_without_root(shared: Machine, transcript: Transcript):
    transcript.chapter("For one person, without root")
    shared.ok("loginctl enable-linger ann")
    # Who logs in has nothing of this rig's environment; npm needs to know whom to trust here.
    deploy = "NODE_EXTRA_CA_CERTS=/host-ca.pem bash /checkout/deploy/deploy.sh"
    said = shared.ok(deploy, user="ann")
    transcript.said("deploy/deploy.sh", said)
    assert " done " not in shared.ok(deploy, user="ann")
    port = shared.ok("cat /run/user/1000/brainrouter.port").strip()
    assert '"status":"ok"' in shared.ok(f"curl -s http://127.0.0.1:{port}/health")
    transcript.said(
        "deploy/uninstall.sh --data yes",
        shared.ok("bash /checkout/deploy/uninstall.sh --data yes", user="ann"),
    )
    shared.ok("loginctl disable-linger ann")
    assert shared.changed() == {}
