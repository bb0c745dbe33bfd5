"""How noise is made: what a pass is asked for. Pure."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from fdr import rucio_schema as rucio
from fdr.errors import UsageError
from fdr.expression import terms
from fdr.scenario.quantities import read_word

ACTIVITY = "Functional Test"
EVERY_RSE = "*"
FILE_BYTES = 100_000_000
LIFETIME_S = 3600.0
WAIT_S = 1800.0


@dataclass(frozen=True, slots=True)
class Recipe:
    """What a pass of noise is to be like.

    ``expression`` is the RSE expression of the RSEs between which noise is made. A file of ``size_bytes``
    goes to each, or with ``mesh`` one to each for every other RSE; what is made lives for ``lifetime_s``, and
    rules are followed for ``wait_s`` at most.
    An empty ``account`` or ``scope`` is the one that is usual on the lake.
    """

    account: str = ""
    scope: str = ""
    expression: str = EVERY_RSE
    size_bytes: int = FILE_BYTES
    mesh: bool = False
    lifetime_s: float = LIFETIME_S
    wait_s: float = WAIT_S

    def check(self) -> None:
        """Raise UsageError where it cannot be followed on any lake."""
        account = read_word("an account", rucio.ACCOUNT_PATTERN, rucio.ACCOUNT_LENGTH, "noise")
        scope = read_word("a scope", rucio.SCOPE_PATTERN, rucio.SCOPE_LENGTH, "noise")
        checks: list[tuple[str, Callable[[Any], object], str]] = [("the RSEs", terms, self.expression)]
        checks += [("--account", account, self.account)] if self.account else []
        checks += [("--scope", scope, self.scope)] if self.scope else []
        for what, read, text in checks:
            try:
                read(text)
            except ValueError as error:
                raise UsageError(f"{what}: {error}") from error
        if self.size_bytes < 1:
            raise UsageError("--size: a file without a byte is no noise (write for example 100MB)")
        if self.wait_s >= self.lifetime_s:
            raise UsageError(
                "--wait: must be shorter than --lifetime, which ends the rules that are followed"
            )
