"""How far each action of a run has come, from its journal. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from enum import Enum, IntEnum, auto

from fdr.action_id import KIND_SHIFT, group_and_number, kind_of
from fdr.model import Ending, Event, Intention, Kind, Outcome

# What ended with these did so because the run ended, or for want of a dataset: it can be done yet.
LEFT_REASONS = frozenset({"stopped", "limit", "no-dataset"})


class Left(Enum):
    """What is left to do of an action."""

    NOTHING = auto()
    ALL = auto()
    REGISTER = auto()  # of an upload whose bytes are where they belong
    UNSETTLED = auto()  # nobody knows: ask the lake


class _State(IntEnum):
    """How a step stands, as one byte."""

    UNTOUCHED = 0
    BEGUN = auto()
    OK = auto()
    OVER = auto()  # failed or dropped, and that is how it ends
    UNKNOWN = auto()
    LEFT = auto()


STATES = {
    Ending.OK: _State.OK,
    Ending.FAILED: _State.OVER,
    Ending.DROPPED: _State.OVER,
    Ending.UNKNOWN: _State.UNKNOWN,
}


class Standing:
    """Takes a journal's intentions and outcomes; two bytes an action, so 2 MB for a million files.

    Of several outcomes of a step the last counts. It is empty for a run that begins.
    """

    def __init__(self) -> None:
        """Begin with a run of which nothing was done."""
        self._first = _Bytes()  # the put of an upload, the only step of another action
        self._register = _Bytes()

    def take(self, event: Event) -> None:
        """Take one event; an intention comes before its outcomes."""
        if isinstance(event, Intention):
            self._first[event.action] = max(self._first[event.action], _State.BEGUN)
        elif isinstance(event, Outcome):
            if event.step == "cancel":
                self._cancel(event)
                return
            is_left = event.ending is not Ending.OK and event.reason in LEFT_REASONS
            steps = self._register if event.step == "register" else self._first
            steps[event.action] = _State.LEFT if is_left else STATES[event.ending]

    def _cancel(self, outcome: Outcome) -> None:
        """Let a rule that was taken away, or may have been, be added again."""
        if outcome.ending is not Ending.FAILED:
            self._first[outcome.action] = _State.LEFT

    def take_absent(self, action: int) -> None:
        """Take it that an upload of unknown ending has left no whole file at its storage."""
        self._first[action] = _State.LEFT

    def take_unregistered(self, action: int) -> None:
        """Take it that Rucio does not have the file of an upload whose bytes are where they belong."""
        self._register[action] = _State.LEFT

    def has_unsettled(self) -> bool:
        """Say whether there is any upload of which nobody knows how it ended."""
        return any(self.left(action, Kind.UPLOAD) is Left.UNSETTLED for action in self._first.of(Kind.UPLOAD))

    def is_intended(self, action: int) -> bool:
        """Say whether the journal has the action's intention, so that it may have been begun."""
        return self._first[action] != _State.UNTOUCHED

    def is_ok(self, action: int) -> bool:
        """Say whether the action's first step ended well."""
        return self._first[action] == _State.OK

    def left(self, action: int, kind: Kind) -> Left:
        """Return what is left to do of an action.

        Only uploads are ever unsettled: creating or closing a dataset twice changes nothing, nor does adding
        the same rule.
        """
        first = self._first[action]
        if first == _State.OVER:
            return Left.NOTHING
        if kind is not Kind.UPLOAD:
            return Left.NOTHING if first == _State.OK else Left.ALL
        if first in {_State.UNTOUCHED, _State.LEFT}:
            return Left.ALL
        if first == _State.OK:
            return REGISTRATION_LEFT[_State(self._register[action])]
        return Left.UNSETTLED


REGISTRATION_LEFT = {
    _State.UNTOUCHED: Left.UNSETTLED,
    _State.UNKNOWN: Left.UNSETTLED,
    _State.LEFT: Left.REGISTER,
    _State.OK: Left.NOTHING,
    _State.OVER: Left.NOTHING,
}


class _Bytes:
    """A byte for every action, 0 until it is set; the numbers of a group are dense."""

    def __init__(self) -> None:
        self._groups: dict[int, bytearray] = defaultdict(bytearray)

    def __getitem__(self, action: int) -> int:
        group, number = group_and_number(action)
        found = self._groups.get(group, b"")
        return found[number] if number < len(found) else 0

    def __setitem__(self, action: int, value: int) -> None:
        group, number = group_and_number(action)
        found = self._groups[group]
        if number >= len(found):
            found.extend(bytes(number + 1 - len(found)))
        found[number] = value

    def of(self, kind: Kind) -> Iterator[int]:
        """Yield the actions of a kind up to the last that was set, those between them too."""
        for group, found in self._groups.items():
            if kind_of(group) is kind:
                yield from range(group << KIND_SHIFT, (group << KIND_SHIFT) + len(found))
