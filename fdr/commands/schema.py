"""Print the JSON Schema of the scenario format."""

from __future__ import annotations

import json

from fdr.scenario import load


def schema() -> None:
    """Print the JSON Schema of the scenario format, for editors."""
    print(json.dumps(load.schema(), indent=2))
