"""Keep the schedule: start every action when it is due, whatever became of the others."""

from __future__ import annotations

import asyncio
from collections import defaultdict, deque
from collections.abc import Coroutine, Iterable, Iterator, Sequence

from fdr.actions import close, dataset, rule, upload
from fdr.budget import Budget
from fdr.context import Context
from fdr.datasets import OpenDataset
from fdr.model import Action, Did, Ending, Intention, Kind, Note, Outcome, When
from fdr.standing import Left, Standing
from fdr.stop import Stop
from fdr.upload_slots import Slot, UploadSlots

LOOKAHEAD_S = 0.2  # intentions are on disk this long before they are due
BATCH = 500  # intentions in one commit
IN_FLIGHT = 1000  # uploads begun at an RSE and not put; beyond it they are dropped
UNREGISTERED = 20_000  # uploads begun and not ended, as many as wait out half an hour without Rucio at 11/s
DEFERRED = 20_000  # late uploads that wait for room at their RSE; beyond it the schedule waits
STOP_GRACE_S = 30.0  # what work in flight is given after a stop


class Engine:
    """Performs the actions of a plan on time and journals them.

    Open loop: an upload that is due starts, up to IN_FLIGHT of them at each RSE and UNREGISTERED in all;
    beyond that it is dropped and the journal says so. ``uploads`` puts run at once at each RSE. An action's
    intention is on disk before it is begun.

    Of a run that is resumed it does what ``standing`` leaves. What was due before is due at once, and waits
    for room instead of being dropped: the schedule was not kept because nobody was there to keep it.
    """

    def __init__(
        self,
        context: Context,
        uploads: int,
        in_flight: int = IN_FLIGHT,
        standing: Standing | None = None,
    ) -> None:
        """Take what to perform with, how many files to put at once and to begin at an RSE, what is done."""
        self._context = context
        self._slots = UploadSlots(uploads, in_flight, UNREGISTERED)
        self._deferred: dict[str, deque[tuple[Action, OpenDataset]]] = defaultdict(deque)
        self._ended_one = asyncio.Event()
        self._idle = asyncio.Event()
        self._standing = standing or Standing()
        self._held: dict[int, OpenDataset] = {}  # of uploads that are read ahead, a batch at most
        self._work: set[asyncio.Task[None]] = set()
        self._budget = Budget(context.scenario.limits)
        self._defects: list[BaseException] = []

    async def run(self, actions: Iterable[Action], started_at: float, stop: Stop) -> None:
        """Perform every action, the first due at ``started_at`` plus its ``due_s`` (Unix seconds).

        Returns when all have ended. When ``stop`` is wanted nothing more is started, and what is in flight is
        given STOP_GRACE_S, then cancelled; it then stands in the journal as begun and not ended. Raises
        whatever unforeseen error an action met, after the others have ended.
        """
        late_s = self._context.clock.now() - started_at
        for batch in _batches(self._remaining(actions), late_s):
            await self._sleep_until(started_at + batch[0].due_s - LOOKAHEAD_S, stop)
            if stop.wanted:
                break
            await self._intend(batch, started_at)
            for action in batch:
                await self._sleep_until(started_at + action.due_s, stop)
                if action.due_s < late_s:
                    await self._room(stop)
                if stop.wanted:
                    self._drop(action, "stopped")
                else:
                    self._start(action, stop, is_late=action.due_s < late_s)
            if self._defects:
                stop.because("interrupted", "a defect in fdr")
        self._context.journal.record(Note(self._context.clock.now(), "injected"))
        await self._finish(stop)
        if self._defects:
            raise self._defects[0]

    def _remaining(self, actions: Iterable[Action]) -> Iterator[Action]:
        """Yield the actions that are left, and let the others count for what they have done."""
        for action in actions:
            match self._standing.left(action.id, action.kind):
                case Left.NOTHING | Left.UNSETTLED:
                    self._pass_over(action)
                case _:
                    if action.kind is Kind.UPLOAD:
                        # All else of its dataset may be done, and be passed over before this is begun.
                        self._held[action.id] = self._begin(action)
                    yield action

    def _pass_over(self, action: Action) -> None:
        if action.kind is Kind.UPLOAD:
            self._budget.spend(action.size_bytes)
            return
        state = self._begin(action)
        if action.kind is Kind.DATASET:
            state.created.decide(self._standing.is_ok(action.id))
        elif action.kind is Kind.CLOSE:
            state.closed.decide(self._standing.is_ok(action.id))
        elif self._context.rule(action).when is When.AT_CREATION:
            state.end_early_rule()
        self._context.datasets.end_action(action.experiment, action.dataset)

    async def _room(self, stop: Stop) -> None:
        """Wait until another late upload may wait for its turn, or the run should end."""
        while sum(map(len, self._deferred.values())) >= DEFERRED and not stop.wanted:
            self._ended_one.clear()
            await stop.cut_short(self._ended_one.wait())

    async def _intend(self, batch: Sequence[Action], started_at: float) -> None:
        """Put on disk which actions are about to be begun, but for those that are there from before."""
        new = [action for action in batch if not self._standing.is_intended(action.id)]
        if new:
            await self._context.journal.intend([self._intention(action, started_at) for action in new])

    async def _sleep_until(self, at: float, stop: Stop) -> None:
        if stop.wanted or at <= self._context.clock.now():
            return
        await stop.cut_short(self._context.clock.sleep_until(at))

    async def _finish(self, stop: Stop) -> None:
        """Wait for what has been started; once stopped, not longer than STOP_GRACE_S."""
        while self._work and not stop.wanted:
            self._idle.clear()
            await stop.cut_short(self._idle.wait())
        self._drop_deferred()
        if not self._work:
            return
        await asyncio.wait(self._work, timeout=STOP_GRACE_S)
        for task in self._work:
            task.cancel()
        await asyncio.gather(*self._work, return_exceptions=True)

    def _intention(self, action: Action, started_at: float) -> Intention:
        context = self._context
        rse = action.rse or ""
        if action.rule is not None:
            rse = context.rule(action).to
        return Intention(
            action=action.id,
            kind=action.kind,
            experiment=action.experiment,
            dataset=action.dataset,
            did=self._did(action),
            rse=rse,
            size_bytes=action.size_bytes,
            due_at=started_at + action.due_s,
        )

    def _did(self, action: Action) -> Did:
        is_upload = action.kind is Kind.UPLOAD
        return self._context.file(action) if is_upload else self._context.dataset(action)

    def _start(self, action: Action, stop: Stop, *, is_late: bool) -> None:
        state = self._held.pop(action.id, None) or self._begin(action)
        if action.kind is not Kind.UPLOAD:
            self._spawn(self._perform(action, state))
            return
        has_room = self._slots.has_room(action.rse or "")
        if not has_room and not is_late:
            self._drop(action, "in-flight-bound")
            return
        if refusal := self._budget.refusal(action.size_bytes):
            self._drop(action, "limit")
            stop.because("limit", refusal)
            return
        state.begin_upload()
        if has_room:
            self._begin_upload(action, state, stop)
        else:
            self._deferred[action.rse or ""].append((action, state))

    def _begin_upload(self, action: Action, state: OpenDataset, stop: Stop) -> None:
        self._spawn(self._upload(action, state, self._slots.take(action.rse or ""), stop))

    def _begin_deferred(self, stop: Stop) -> None:
        """Begin late uploads where there is room by now."""
        for rse, waiting in self._deferred.items():
            while waiting and not stop.wanted and self._slots.has_room(rse):
                self._begin_upload(*waiting.popleft(), stop)

    def _drop_deferred(self) -> None:
        for waiting in self._deferred.values():
            for action, state in waiting:
                self._drop(action, "stopped")
                state.is_left = True
                state.end_upload()
            waiting.clear()

    def _begin(self, action: Action) -> OpenDataset:
        rules = self._context.scenario.experiments[action.experiment].rules
        return self._context.datasets.begin(action.experiment, action.dataset, rules)

    def _drop(self, action: Action, reason: str) -> None:
        now = self._context.clock.now()
        outcome = Outcome(action.id, STEPS[action.kind], now, now, Ending.DROPPED, reason)
        self._context.journal.record(outcome)

    def _spawn(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.create_task(work)
        self._work.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._work.discard(task)
        if not self._work:
            self._idle.set()
        if not task.cancelled() and (defect := task.exception()) is not None:
            self._defects.append(defect)

    async def _upload(self, action: Action, state: OpenDataset, slot: Slot, stop: Stop) -> None:
        file = self._context.file(action)
        standing = self._standing
        try:
            if standing.left(action.id, action.kind) is Left.REGISTER:
                adler32: str | None = self._context.payload(file, action.size_bytes).adler32()
            else:
                again = standing.is_intended(action.id)
                adler32 = await slot.put(upload.put(self._context, action, file, overwrite=again))
            if adler32 is not None:
                await upload.register(self._context, action, state, file, adler32)
        finally:
            slot.free()
            state.end_upload()
            self._begin_deferred(stop)
            self._ended_one.set()

    async def _perform(self, action: Action, state: OpenDataset) -> None:
        await PERFORM[action.kind](self._context, action, state)
        self._context.datasets.end_action(action.experiment, action.dataset)


PERFORM = {Kind.DATASET: dataset.perform, Kind.CLOSE: close.perform, Kind.RULE: rule.perform}
STEPS = {Kind.DATASET: "create", Kind.UPLOAD: "put", Kind.CLOSE: "close", Kind.RULE: "rule"}


def _batches(actions: Iterable[Action], late_s: float) -> Iterator[list[Action]]:
    """Group actions whose due times lie within LOOKAHEAD_S, at most BATCH together.

    All that was due before ``late_s`` is due together.
    """
    batch: list[Action] = []
    for action in actions:
        if batch and (action.due_s > max(late_s, batch[0].due_s + LOOKAHEAD_S) or len(batch) >= BATCH):
            yield batch
            batch = []
        batch.append(action)
    if batch:
        yield batch
