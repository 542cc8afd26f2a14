"""configs/harness: what `install` writes into empty files. `python -m tests.harness.examples` writes them anew."""

from __future__ import annotations

from pathlib import PurePosixPath

from brainrouter.harness.catalogue import HARNESSES
from brainrouter.harness.claude import variables
from brainrouter.harness.shell_rc import SHELLS, rc_document
from brainrouter.harness.target import Target
from brainrouter.harness.workflow import review_block
from tests.sim.handle import ROOT

FOLDER = ROOT / "configs" / "harness"
ENV = {"HOME": "/home/you"}
SOCKET = "/run/user/1000/brainrouter.sock"
TARGET = Target("http://127.0.0.1:9099", "/usr/local/bin/brainrouter", SOCKET, 200_000, 65_536, 200_000)
README = """# What `brainrouter install` writes

Generated from the code that writes your files (`python -m tests.harness.examples`); a test holds them equal. `install` puts
the same keys into the files you have, with your own program path, socket, port and windows. Where each file goes:

"""


def examples() -> dict[str, str]:
    """Every example by its path below configs/harness."""
    made: dict[str, str] = {}
    places: list[str] = []
    for name, harness in sorted(HARNESSES.items()):
        for document in harness.documents(TARGET, ENV):
            made[f"{name}/{PurePosixPath(document.path).name}"] = document.install("")
            places.append(_row(name, document.path, "always"))
        instructions = f"{harness.folder(ENV)}/{harness.instructions}"
        made[f"{name}/{harness.instructions}"] = review_block(harness.review_tool).text
        places.append(_row(name, instructions, "with `--workflow`"))
    for shell in SHELLS.values():
        document = rc_document(shell, ENV, variables(TARGET), SOCKET.replace(".sock", ".port"))
        made[f"claude/{PurePosixPath(document.path).name.lstrip('.')}"] = document.install("")
        places.append(_row("claude", document.path, "with `--shell-rc`, in place of settings.json"))
    made["README.md"] = README + "| harness | file | written |\n| --- | --- | --- |\n" + "".join(places)
    return made


def _row(name: str, path: str, when: str) -> str:
    return f"| {HARNESSES[name].title} | `{path.replace('/home/you', '~')}` | {when} |\n"


def main() -> None:
    """Write them."""
    for name, text in examples().items():
        path = FOLDER / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
