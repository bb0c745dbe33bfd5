"""What an audit finds, and the sum of it. Pure."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from enum import StrEnum

from fdr.model import Audited

KEPT = 1000  # findings of each sort that are named; the others are counted


class Sort(StrEnum):
    """The sorts of finding."""

    LOST = "lost"  # recorded as registered, and not there
    DARK = "dark"  # on a storage, unknown to Rucio
    WRONG = "wrong"  # another size or checksum than recorded
    UNRECORDED = "unrecorded"  # in the run's datasets or under its name, not in the journal


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is not as it is recorded: what, where, and both sides of it in words.

    ``what`` is ``file``, ``dataset`` or ``rule``; ``name`` a DID, for a rule its id and DID; ``where`` is an
    RSE, a dataset or ``Rucio``.
    """

    sort: Sort
    what: str
    name: str
    where: str
    expected: str
    observed: str


class Fate(StrEnum):
    """What became of a file that is told, though it is no finding."""

    UNKNOWN_REGISTERED = "unknown_registered"  # its ending is unknown to the journal, and Rucio has it
    UNKNOWN_ON_STORAGE = "unknown_on_storage"  # its bytes are there, and Rucio does not have it
    UNKNOWN_NOWHERE = "unknown_nowhere"  # it is neither there nor there
    UNKNOWN_UNSEEN = "unknown_unseen"  # Rucio does not have it, and the storage could not be asked
    EXPIRED = "expired"  # gone, after a lifetime was over
    ELSEWHERE = "elsewhere"  # no longer where it was put, and at another RSE


@dataclass(slots=True)
class Audit:
    """What an audit came to: everything counted, the first ``KEPT`` findings of each sort named.

    ``files`` are those that the journal has on record, ``copies`` the places at which one was looked for.
    ``unseen`` counts the places that could not be looked at, by RSE, ``why`` says why.
    """

    run: str
    at: float
    files: int = 0
    copies: int = 0
    datasets: int = 0
    rules: int = 0
    counts: Counter[Sort] = field(default_factory=Counter)
    fates: Counter[Fate] = field(default_factory=Counter)
    expired_datasets: int = 0
    expired_rules: int = 0
    unseen: Counter[str] = field(default_factory=Counter)
    why: dict[str, str] = field(default_factory=dict)
    findings: list[Finding] = field(default_factory=list)

    def add(self, *findings: Finding) -> None:
        """Count findings, and keep them while there are few."""
        for finding in findings:
            self.counts[finding.sort] += 1
            if self.counts[finding.sort] <= KEPT:
                self.findings.append(finding)

    @property
    def is_complete(self) -> bool:
        """Whether everything could be looked at."""
        return not self.unseen

    @property
    def unknown(self) -> int:
        """Files of which the journal does not say how they ended."""
        return sum(count for fate, count in self.fates.items() if fate.startswith("unknown"))

    def event(self) -> Audited:
        """Return what the journal keeps of the audit."""
        return Audited(
            at=self.at,
            files=self.files,
            copies=self.copies,
            lost=self.counts[Sort.LOST],
            dark=self.counts[Sort.DARK],
            wrong=self.counts[Sort.WRONG],
            unrecorded=self.counts[Sort.UNRECORDED],
            unknown=self.unknown,
            expired=self.fates[Fate.EXPIRED] + self.expired_datasets + self.expired_rules,
            unseen=self.unseen.total(),
        )
