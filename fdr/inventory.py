"""What Rucio has on record of a run, read in bulk: the promises, and the errors they are kept with. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from fdr.model import Did

MAX_DIDS_PER_CALL = 1000  # Rucio's own limit on one list of DIDs


@dataclass(frozen=True, slots=True)
class FileRecord:
    """A file as Rucio has it on record.

    ``rses`` are those with an AVAILABLE replica; ``other_states`` the state of every other replica by RSE.
    ``urls`` say where Rucio would read a replica over the wide area, by RSE; an RSE that offers no protocol
    for reading is not among them.
    """

    did: Did
    size_bytes: int
    adler32: str
    rses: frozenset[str]
    other_states: Mapping[str, str] = field(default_factory=dict)
    urls: Mapping[str, str] = field(default_factory=dict)


class Inventory(Protocol):
    """Rucio's records, read as the account that each call names; nothing is changed.

    Every method raises only ``Refused`` or ``Unclear``, either of which means that nothing was learnt.
    """

    async def files(self, account: str, dids: Sequence[Did]) -> dict[Did, FileRecord]:
        """Return what Rucio knows of files; those unknown to it are left out.

        At most MAX_DIDS_PER_CALL in one call. A file without any replica is known all the same.
        """

    async def datasets(self, account: str, scope: str, name_prefix: str) -> frozenset[Did]:
        """Return the datasets of a scope whose names begin with a prefix."""

    async def contents(self, account: str, datasets: Sequence[Did]) -> dict[Did, frozenset[Did]]:
        """Return the files that are attached to each of the datasets; none for one that is not there.

        At most MAX_DIDS_PER_CALL in one call; what comes back is as large as the datasets are.
        """
