"""What was typed on the machines and what they said, as a page that can be read: docs/deploy-transcript.md."""

from __future__ import annotations

import re

from tests.deploy.machine.bare import CACHE, ROOT

PAGE = ROOT / "docs" / "deploy-transcript.md"
HEAD = """# What the scripts did on a machine

Written by `make deploy-test`, which fails where something here is not as it should be. The machines are a bare {system} of
their own, with systemd as its first process, in namespaces on an overlay: systemd, logind, polkit, apt, the Docker engine,
Podman, toolbox, dnf, users and permissions are the real ones, and so are bun, omp, pip and npm. Not the real ones: the
insides of the images (the registries cannot be reached where this runs; under the names of the three services and of the
toolbox there are stand-ins, under python's a Debian with a Python 3.13), the addresses that bun's release, the
classifier's model and the list of llama-swap's tags are read from (a server on the loopback, with the real bun in it), the
model (6 MB of noise), and Fedora.
"""


class Transcript:
    """`chapter` and `said` in the order of the tests; `write` when all went well. Until then: .cache/deploy."""

    def __init__(self, system: str) -> None:
        self._parts = [HEAD.format(system=system)]

    def chapter(self, title: str, text: str = "") -> None:
        self._parts.append(f"\n## {title}\n" + (f"\n{text}\n" if text else ""))

    def said(self, command: str, output: str) -> None:
        self._parts.append(f"\n```console\n# {command}\n{readable(output)}```\n")
        (CACHE / PAGE.name).write_text("".join(self._parts), encoding="utf-8")

    def write(self) -> None:
        PAGE.write_text("".join(self._parts), encoding="utf-8")


def readable(output: str) -> str:
    """Without what differs every time and what says nothing: terminal codes, apt's and dpkg's flood, made-up ports."""
    output = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", output).replace("\r", "\n")
    output = re.sub(r"10\.0\.2\.2:\d+", "publisher", output)
    output = re.sub(r"/usr/local/lib/brainrouter/[0-9a-f]{12}", "/usr/local/lib/brainrouter/KEY", output)
    noise = re.compile(
        r"^(Get:|Hit:|Fetched|Reading|Building|Selecting|Preparing|Unpacking|Setting up|Processing|Created symlink|"
        r"\(Reading|debconf|Need to get|After this|Extracting|update-alternatives|Adding (group|user)|Creating |"
        r"Updating certificates|\d+ added|Running hooks|done\.$|  [a-z][a-z0-9.+-]*( [a-z0-9.+-]+|$| \|)|The following|No schema|Could not execute systemctl|Done\.$|Suggested|Recommended|invoke-rc.d)"
    )
    apt = "Reading package lists" in output
    kept = [line.rstrip() for line in output.splitlines() if not (apt and noise.match(line))]
    text = re.sub(r"\n{3,}", "\n\n", "\n".join(kept)).strip("\n")
    return f"{text}\n" if text else ""
