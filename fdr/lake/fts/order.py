"""What the service and its worker processes say to each other. Pure."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass

from fdr.lake.fts.job import Ending


@dataclass(frozen=True, slots=True)
class Order:
    """What to copy and how.

    ``checksum`` is ``ALGORITHM:value`` or the algorithm alone; ``verify`` is b, s, t or n: compare at
    both ends, the source, the target, nowhere. ``timeout_s`` is for the copy of an empty file.
    """

    source: str
    destination: str
    overwrite: bool
    checksum: str
    verify: str
    streamed: bool
    timeout_s: int


@dataclass(frozen=True, slots=True)
class Report:
    """What a worker tells on the way, or in the end.

    On the way: at which scope it works now (SOURCE, DESTINATION, TRANSFER), and with TRANSFER, when the
    bytes begin to move, their number and the time-out.
    """

    scope: str = ""
    filesize: int = 0
    timeout_s: int = 0
    ending: Ending | None = None

    def to_line(self) -> bytes:
        """Return the report as a line of JSON."""
        return json.dumps(asdict(self)).encode() + b"\n"

    @classmethod
    def from_line(cls, line: bytes) -> Report:
        """Return the report that a line holds; raises ValueError when it holds none."""
        members = json.loads(line)
        if members["ending"] is not None:
            members["ending"] = Ending(**members["ending"])
        return cls(**members)
