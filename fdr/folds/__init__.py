"""Folds of a journal's events into numbers: one file a sort of thing counted."""
