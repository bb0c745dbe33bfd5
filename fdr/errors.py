"""The exceptions that fdr raises and the exit codes they end in. Pure."""

from enum import IntEnum


class ExitCode(IntEnum):
    """How every fdr command ends."""

    PASSED = 0
    DEFECT = 1
    USAGE = 2
    OBJECTIVE_FAILED = 3
    INCONCLUSIVE = 4
    LAKE_UNUSABLE = 5
    BUSY = 6
    INTERRUPTED = 130


class FdrError(Exception):
    """Something a person can mend: the text says what, where and what to do instead."""

    exit_code = ExitCode.DEFECT


class UsageError(FdrError):
    """The command line or a run directory is not as it must be."""

    exit_code = ExitCode.USAGE


class ScenarioError(FdrError):
    """A scenario that cannot be run; holds every problem found in it, one line each."""

    exit_code = ExitCode.USAGE

    def __init__(self, problems: tuple[str, ...]) -> None:
        """Take the problems, each ``file:line: where: what is wrong (what to write instead)``."""
        super().__init__("\n".join(problems))
        self.problems = problems


class LakeUnusable(FdrError):
    """The lake cannot be rehearsed on: not reachable, not permitted, or not prepared."""

    exit_code = ExitCode.LAKE_UNUSABLE


class Busy(FdrError):
    """Another process does this already, and it is not done twice at once."""

    exit_code = ExitCode.BUSY


class LakeError(FdrError):
    """One call to a catalogue or a storage did not end well.

    ``reason`` is a short fixed word that can be counted (``timeout``, ``duplicate``, ``no-space``);
    the message is for people.
    """

    def __init__(self, reason: str, message: str) -> None:
        """Take the countable reason and the message for people."""
        super().__init__(message)
        self.reason = reason


class Refused(LakeError):
    """The call certainly had no effect."""


class Unclear(LakeError):
    """The call may have had its effect: it was sent, and no answer settles it."""
