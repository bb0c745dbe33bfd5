"""``python -m fdr`` is the command line."""

from fdr.cli import main

main()
