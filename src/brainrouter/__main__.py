"""`python -m brainrouter`: the command line, where no script was installed."""

from brainrouter.edge.cli.main import main

main(prog_name="brainrouter")
