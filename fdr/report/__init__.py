"""The report of a run: ``sections`` says what is told, one file each; a file a rendering says how."""
