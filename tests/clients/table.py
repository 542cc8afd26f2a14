"""docs/clients.md: what the last run of the real clients saw."""

from __future__ import annotations

from tests.clients import install
from tests.clients.roster import CLIENTS
from tests.daemon import ROOT

PAGE = ROOT / "docs" / "clients.md"
COLUMNS = ("local", "cloud", "as installed", "run", "review tool offered", "files after uninstall")
HEAD = """# The real clients

Written by `make test-clients`; do not edit. Each client is installed from its package in the version given here, gets a
home of its own, is set up by `brainrouter install`, and then does a two-turn tool loop through the running daemon: its own
tool really writes the file. The models are scripted; everything between them and the client's tool is real.

- **local**: an empty home, the model `local`, answered by llama-swap.
- **cloud**: a home with a lived-in configuration, the model `cloud`, answered by Manifest in the client's own protocol.
- **as installed**: an empty home and no model named: what `brainrouter install` has set.
- **run**: nothing is installed; `brainrouter run` points the client here for one run and leaves its files alone.
- **review tool offered**: the client's request names the MCP tool `request_review`.
- **files after uninstall**: compared with the files before. A file that the client itself has written to in between
  keeps what the client wrote; ours is gone from it.

Droid in its one-shot form waits for no MCP server; `droid exec --add-tools MCP:brainrouter` does, and is what is run here.

"""


class Table:
    """Cells by client and column."""

    def __init__(self) -> None:
        self.cells: dict[tuple[str, str], set[str]] = {}
        self.notes: list[str] = []

    def set(self, client: str, column: str, text: str) -> None:
        """Say something in a cell; several words about one are kept."""
        self.cells.setdefault((client, column), set()).add(text)

    def text(self) -> str:
        """The page."""
        rows = [["client", "version", "protocol", *COLUMNS], ["---"] * (3 + len(COLUMNS))]
        for client in CLIENTS:
            cells = [_joined(self.cells.get((client.name, column), {"not run"})) for column in COLUMNS]
            rows.append([client.title, install.version(client.name), client.protocol, *cells])
        lines = "".join(f"| {' | '.join(row)} |\n" for row in rows)
        return HEAD + lines + "".join(f"\n{note}\n" for note in self.notes)

    def write(self) -> None:
        """Write the page, if the whole of it was run."""
        wanted = {(client.name, column) for client in CLIENTS for column in COLUMNS}
        if wanted <= self.cells.keys():
            PAGE.write_text(self.text(), encoding="utf-8")


def _joined(words: set[str]) -> str:
    """The words of a cell, what holds for all files first."""
    return "; ".join(sorted(words, key=lambda word: (word.startswith("`"), word)))
