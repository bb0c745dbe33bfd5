"""Probe a lake once, and tell people and Prometheus: what ``fdr probe`` does."""

from __future__ import annotations

import asyncio
import time

from fdr.alone import alone
from fdr.errors import ExitCode, LakeUnusable
from fdr.lake.endpoints import bypass_proxies
from fdr.probe.asked import Asked
from fdr.probe.numbers import numbers, numbers_of_none
from fdr.probe.perform import perform
from fdr.probe.record import earlier_records
from fdr.probe.telling import Telling
from fdr.reach import connect
from fdr.rundir import runs_root


def probe(lake: str, asked: Asked, telling: Telling) -> ExitCode:
    """Probe a lake, tell what that came to, and return its exit code.

    An exit code that would be 0 is 4 where Prometheus did not get the numbers. Raises Busy while another
    probe goes on with the same directory of runs, and what ``perform`` does.
    """
    asked.check()
    telling.prometheus.check()
    connection = connect(lake)
    if connection.embedded_home is not None:
        bypass_proxies()
    root = runs_root()
    with alone(root, "probe"):
        try:
            with telling.waiting():
                result = asyncio.run(perform(connection, asked, root))
        except LakeUnusable as error:
            telling.hand_over(numbers_of_none(connection.name, time.time(), error.exit_code), connection.name)
            raise
        except asyncio.CancelledError:
            left = [str(record.path) for record in earlier_records(root, connection.name)]
            telling.say(f"broken off; {_left_in(left)}")
            return ExitCode.INTERRUPTED
        telling.tell(result)
        is_handed_over = telling.hand_over(numbers(result), connection.name)
    code = result.exit_code
    return ExitCode.INCONCLUSIVE if code is ExitCode.PASSED and not is_handed_over else code


def _left_in(records: list[str]) -> str:
    if not records:
        return "nothing was made"
    return f"what may be left, and the next probe takes away, stands in {', '.join(records)}"
