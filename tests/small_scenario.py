"""A small valid scenario that tests change, and how they read what they made of it."""

import copy
import tempfile
from pathlib import Path
from typing import Any

from fdr.model import Scenario
from fdr.scenario.lines import write_document
from fdr.scenario.load import load_scenario

SCENARIOS = Path(__file__).parent.parent / "scenarios"

SMALL: dict[str, Any] = {
    "schema": "fdr/1",
    "name": "small",
    "duration": "100s",
    "seed": 7,
    "rses": {
        "A-ONE": {"quota": "1 GB", "watermark": "10 MB", "qos": "FAST", "attributes": {"country": "NL"}},
        "B-TWO": {"quota": "2 GB", "qos": "SAFE", "attributes": {"country": "NO", "tier": 1}},
        "C": {"qos": "SAFE", "attributes": {"country": "NL", "tier": 2}},
    },
    "experiments": {
        "CTA": {
            "account": "cta",
            "scope": "cta",
            "inject": {
                "files": 25,
                "size": {"uniform": {"min": "1 kB", "max": "9 kB"}},
                "dataset": {"files": 10},
                "to": "A-ONE|C",
                "arrivals": "poisson",
            },
            "rules": [
                {"to": {"qos": "SAFE"}, "when": "at-creation"},
                {"to": "country=NL", "copies": 2, "when": "dataset-closed"},
            ],
        },
        "SKA": {
            "account": "ska",
            "scope": "ska",
            "inject": {"files": 7, "size": 100, "dataset": {"files": 4}, "to": "B-TWO"},
        },
    },
    "objectives": ["upload.success >= 99%"],
}


def small(**changes: Any) -> dict[str, Any]:
    """Return the small scenario; ``a__b__c=value`` puts a value at a.b.c, DROP takes it away."""
    value = copy.deepcopy(SMALL)
    for path, new in changes.items():
        *parents, last = path.split("__")
        here = value
        for part in parents:
            here = here[part]
        if new is DROP:
            del here[last]
        else:
            here[last] = new
    return value


DROP = object()


def load_text(text: str | bytes, **changes: Any) -> Scenario:
    """Load a scenario from its text."""
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "day.yaml"
        path.write_bytes(text if isinstance(text, bytes) else text.encode("utf-8", "surrogatepass"))
        return load_scenario(path, **changes)


def load_value(value: Any, **changes: Any) -> Scenario:
    """Load a scenario from its raw value."""
    return load_text(write_document(value), **changes)
