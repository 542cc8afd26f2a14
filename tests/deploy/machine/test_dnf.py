"""The packages of Fedora, by the real dnf and rpm: they run on a Debian that says it is Fedora, and what they install is empty."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.deploy.machine.bare import base
from tests.deploy.machine.machine import Machine
from tests.deploy.machine.transcript import Transcript

pytestmark = pytest.mark.deploy
# What install.sh asks for on a Fedora; test_scripts holds it to that.
WANTED = [
    "git",
    "golang",
    "toolbox",
    "vulkan-headers",
    "vulkan-loader-devel",
    "mesa-vulkan-drivers",
    "python3",
    "libgomp",
    "curl",
    "ca-certificates",
    "unzip",
    "polkit",
    "moby-engine",
    "docker-compose",
]
NEEDS = {"git": "git-core", "tig": "git"}
REPOSITORY = "[here]\nname=here\nbaseurl=file:///opt/packages\ngpgcheck=0\n"


def spec() -> str:
    """One source for a package of every name."""
    head = "Name: all\nVersion: 1\nRelease: 1\nSummary: all\nLicense: none\nBuildArch: noarch\n%description\nall\n"
    for name in (*WANTED, "git-core", "tig"):
        needs = f"Requires: {NEEDS[name]}\n" if name in NEEDS else ""
        head += (
            f"%package -n {name}\nSummary: {name}\n{needs}%description -n {name}\n{name}\n%files -n {name}\n"
        )
    return head


@pytest.fixture(scope="module")
def fedora() -> Iterator[Machine]:
    with Machine("fedora", [base()]) as made:
        made.ok(
            "apt-get update -q && apt-get install -y -q --no-install-recommends dnf rpm createrepo-c && apt-get clean"
        )
        (made.root / "opt" / "all.spec").write_text(spec(), encoding="utf-8")
        made.ok("rpmbuild --quiet -bb --define '_rpmdir /opt/packages' /opt/all.spec")
        made.ok("createrepo_c --quiet /opt/packages && mkdir -p /etc/yum.repos.d")
        (made.root / "etc" / "yum.repos.d" / "here.repo").write_text(REPOSITORY, encoding="utf-8")
        made.ok("rm /etc/os-release && printf 'ID=fedora\\nVERSION_ID=42\\n' >/etc/os-release")
        made.ok("useradd --create-home --shell /bin/bash ann")
        yield made


def test_dnf_installs_what_is_missing_and_another_run_finds_it(
    fedora: Machine, options: str, transcript: Transcript
):
    fedora.ok("dnf install -y --quiet unzip")
    said = fedora.ok(f"bash /checkout/install.sh {options} --only packages")
    transcript.chapter(
        "Fedora's packages, by the real dnf",
        "A Debian that says it is Fedora, and packages with nothing in them: what is held is how dnf is spoken to.",
    )
    transcript.said("bash install.sh --only packages", said)
    assert set(WANTED) <= set(fedora.ok("rpm -qa --queryformat '%{name}\\n'").split())
    assert " done " not in fedora.ok(f"bash /checkout/install.sh {options} --only packages")


def test_dnf_takes_back_what_was_added_but_for_what_something_else_needs(
    fedora: Machine, transcript: Transcript
):
    fedora.ok("dnf install -y --quiet tig")
    said = fedora.ok("bash /checkout/deploy/uninstall.sh --data yes --packages")
    transcript.said("bash deploy/uninstall.sh --data yes --packages", said)
    assert "these packages stay, since something else here needs or recommends them: git\n" in said
    assert sorted(fedora.ok("rpm -qa --queryformat '%{name}\\n'").split()) == [
        "git",
        "git-core",
        "tig",
        "unzip",
    ]
    fedora.ok("dnf remove -y --quiet tig")
    assert fedora.ok("rpm -qa --queryformat '%{name}\\n'").split() == ["unzip"]
