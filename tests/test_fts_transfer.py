"""The steps of one copy, against storages that answer as they are told to."""

from __future__ import annotations

import errno
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from fdr.lake.fts.order import Order, Report

gfal2 = pytest.importorskip("gfal2", reason="gfal2 is not installed")
carry_out = pytest.importorskip("fdr.lake.fts.transfer").carry_out

SOURCE, DESTINATION = "davs://127.0.1.1:1/rucio/a/b", "davs://127.0.1.2:1/rucio/a/b"
SIZE = 2**20


class Storages:
    """Two storages behind a gfal2 context; ``troubles`` are raised one by one when a URL is asked for."""

    def __init__(self, **troubles: list[int]) -> None:
        """Take lists of error numbers, by ``stat_source``, ``checksum_destination`` and the like."""
        self.troubles = troubles
        self.calls: list[str] = []
        self.adler32 = {SOURCE: "0badcafe", DESTINATION: "badcafe"}

    def transfer_parameters(self) -> SimpleNamespace:
        """Return parameters that take anything."""
        return SimpleNamespace()

    def stat(self, url: str) -> SimpleNamespace:
        """Return the size of a file."""
        self._ask("stat", url)
        return SimpleNamespace(st_size=SIZE)

    def checksum(self, url: str, algorithm: str) -> str:
        """Return the checksum of a file."""
        self._ask("checksum", url)
        return self.adler32[url]

    def mkdir(self, url: str, mode: int) -> None:
        """Make a directory."""
        self._ask("mkdir", url)

    def filecopy(self, parameters: SimpleNamespace, source: str, destination: str) -> None:
        """Copy, by pull."""
        self._ask("copy", destination)
        parameters.event_callback(SimpleNamespace(stage="TRANSFER:TYPE", description="3rd pull"))

    def unlink(self, url: str) -> None:
        """Delete a file."""
        self._ask("unlink", url)

    def _ask(self, what: str, url: str) -> None:
        call = f"{what}_{'source' if url == SOURCE else 'destination'}"
        self.calls.append(call)
        if self.troubles.get(call):
            raise gfal2.GError("told to fail", self.troubles[call].pop(0))


def order(**changes: Any) -> Order:
    """Return an order for a copy with both checksums compared."""
    members = {
        "source": SOURCE,
        "destination": DESTINATION,
        "overwrite": True,
        "checksum": "ADLER32:0BADCAFE",
        "verify": "b",
        "streamed": False,
        "timeout_s": 60,
    }
    return Order(**{**members, **changes})


def told() -> tuple[list[Report], Callable[[Report], None]]:
    """Return a list, and what to call so that reports go into it."""
    reports: list[Report] = []
    return reports, reports.append


def test_a_good_copy_tells_its_size_its_time_out_and_its_way() -> None:
    """Two seconds more for each MiB, as in FTS3; leading zeros and case of a checksum do not matter."""
    reports, tell = told()
    ending = carry_out(Storages(), order(), tell)
    assert (ending.reason, ending.filesize, ending.transfer_type) == ("", SIZE, "3rd pull")
    assert reports == [Report("DESTINATION"), Report("TRANSFER", SIZE, 62)]


def test_a_question_about_a_finished_copy_is_asked_again_when_it_was_overlooked() -> None:
    """Once: a server that stays silent fails the copy."""
    storages = Storages(checksum_destination=[errno.ETIMEDOUT], stat_destination=[errno.ETIMEDOUT])
    assert carry_out(storages, order(), told()[1]).reason == ""
    assert storages.calls.count("copy_destination") == 1
    storages = Storages(stat_destination=[errno.ETIMEDOUT, errno.ETIMEDOUT])
    assert carry_out(storages, order(), told()[1]).reason == "DESTINATION [110] told to fail"


@pytest.mark.parametrize(
    ("verify", "reason"),
    [
        ("b", "TRANSFER [5] SOURCE CHECKSUM MISMATCH"),
        ("s", "TRANSFER [5] SOURCE CHECKSUM MISMATCH"),
        ("t", "TRANSFER [5] DESTINATION CHECKSUM MISMATCH"),
        ("n", ""),
    ],
)
def test_a_given_checksum_is_compared_where_it_was_asked_for(verify: str, reason: str) -> None:
    """At the source before the copy, at the destination after it, where the file is then removed."""
    storages = Storages()
    ending = carry_out(storages, order(checksum="ADLER32:deadbeef", verify=verify), told()[1])
    assert ending.reason.startswith(reason)
    assert bool(ending.reason) == bool(reason)
    assert ("unlink_destination" in storages.calls) == (verify == "t")


def test_without_a_given_checksum_both_ends_are_compared_with_each_other() -> None:
    """A file that changed on its way is removed."""
    storages = Storages()
    storages.adler32[DESTINATION] = "12345678"
    ending = carry_out(storages, order(checksum="ADLER32"), told()[1])
    assert "Source and destination ADLER32 do not match (0badcafe != 12345678)" in ending.reason
    assert storages.calls[-1] == "unlink_destination"


@pytest.mark.parametrize(("code", "recoverable"), [(errno.ENOENT, False), (errno.ECONNRESET, True)])
def test_a_lasting_failure_is_not_worth_a_retry(code: int, recoverable: bool) -> None:
    """A missing file stays missing; a broken connection may heal."""
    ending = carry_out(Storages(stat_source=[code]), order(), told()[1])
    assert (ending.reason, ending.recoverable) == (f"SOURCE [{code}] told to fail", recoverable)


def test_nothing_is_touched_when_source_and_destination_are_one() -> None:
    """Not even asked for."""
    storages = Storages()
    ending = carry_out(storages, order(destination="root://127.0.1.1:9//rucio/a/b"), told()[1])
    assert ending.reason.startswith("TRANSFER [35]")
    assert storages.calls == []
