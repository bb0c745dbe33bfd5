"""The stand-in answers what a real FTS3 answered: every recorded exchange, asked again."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from fdr.lake.fts.job import Ending
from tests.fts_scripted import Client, ScriptedCrew, stand_in, until

VECTORS = Path(__file__).parent / "fts_vectors" / "exchanges.json"
FIRST_WITH_SERVER = "submit-plain-success"
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d")
HOME = ("pid", "file_id", "hashed_id", "log_file", "transfer_host", "submit_host", "cred_id", "delegation_id")
MEASURED = ("tx_duration", "throughput")
# What the stand-in has nothing to say of: it writes no log for each transfer, and no storage has tape.
UNSAID = ("log_file", "staging_host", "bringonline_token")


async def test_every_recorded_question_gets_the_recorded_answer(tmp_path: Path) -> None:
    """The questions put to a real FTS3 get the same status, the same fields and the same values."""
    recorded = json.loads(VECTORS.read_text())["exchanges"]
    begin = next(at for at, exchange in enumerate(recorded) if exchange["name"] == FIRST_WITH_SERVER)
    replay = Replay(recorded)

    async with stand_in(tmp_path, replay.crew, workers=0) as client:
        for exchange in recorded[:begin]:
            await replay.ask(client, exchange)
    async with stand_in(tmp_path, replay.crew) as client:
        for exchange in recorded[begin:]:
            await replay.ask(client, exchange)
    assert not replay.differences, "\n".join(replay.differences)
    assert replay.compared >= 100


class Replay:
    """Asks recorded questions and notes where the answers differ."""

    def __init__(self, recorded: list[dict[str, Any]]) -> None:
        """Take the exchanges; what happened outside of FTS in them becomes the crew's script."""
        self.crew = ScriptedCrew(dict(_endings(recorded)))
        self.differences: list[str] = []
        self.compared = 0
        self._ids: dict[str, str] = {}

    async def ask(self, client: Client, exchange: dict[str, Any]) -> None:
        """Ask one question, wait until the job is as far as it was, and compare."""
        name, expected = exchange["name"], exchange["answer"]
        path = exchange["path"]
        for theirs, ours in self._ids.items():
            path = path.replace(theirs, ours)
        body = exchange["raw_body"].encode() if "raw_body" in exchange else exchange.get("body")

        async def answered() -> Any:
            answer = await client.ask(exchange["method"], path, body)
            return answer if exchange["method"] != "GET" or _is_as_far(answer.content, expected) else None

        try:
            answer = await until(answered)
        except TimeoutError:
            answer = await client.ask(exchange["method"], path, body)
        self.compared += 1
        if isinstance(expected, dict) and set(expected) == {"job_id"} and answer.status == 200:
            self._ids[expected["job_id"]] = answer.content["job_id"]
        if answer.status != exchange["status"]:
            self.differences.append(f"{name}: status {answer.status}, not {exchange['status']}")
        self._compare(name, self._plain(answer.content, ours=True), self._plain(expected, ours=False))

    def _compare(self, where: str, ours: Any, theirs: Any) -> None:
        if isinstance(ours, dict) and isinstance(theirs, dict):
            for key in ours.keys() ^ theirs.keys():
                self.differences.append(f"{where}: {key} is {'ours' if key in ours else 'theirs'} only")
            for key in ours.keys() & theirs.keys():
                self._compare(f"{where}.{key}", ours[key], theirs[key])
        elif isinstance(ours, list) and isinstance(theirs, list) and len(ours) == len(theirs):
            for at, pair in enumerate(zip(ours, theirs, strict=True)):
                self._compare(f"{where}[{at}]", *pair)
        elif ours != theirs:
            self.differences.append(f"{where}: {ours!r}, not {theirs!r}")

    def _plain(self, value: Any, ours: bool, key: str = "") -> Any:
        """Return a value without what no two services share: times, ids of rows and processes, hosts."""
        if isinstance(value, dict):
            return {
                name: None if name in UNSAID else self._plain(item, ours, name)
                for name, item in value.items()
            }
        if isinstance(value, list):
            items = [self._plain(item, ours) for item in value]
            return sorted(items) if items and all(isinstance(item, str) for item in items) else items
        if key in HOME and value is not None:
            return "some"
        if key in MEASURED and value:
            return "measured"
        if isinstance(value, str) and not ours:
            return TIME.sub("TIME", self._ids.get(value, value))
        return TIME.sub("TIME", value) if isinstance(value, str) else value


def _is_as_far(ours: Any, theirs: Any) -> bool:
    if isinstance(ours, list) and isinstance(theirs, list):
        return len(ours) == len(theirs) and all(_is_as_far(a, b) for a, b in zip(ours, theirs, strict=True))
    if not isinstance(ours, dict) or not isinstance(theirs, dict):
        return True
    states = all(ours.get(key) == theirs.get(key) for key in ("job_state", "file_state") if key in theirs)
    ended = (ours.get("finish_time") is None) == (theirs.get("finish_time") is None)
    return states and ended and _is_as_far(ours.get("files"), theirs.get("files"))


def _endings(recorded: list[dict[str, Any]]) -> Iterator[tuple[tuple[str, str, bool], Ending]]:
    """Yield how every copy of the record ended, by source, destination and leave to overwrite."""
    for exchange in recorded:
        if exchange["method"] == "POST" and exchange["name"] == "deterministic-id":
            file = exchange["body"]["files"][0]
            yield (file["sources"][0], file["destinations"][0], True), Ending(filesize=1, duration_s=1.0)
        answer = exchange["answer"]
        if exchange["method"] != "GET" or not isinstance(answer, dict):
            continue
        for file in answer.get("files", []):
            if file["file_state"] not in ("FINISHED", "FAILED"):
                continue
            reason = file["reason"]
            moved = not reason.startswith(("SOURCE", "DESTINATION", "STAGING"))
            size = 0 if reason.startswith("SOURCE") else 1048576
            ending = Ending(reason, "CheckSum" in reason, size, 2.5 if moved else 0.0, "3rd pull")
            yield (file["source_surl"], file["dest_surl"], answer["overwrite_flag"] == "Y"), ending
