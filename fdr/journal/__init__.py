"""The record of a run: one SQLite file, one writer, many readers."""
