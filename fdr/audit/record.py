"""What a journal says of a run's files, datasets and rules, for an audit to hold against the lake. Pure."""

from __future__ import annotations

import math
from array import array
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import IntEnum

from fdr.model import Did, Ending, Experiment, Intention, Kind, Outcome

PAGE = 1024  # files of successive actions that are kept together
PUT, REGISTER, SUM_KNOWN = 0, 3, 6  # from which bit on a file's byte says how these ended
CODE = 0b111
CODES = {Ending.OK: 1, Ending.FAILED: 2, Ending.UNKNOWN: 3, Ending.DROPPED: 4}
OK, FAILED, DROPPED = CODES[Ending.OK], CODES[Ending.FAILED], CODES[Ending.DROPPED]


class Standing(IntEnum):
    """How a file stands by the journal."""

    REGISTERED = 1
    UNREGISTERED = 2  # put, and certainly not registered
    NOT_PUT = 3  # certainly not put
    UNKNOWN = 4


@dataclass(frozen=True, slots=True)
class Upload:
    """A file that the run meant to upload; ``adler32`` is empty where no put is known to have ended well."""

    did: Did
    rse: str
    size_bytes: int
    adler32: str
    standing: Standing


@dataclass(frozen=True, slots=True)
class RecordedDataset:
    """A dataset that the run meant to create; from ``may_go_at`` on (Unix seconds) parts may be gone."""

    did: Did
    ending: Ending | None
    may_go_at: float


@dataclass(frozen=True, slots=True)
class RecordedRule:
    """A rule that the run meant to add; ``rule_id`` is empty where none is known."""

    did: Did
    to: str
    ending: Ending | None
    rule_id: str
    may_go_at: float


class _Page:
    """How uploads of ``PAGE`` actions ended, a byte each, and the adler32 of their puts."""

    __slots__ = ("adler32", "endings")

    def __init__(self) -> None:
        self.endings = bytearray(PAGE)
        self.adler32 = array("I", bytes(4 * PAGE))


class Record:
    """Takes outcomes, and the intentions for datasets and rules; about five bytes a file.

    Of several outcomes of one step the last settles it.
    """

    def __init__(self, experiments: Mapping[str, Experiment], removed_at: float = math.inf) -> None:
        """Take the experiments of the scenario as it was run, and when its removal began (Unix seconds)."""
        self._experiments = experiments
        self._removed_at = removed_at
        self._pages: dict[int, _Page] = {}
        self._intentions: dict[int, Intention] = {}
        self._outcomes: dict[int, Outcome] = {}
        self._cancelled: dict[int, float] = {}

    def take(self, intentions: Iterable[Intention], outcomes: Iterable[Outcome]) -> None:
        """Take the intentions that are not uploads, and all outcomes."""
        for intention in intentions:
            self._intentions[intention.action] = intention
        for outcome in outcomes:
            if outcome.step in {"put", "register"}:
                self._end_upload(outcome)
            elif outcome.step in {"create", "rule"}:
                self._outcomes[outcome.action] = outcome
            elif outcome.step == "cancel" and outcome.ending is not Ending.FAILED:
                self._cancelled[outcome.action] = outcome.begun_at

    def upload(self, intention: Intention) -> Upload:
        """Return how the file of an intention stands."""
        number, place = divmod(intention.action, PAGE)
        page = self._pages.get(number) or _Page()
        byte = page.endings[place]
        return Upload(
            did=intention.did,
            rse=intention.rse,
            size_bytes=intention.size_bytes,
            adler32=f"{page.adler32[place]:08x}" if byte >> SUM_KNOWN else "",
            standing=_standing(byte >> PUT & CODE, byte >> REGISTER & CODE),
        )

    def datasets(self) -> dict[tuple[str, int], RecordedDataset]:
        """Return the datasets by experiment and number.

        Rucio may let go of a dataset, its rules and its files when the dataset's lifetime is over, of
        replicas when that of the first rule is, or it was cancelled, of all once the run is being removed.
        """
        goes: dict[tuple[str, int], float] = {}
        for intention in self._intentions.values():
            key = intention.experiment, intention.dataset
            goes[key] = min(goes.get(key, self._removed_at), self._goes_at(intention))
        return {
            (intention.experiment, intention.dataset): RecordedDataset(
                intention.did,
                self._ending(intention),
                goes[intention.experiment, intention.dataset],
            )
            for intention in self._intentions.values()
            if intention.kind is Kind.DATASET
        }

    def rules(self) -> list[RecordedRule]:
        """Return the rules; each may go when it was cancelled, or its or its dataset's lifetime is over."""
        rules = [intention for intention in self._intentions.values() if intention.kind is Kind.RULE]
        datasets = {
            (intention.experiment, intention.dataset): self._goes_at(intention)
            for intention in self._intentions.values()
            if intention.kind is Kind.DATASET
        }
        return [
            RecordedRule(
                rule.did,
                rule.rse,
                self._ending(rule),
                self._outcomes[rule.action].detail if rule.action in self._outcomes else "",
                min(self._goes_at(rule), datasets.get((rule.experiment, rule.dataset), self._removed_at)),
            )
            for rule in rules
        ]

    def _end_upload(self, outcome: Outcome) -> None:
        number, place = divmod(outcome.action, PAGE)
        page = self._pages.setdefault(number, _Page())
        code = CODES[outcome.ending]
        if outcome.step == "register":
            page.endings[place] = page.endings[place] & ~(CODE << REGISTER) | code << REGISTER
            return
        is_sum = outcome.ending is Ending.OK and bool(outcome.detail)
        page.endings[place] = page.endings[place] & CODE << REGISTER | code << PUT | is_sum << SUM_KNOWN
        if is_sum:
            page.adler32[place] = int(outcome.detail, 16)

    def _ending(self, intention: Intention) -> Ending | None:
        outcome = self._outcomes.get(intention.action)
        return outcome.ending if outcome is not None else None

    def _goes_at(self, intention: Intention) -> float:
        """Return when what was intended has lived out its lifetime; never, where it was not made."""
        outcome = self._outcomes.get(intention.action)
        experiment = self._experiments.get(intention.experiment)
        if outcome is None or experiment is None:
            return self._removed_at
        if intention.kind is Kind.DATASET:
            return min(self._removed_at, outcome.begun_at + experiment.dataset_lifetime_s)
        lifetimes = [rule.lifetime_s for rule in experiment.rules if rule.to == intention.rse]
        over = outcome.begun_at + min(lifetimes, default=math.inf)
        return min(self._removed_at, over, self._cancelled.get(intention.action, math.inf))


def _standing(put: int, register: int) -> Standing:
    if register == OK:
        return Standing.REGISTERED
    if put in {FAILED, DROPPED}:
        return Standing.NOT_PUT
    if put == OK and register in {FAILED, DROPPED}:
        return Standing.UNREGISTERED
    return Standing.UNKNOWN
