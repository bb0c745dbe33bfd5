"""What a probe is asked to try. Pure."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from fdr import rucio_schema as rucio
from fdr.errors import UsageError
from fdr.expression import terms
from fdr.scenario.quantities import read_word

EVERY_RSE = "*"
LARGEST_BYTES = 10**12


class Part(StrEnum):
    """The two halves of a probe."""

    STORAGES = "storages"
    TRANSFERS = "transfers"


@dataclass(frozen=True, slots=True)
class Asked:
    """What a probe is to try, and for how long.

    The RSEs are those of ``scenario_rses``, or where that is None those that ``expression`` matches. Files
    have ``size_bytes``. A step at a storage takes ``timeout_s`` at most, a transfer ``transfer_timeout_s``
    from its submission on. An empty ``account`` is that of the rucio.cfg.
    """

    expression: str = EVERY_RSE
    scenario_rses: tuple[str, ...] | None = None
    account: str = ""
    size_bytes: int = 1_000_000
    timeout_s: float = 30.0
    transfer_timeout_s: float = 300.0
    parts: frozenset[Part] = frozenset(Part)

    def check(self) -> None:
        """Raise UsageError where it cannot be done on any lake."""
        account = read_word("an account", rucio.ACCOUNT_PATTERN, rucio.ACCOUNT_LENGTH, "root")
        checks: list[tuple[str, Callable[[Any], object], str]] = [("the RSEs", terms, self.expression)]
        checks += [("--account", account, self.account)] if self.account else []
        for what, read, text in checks:
            try:
                read(text)
            except ValueError as error:
                raise UsageError(f"{what}: {error}") from error
        if self.scenario_rses is not None and self.expression != EVERY_RSE:
            raise UsageError("--scenario names the RSEs: leave the RSE expression out")
        if not 1 <= self.size_bytes <= LARGEST_BYTES:
            raise UsageError("--size: must be between 1 byte and 1 TB (write for example 1MB)")
        for option, seconds in (
            ("--timeout", self.timeout_s),
            ("--transfer-timeout", self.transfer_timeout_s),
        ):
            if seconds < 1:
                raise UsageError(f"{option}: is too short (write for example 30s)")
