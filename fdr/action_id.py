"""The id of an action: which experiment, which kind, and its number within both. Pure."""

from __future__ import annotations

from fdr.model import Kind

# 15 bits of experiment, 4 of kind and 44 of number: 63 in all, so that it fits SQLite's integers.
EXPERIMENT_SHIFT, KIND_SHIFT = 48, 44
NUMBER_MASK = (1 << KIND_SHIFT) - 1
KINDS = (Kind.DATASET, Kind.RULE, Kind.UPLOAD, Kind.CLOSE)  # in the order of a dataset's life
MOST_EXPERIMENTS = 1 << (63 - EXPERIMENT_SHIFT)


def group_and_number(action: int) -> tuple[int, int]:
    """Return the group of an id (its experiment and kind) and its number there, which counts from 0."""
    return action >> KIND_SHIFT, action & NUMBER_MASK


def kind_of(group: int) -> Kind:
    """Return the kind of the actions of a group."""
    return KINDS[group & ((1 << (EXPERIMENT_SHIFT - KIND_SHIFT)) - 1)]
