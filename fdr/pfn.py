"""Where a file lies at an RSE: its physical file name, as Rucio itself derives it."""

from __future__ import annotations

from typing import Any

from fdr.catalog import RseFacts
from fdr.model import Did


class Locator:
    """Gives the URL to write a file to at one RSE, over the protocol that the RSE prefers."""

    def __init__(self, rse: RseFacts) -> None:
        """Take a deterministic RSE that offers at least one protocol for writing."""
        from rucio.rse.translation import RSEDeterministicTranslation

        self._prefix = rse.prefixes[0]
        self._translation: Any = RSEDeterministicTranslation(rse.name, rse.settings)

    def url(self, did: Did) -> str:
        """Return the file's URL, such as ``root://host:1094//rucio/cta_fdr/3f/a2/run1/file``."""
        return f"{self._prefix}{self._translation.path(did.scope, did.name)}"
