"""Follow the rules of a run, and whether all its transfers have been heard of, into the journal."""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import dataclass

from fdr.catalog import Catalog, RuleState
from fdr.clock import Clock
from fdr.errors import LakeError
from fdr.journal.reader import FROM_THE_START, JournalReader
from fdr.journal.writer import Journal
from fdr.ledger import Ledger
from fdr.model import Did, Note, RuleSeen, Scenario
from fdr.stop import Stop

INTERVAL_S = 3.0  # between two looks at the rules
COUNTS_EVERY_S = 60.0  # how often a change of lock counts alone is journaled
EVENTS_GRACE_S = 30.0  # how long the last transfer events are waited for
RESUMED_EVENTS_GRACE_S = 5.0  # the same, where some were surely sent while nobody listened
DATASETS_PER_CALL = 200


@dataclass(frozen=True, slots=True)
class OpenRule:
    """A rule that has not done its work; ``action`` is the one that added it, None if none is known to."""

    rule_id: str
    account: str
    action: int | None


class Watch:
    """Looks at the rules of a run until all have done their work; one call per scope and interval.

    A rule has done its work when Rucio calls it OK and its locks cover every registered file of its dataset:
    a rule on an open dataset is OK before Rucio has looked at the files that came later.
    """

    def __init__(
        self,
        run: str,
        scenario: Scenario,
        catalog: Catalog,
        journal: Journal,
        reader: JournalReader,
        clock: Clock,
        events_grace_s: float = EVENTS_GRACE_S,
    ) -> None:
        """Take the run, whose id begins its datasets' names; whom to ask; what to write to and read from.

        ``events_grace_s`` is how long the last transfer events are waited for.
        """
        self._run = run
        self._catalog = catalog
        self._journal = journal
        self._reader = reader
        self._cursor = FROM_THE_START
        self._ledger = Ledger()
        self._clock = clock
        self._events_grace_s = events_grace_s
        self._scopes = {exp.scope: exp.account for exp in scenario.experiments.values() if exp.rules}
        self._seen: dict[str, RuleState] = {}
        self._recorded_at: dict[str, float] = {}

    async def follow(self, injected: asyncio.Event, stop: Stop, grace_s: float) -> None:
        """Journal every change until all rules are done, ``stop`` is wanted, or the grace is over.

        The grace begins when ``injected`` is set. A catalogue that does not answer is asked again later.
        """
        deadline: float | None = None
        while not stop.wanted:
            is_last = injected.is_set()
            has_answered = await self._look()
            if is_last:
                if has_answered and not await self._unfinished():
                    return
                deadline = deadline or self._clock.now() + grace_s
                if self._clock.now() > deadline:
                    text = await self._unfinished() or "Rucio did not say how the rules are"
                    self._journal.record(Note(self._clock.now(), "grace-over", text))
                    return
            await stop.wait_for(INTERVAL_S)
        await self._look()

    async def _look(self) -> bool:
        """Look at all rules once; return whether Rucio answered."""
        try:
            for rule in await self._rules():
                self._notice(rule)
        except LakeError:
            return False
        return True

    async def _rules(self) -> list[RuleState]:
        return [
            rule
            for scope, account in self._scopes.items()
            for rule in await self._catalog.rules(account, scope, self._run)
        ]

    async def listed_rules(self) -> set[str]:
        """Return the ids of the rules that Rucio lists now; raises LakeError when it does not answer."""
        return {rule.rule_id for rule in await self._rules()}

    async def open_rules(self) -> list[OpenRule]:
        """Look once more, and return the rules that have not done their work.

        Raises LakeError when Rucio does not answer.
        """
        listed = await self._rules()
        for rule in listed:
            self._notice(rule)
        await self._read()
        return [
            OpenRule(rule.rule_id, self._scopes[rule.did.scope], self._ledger.rules.get(rule.rule_id))
            for rule in listed
            if not self._is_done(rule)
        ]

    def _notice(self, rule: RuleState) -> None:
        before = self._seen.get(rule.rule_id)
        now = self._clock.now()
        if before == rule:
            return
        self._seen[rule.rule_id] = rule
        same_state = before is not None and before.state == rule.state
        if same_state and rule.state != "OK" and now - self._recorded_at[rule.rule_id] < COUNTS_EVERY_S:
            return
        self._recorded_at[rule.rule_id] = now
        locks = rule.locks_ok, rule.locks_replicating, rule.locks_stuck
        self._journal.record(RuleSeen(now, rule.rule_id, rule.state, *locks, rule.error))

    async def _unfinished(self) -> str:
        """Return how many rules have not done their work, by state; nothing when all have."""
        await self._read()
        states = Counter(
            rule.state if rule.state != "OK" else "not yet evaluated"
            for rule in self._seen.values()
            if not self._is_done(rule)
        )
        states["not listed by Rucio"] = len(self._ledger.rules.keys() - self._seen.keys())
        return ", ".join(f"{count} rules {state}" for state, count in sorted(states.items()) if count)

    def _is_done(self, rule: RuleState) -> bool:
        return rule.state == "OK" and rule.locks_ok >= self._ledger.files(rule.did) * rule.copies

    async def _read(self) -> None:
        await self._journal.flush()
        while True:
            events, self._cursor = self._reader.events_since(self._cursor)
            for event in events:
                self._ledger.take(event)
            if not events:
                return

    async def await_transfers(self, stop: Stop) -> None:
        """Wait until every transfer that the OK rules needed has been heard of, ``events_grace_s`` at most.

        What is missing then is journaled as ``events-lost``: the transfers happened, untold.
        """
        try:
            destinations = await self._destinations()
        except LakeError as error:
            text = f"it is not known how many transfers there were: {error}"
            self._journal.record(Note(self._clock.now(), "events-lost", text))
            return
        deadline = self._clock.now() + self._events_grace_s
        while True:
            await self._read()
            missing = self._ledger.transfers_needed(destinations) - self._ledger.transfers_done
            if missing <= 0:
                return
            if stop.wanted or self._clock.now() >= deadline:
                break
            await stop.wait_for(0.5)
        text = f"{missing} transfers of finished rules were never heard of"
        self._journal.record(Note(self._clock.now(), "events-lost", text))

    async def _destinations(self) -> dict[Did, frozenset[str]]:
        """Return, for every dataset with an OK rule, the RSEs where such rules lock its files."""
        found: dict[Did, frozenset[str]] = {}
        for scope, account in self._scopes.items():
            datasets = sorted({rule.did.name for rule in self._seen.values() if rule.did.scope == scope})
            for first in range(0, len(datasets), DATASETS_PER_CALL):
                dids = [Did(scope, name) for name in datasets[first : first + DATASETS_PER_CALL]]
                for did, locks in (await self._catalog.dataset_locks(account, dids)).items():
                    found[did] = await self._locking_rses(account, locks)
        return found

    async def _locking_rses(self, account: str, locks: frozenset[tuple[str, str]]) -> frozenset[str]:
        """Return the RSEs of the locks that OK rules have on one dataset."""
        rses: set[str] = set()
        for rule_id in {rule_id for rule_id, _ in locks}:
            rule = self._seen.get(rule_id)
            if rule is None or rule.state != "OK":
                continue
            of_rule = frozenset(rse for owner, rse in locks if owner == rule_id)
            if len(of_rule) > rule.copies:  # one was chosen while the dataset was empty, and left
                of_rule = await self._catalog.rule_rses(account, rule_id)
            rses |= of_rule
        return frozenset(rses)
