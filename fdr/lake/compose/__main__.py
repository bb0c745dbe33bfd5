"""``python -m fdr.lake.compose write`` and ``… prepare SCENARIO``: what docker-compose.yml runs of fdr."""

from __future__ import annotations

import sys
from pathlib import Path

from fdr.errors import FdrError
from fdr.lake.compose.places import Places, Software
from fdr.lake.compose.prepare import prepare
from fdr.lake.compose.write import write_all
from fdr.scenario.load import load_scenario

USAGE = "usage: python -m fdr.lake.compose write | prepare SCENARIO"


def main(arguments: list[str]) -> int:
    """Write the configuration, or prepare the lake; return the exit code."""
    places = Places()
    try:
        match arguments:
            case ["write"]:
                write_all(Path(places.lake), places, Software())
            case ["prepare", scenario]:
                made = prepare(Path(places.client_cfg), load_scenario(Path(scenario)), _say)
                _say(f"the lake is ready ({len(made)} changes)")
            case _:
                print(USAGE, file=sys.stderr)
                return 2
    except FdrError as error:
        print(f"fdr: {error}", file=sys.stderr)
        return int(error.exit_code)
    return 0


def _say(text: str) -> None:
    print(text, flush=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
