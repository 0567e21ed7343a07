"""``python -m headrace`` is the command line too."""

from headrace.cli import main

main(prog_name="headrace")
