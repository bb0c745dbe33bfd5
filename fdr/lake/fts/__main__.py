"""``python -m fdr.lake.fts CONFIG.json`` serves the stand-in."""

from fdr.lake.fts.serve import main

main()
