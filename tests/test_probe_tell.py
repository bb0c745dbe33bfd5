"""A probe is told truly: in a line, as matrices, as JSON, to Prometheus, and by its exit code."""

from __future__ import annotations

import io
import json
import re
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import generate_latest
from rich.console import Console

from fdr.errors import ExitCode
from fdr.probe.asked import Asked, Part
from fdr.probe.numbers import numbers, numbers_of_none
from fdr.probe.plan import Copy, Row
from fdr.probe.result import STEPS, Copied, Left, Result, State, Step, Tried
from fdr.probe.site import Site
from fdr.probe.tell import as_json, details, matrices, summary

OK, FAILED, SKIPPED = State.OK, State.FAILED, State.SKIPPED
GOOD_STEP = Step(OK, 0.25)
BAD_STEP = Step(FAILED, 1.0, "timeout", "no answer in 30 s")


def tried(rse: str, scheme: str = "root", **steps: Step) -> Tried:
    row = Row(rse, scheme, f"{scheme}://{rse.lower()}/")
    return Tried(row, dict.fromkeys(STEPS, GOOD_STEP) | steps)


GOOD = Result(
    probe="20261127T210000-7f3a",
    lake="local",
    asked=Asked(),
    sites=(Site("A", fts="https://fts"), Site("B", fts="https://fts")),
    rows=(tried("A"), tried("B")),
    copies=(
        Copied(Copy("A", "B", "https://fts"), OK, 3.0, job="j", started="2026-11-27T21:00:01"),
        Copied(Copy("B", "A", "https://fts"), OK, 4.0),
    ),
    started_at=1000.0,
    ended_at=1012.0,
)
BAD = replace(
    GOOD,
    rows=(tried("A", get=BAD_STEP), tried("B")),
    copies=(
        Copied(Copy("A", "B"), FAILED, None, "destination", "DESTINATION [28] No space left"),
        Copied(Copy("B", "A"), SKIPPED, message="A is not available for reading"),
    ),
    left=Left({"root://a/f": "timeout: no answer"}, {}, {"j": "still"}),
    record="runs/probe-x.json",
)


def with_steps(*states: State) -> Result:
    rows = tuple(tried("A", **dict.fromkeys(STEPS, Step(state, 1.0))) for state in states)
    return replace(GOOD, rows=rows, copies=())


@pytest.mark.parametrize(
    ("result", "code"),
    [
        (GOOD, ExitCode.PASSED),
        (BAD, ExitCode.OBJECTIVE_FAILED),
        (with_steps(OK, FAILED), ExitCode.OBJECTIVE_FAILED),
        (with_steps(OK, SKIPPED), ExitCode.PASSED),
        (with_steps(SKIPPED), ExitCode.INCONCLUSIVE),
        (with_steps(), ExitCode.INCONCLUSIVE),
        (replace(GOOD, copies=BAD.copies), ExitCode.OBJECTIVE_FAILED),
        (replace(BAD, was_interrupted=True), ExitCode.INTERRUPTED),
    ],
)
def test_the_exit_code_is_of_what_was_tried(result: Result, code: ExitCode) -> None:
    """What is skipped is nobody's failure, and nothing tried is no success."""
    assert result.exit_code is code


def test_a_good_probe_is_one_short_line() -> None:
    """What was tried, how long it took, and that nothing is left."""
    assert summary(GOOD) == (
        "probe 20261127T210000-7f3a: storages: 10 of 10 steps ok; transfers: 2 of 2 ok; 12s; nothing left"
    )
    only = replace(GOOD, asked=Asked(parts=frozenset({Part.STORAGES})), copies=())
    assert "transfers" not in summary(only)


def test_the_line_names_what_went_wrong_and_what_may_be_left() -> None:
    """And who is not available; it stays a line."""
    told = summary(replace(BAD, sites=(Site("A", off=frozenset({"read"})), Site("B"))))
    assert "storages: 9 of 10 steps ok, 1 failed; transfers: 0 of 1 ok, 1 failed, 1 skipped" in told
    assert "; A is not available for reading; A root: get failed: timeout: no answer in 30 s; " in told
    assert "A > B failed: DESTINATION [28] No space left" in told
    assert told.endswith("; may be left for the next probe: 1 files, 1 FTS jobs (runs/probe-x.json)")


def test_what_is_alike_is_told_once() -> None:
    """An FTS that is down fails every pair; the line has room for other things."""
    copies = tuple(
        Copied(Copy(a, b), FAILED, message="FTS: no answer\n" * 99) for a in "ABC" for b in "ABC" if a != b
    )
    told = summary(replace(GOOD, copies=copies))
    assert "\n" not in told
    assert "; A > B and 5 more failed: FTS: no answer" in told
    assert "B > A" not in told
    assert told.endswith("…; nothing left")
    many = with_steps(*[FAILED] * 3)
    assert "and 12 other failures" in summary(many)


def test_earlier_probes_are_told_of() -> None:
    """What they left is gone, or is not."""
    assert "; took away what 1 earlier probe left; nothing left" in summary(replace(GOOD, earlier=1))
    still = replace(GOOD, earlier=2, earlier_left=Left({"u": "why"}))
    assert "; took away what 2 earlier probes left, but for 1 files; nothing left" in summary(still)
    assert "may be left: u: why" in list(details(still))


def rows_of(result: Result) -> list[list[list[str]]]:
    told = []
    for _, table in matrices(result):
        text = io.StringIO()
        Console(file=text, width=100).print(table)
        told.append([line.split() for line in text.getvalue().splitlines()])
    return told


def test_matrices_show_every_step_and_every_pair() -> None:
    """Rows are protocols and sources; nothing is on the diagonal."""
    storages, transfers = rows_of(BAD)
    assert storages == [
        ["RSE", "protocol", *STEPS],
        ["A", "root", "250ms", "250ms", "250ms", "failed", "250ms"],
        ["B", "root", "250ms", "250ms", "250ms", "250ms", "250ms"],
    ]
    assert transfers == [
        ["from", "\\", "to", "1", "2"],
        ["1", "A", "·", "failed"],
        ["2", "B", "skipped", "·"],
    ]
    assert [heading.partition(":")[0] for heading, _ in matrices(BAD)] == ["storages", "transfers"]


def test_two_doors_of_one_scheme_are_told_apart() -> None:
    """By their URLs."""
    doors = [Tried(Row("A", "root", f"root://{host}/"), dict.fromkeys(STEPS, GOOD_STEP)) for host in "xy"]
    storages, *_ = rows_of(replace(GOOD, rows=tuple(doors)))
    assert [row[1] for row in storages[1:]] == ["root://x/", "root://y/"]


def test_details_say_what_the_matrices_cannot() -> None:
    """Failures first, then what was skipped and why, then what may be left."""
    skipped = tried(
        "B", **dict.fromkeys(STEPS[1:], Step(SKIPPED, message="the file was not put")), put=BAD_STEP
    )
    result = replace(BAD, rows=(BAD.rows[0], skipped, Tried(Row("X", missing="is none"), BAD.rows[0].steps)))
    assert list(details(result)) == [
        "A root: get failed: timeout: no answer in 30 s",
        "B root: put failed: timeout: no answer in 30 s",
        "X is none",
        "A > B: failed: DESTINATION [28] No space left",
        "B root: stat, checksum, get, delete skipped: the file was not put",
        "B > A: skipped: A is not available for reading",
        "may be left: root://a/f: timeout: no answer",
        "may be left: j: still",
    ]


def test_json_has_all_of_it() -> None:
    """Programs read every step and pair with state, duration and reason."""
    told = json.loads(json.dumps(as_json(BAD)))
    assert (told["schema"], told["exit_code"], told["duration_s"]) == ("fdr-probe/1", 3, 12)
    assert told["counts"]["steps"] == {"ok": 9, "failed": 1, "skipped": 0}
    assert told["storages"][0]["steps"]["get"] == {
        "state": "failed", "duration_s": 1.0, "reason": "timeout", "message": "no answer in 30 s",
    }  # fmt: skip
    assert told["transfers"][1]["state"] == "skipped"
    assert told["left"]["files"] == {"root://a/f": "timeout: no answer"}
    assert told["record"] == "runs/probe-x.json"
    good = as_json(GOOD)["transfers"][0]
    assert (good["job"], good["started_at"], good["finished_at"]) == ("j", "2026-11-27T21:00:01Z", None)


def gauges(result: Result) -> Mapping[str, float]:
    lines = generate_latest(numbers(result)).decode().splitlines()
    return {
        name: float(value) for name, _, value in (line.rpartition(" ") for line in lines if line[0] != "#")
    }


def test_prometheus_gets_what_was_tried() -> None:
    """1 or 0 for every step and pair; those that were skipped are absent; durations of those that are ok."""
    rows = (*BAD.rows, tried("C", **dict.fromkeys(STEPS, Step(SKIPPED))))
    sites = (Site("A", off=frozenset({"read"})), Site("X", missing="gone"))
    found = gauges(replace(BAD, rows=rows, sites=sites))
    assert not [name for name in found if 'rse="C"' in name]
    step = '{endpoint="root://a/",lake="local",protocol="root",rse="A",step="get"}'
    assert found[f"fdr_probe_step_ok{step}"] == 0
    assert f"fdr_probe_step_duration_seconds{step}" not in found
    assert found[f"fdr_probe_step_ok{step.replace('get', 'put')}"] == 1
    pairs = {name: value for name, value in found.items() if "transfer_ok" in name}
    assert pairs == {'fdr_probe_transfer_ok{dst="B",lake="local",src="A"}': 0}
    assert found['fdr_probe_transfers{lake="local",state="skipped"}'] == 1
    assert found['fdr_probe_rse_available{lake="local",operation="read",rse="A"}'] == 0
    assert not [name for name in found if 'rse="X"' in name]
    assert found['fdr_probe_left{kind="file",lake="local"}'] == 1
    assert found['fdr_probe_last_exit_code{lake="local"}'] == 3


def test_without_a_lake_prometheus_gets_the_exit_code_alone() -> None:
    """So that old numbers do not stay."""
    told = generate_latest(numbers_of_none("local", 5.0, 5)).decode()
    assert 'fdr_probe_last_exit_code{lake="local"} 5.0' in told
    assert "step_ok" not in told


@pytest.mark.skipif(shutil.which("promtool") is None, reason="install prometheus")
@pytest.mark.parametrize("registry", [numbers(BAD), numbers_of_none("local", 1.0, 5)])
def test_promtool_finds_nothing_to_say(registry: object) -> None:
    """Names, units and help are as Prometheus wants them."""
    done = subprocess.run(
        ["promtool", "check", "metrics"],
        input=generate_latest(registry),  # type: ignore[arg-type]
        capture_output=True,
        timeout=30,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")


DOCUMENT = (Path(__file__).parents[1] / "docs" / "probe.md").read_text()


def test_the_documents_name_the_numbers_there_are() -> None:
    """All of them, and no other."""
    told = set(re.findall(r"`(fdr_probe_\w+)`", DOCUMENT))
    assert told == set(re.findall(r"^# HELP (\w+)", generate_latest(numbers(BAD)).decode(), re.MULTILINE))
    assert told >= set(re.findall(r"(fdr_probe_\w+)", DOCUMENT)) - {"fdr_probe"}


def test_the_documents_name_every_member_of_the_json() -> None:
    """And every member of what stands in it."""

    def members(value: Any) -> set[str]:
        if isinstance(value, list):
            return set().union(*map(members, value))
        return set(value).union(*map(members, value.values())) if isinstance(value, dict) else set()

    (contract,) = re.findall(r"```\n(\{\"schema\".*?)```", DOCUMENT, re.DOTALL)
    told = set(re.findall(r"\"(\w+)\"", contract))
    data = {"root://a/f", "j"}  # what is left is named by URL and id
    assert members(as_json(BAD)) - data == told - {"read", "write"}


@pytest.mark.skipif(shutil.which("promtool") is None, reason="install prometheus")
def test_the_alerts_of_the_documents_are_such_as_prometheus_takes(tmp_path: Path) -> None:
    """As they stand there."""
    (rules,) = re.findall(r"```yaml\n(groups:.*?)```", DOCUMENT, re.DOTALL)
    (tmp_path / "rules.yml").write_text(rules)
    done = subprocess.run(
        ["promtool", "check", "rules", tmp_path / "rules.yml"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "3 rules found" in done.stdout
