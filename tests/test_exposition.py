"""A real Prometheus takes fdr's numbers: from node_exporter's textfile collector and from a Pushgateway."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import threading
import time
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any, ClassVar

import pytest
from prometheus_client import generate_latest
from rich.console import Console

from fdr.errors import UsageError
from fdr.exposition import check_file, check_gateway, push, write_file
from fdr.noise.numbers import JOB, numbers, numbers_of_none
from fdr.noise.pair import Pair, Part, State
from fdr.noise.recipe import Recipe
from fdr.noise.result import Result
from fdr.noise.telling import Telling

A, B, C = "SITE-A", "SITE-B", "SITE-C"
OFF = "is not available for writing"
WITHIN_S = 30
SERVICES = "prometheus", "prometheus-node-exporter", "prometheus-pushgateway"
SECRET = "s3cr3t"
RESULT = Result(
    lake="https://rucio.example.org",
    recipe=Recipe("noise", "noise"),
    parts=(Part(A), Part(B, down="timeout"), Part(C, OFF, OFF)),
    pairs=(
        Pair(A, B, State.OK, "", 12.5, A),
        Pair(B, A, State.FAILED, "timeout"),
        Pair(A, C, State.SKIPPED, OFF),
    ),
    started_at=1000.0,
    known_at=1020.0,
    ended_at=1050.0,
    put_s={A: 0.25},
    left={"replica": 3},
)


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def answer(url: str) -> bytes | None:
    try:
        with urllib.request.urlopen(url, timeout=5) as reply:
            return bytes(reply.read())
    except OSError:
        return None


@contextmanager
def service(*command: str | Path, ready: str) -> Iterator[None]:
    """Run a program until the end of the block, from when it answers at a URL."""
    process = subprocess.Popen(
        [str(word) for word in command], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    try:
        deadline = time.monotonic() + WITHIN_S
        while answer(ready) is None:
            assert process.poll() is None, process.communicate()[0]
            assert time.monotonic() < deadline, f"{command[0]} does not answer"
            time.sleep(0.05)
        yield
    finally:
        process.terminate()
        process.communicate(timeout=WITHIN_S)


def asked(prometheus: str, query: str) -> list[dict[str, Any]]:
    """Return what Prometheus answers to a query, once it has an answer."""
    deadline = time.monotonic() + WITHIN_S
    url = f"{prometheus}/api/v1/query?{urllib.parse.urlencode({'query': query})}"
    while time.monotonic() < deadline:
        found = json.loads(answer(url) or b'{"data": {"result": []}}')["data"]["result"]
        if found:
            return list(found)
        time.sleep(0.2)
    raise AssertionError(f"Prometheus has no {query}")


with_prometheus = pytest.mark.skipif(
    not all(map(shutil.which, SERVICES)), reason=f"install {' '.join(SERVICES)}"
)


@pytest.fixture(scope="module")
def prometheus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A Prometheus that scrapes a node_exporter, with a file of ours, and a Pushgateway that we pushed to."""
    path = tmp_path_factory.mktemp("prometheus")
    ports = {name: free_port() for name in ("node", "gateway", "prometheus")}
    urls = {name: f"http://127.0.0.1:{port}" for name, port in ports.items()}
    (path / "textfile").mkdir()
    scraped = [
        {
            "job_name": name,
            "honor_labels": True,
            "static_configs": [{"targets": [f"127.0.0.1:{ports[name]}"]}],
        }
        for name in ("node", "gateway")
    ]
    config = {"global": {"scrape_interval": "1s"}, "scrape_configs": scraped}
    (path / "prometheus.yml").write_text(json.dumps(config))  # JSON is YAML
    with ExitStack() as leaving:
        leaving.enter_context(
            service(
                "prometheus-node-exporter",
                "--collector.disable-defaults",
                "--collector.textfile",
                f"--collector.textfile.directory={path / 'textfile'}",
                f"--web.listen-address=127.0.0.1:{ports['node']}",
                ready=f"{urls['node']}/metrics",
            )
        )
        leaving.enter_context(
            service(
                "prometheus-pushgateway",
                f"--web.listen-address=127.0.0.1:{ports['gateway']}",
                ready=f"{urls['gateway']}/-/ready",
            )
        )
        write_file(numbers(RESULT, 3), path / "textfile" / "fdr.prom")
        push(numbers(replace(RESULT, pairs=RESULT.pairs[::-1]), 3), urls["gateway"], JOB, "before")
        push(numbers(RESULT, 3), urls["gateway"], JOB, RESULT.lake)
        push(numbers(replace(RESULT, pairs=RESULT.pairs[:1]), 0), urls["gateway"], JOB, "before")
        leaving.enter_context(
            service(
                "prometheus",
                f"--config.file={path / 'prometheus.yml'}",
                f"--storage.tsdb.path={path / 'tsdb'}",
                f"--web.listen-address=127.0.0.1:{ports['prometheus']}",
                ready=f"{urls['prometheus']}/-/ready",
            )
        )
        yield urls["prometheus"]


@with_prometheus
@pytest.mark.parametrize("job", ["node", JOB], ids=["textfile collector", "Pushgateway"])
def test_prometheus_has_a_number_for_every_pair_that_was_tried(prometheus: str, job: str) -> None:
    """By source and destination; skipped pairs are absent, not 0."""
    found = asked(prometheus, f'fdr_noise_pair_ok{{job="{job}",lake="{RESULT.lake}"}}')
    pairs = {(one["metric"]["src"], one["metric"]["dst"]): one["value"][1] for one in found}
    assert pairs == {(A, B): "1", (B, A): "0"}
    (seconds,) = asked(prometheus, f'fdr_noise_pair_duration_seconds{{job="{job}",lake="{RESULT.lake}"}}')
    assert (seconds["metric"]["src"], seconds["value"][1]) == (A, "12.5")


@with_prometheus
def test_a_push_takes_the_place_of_the_last(prometheus: str) -> None:
    """Pairs that are not tried any more do not linger, and lakes do not disturb each other."""
    found = asked(prometheus, f'fdr_noise_pair_ok{{job="{JOB}",lake="before"}}')
    assert [one["metric"]["dst"] for one in found] == [B]


@with_prometheus
def test_an_alert_can_be_written_on_the_numbers(prometheus: str) -> None:
    """The expressions of docs/noise.md find what is wrong."""
    text = (Path(__file__).parents[1] / "docs" / "noise.md").read_text()
    expressions = [line.partition("expr: ")[2] for line in text.splitlines() if "expr: " in line]
    assert len(expressions) >= 2
    for expression in expressions:
        assert asked(prometheus, expression), expression


@with_prometheus
@pytest.mark.parametrize("registry", [numbers(RESULT, 3), numbers_of_none("local", 1.0, 5)])
def test_promtool_finds_nothing_to_say(registry: Any) -> None:
    """Names, units and help are as Prometheus wants them."""
    done = subprocess.run(
        ["promtool", "check", "metrics"],
        input=generate_latest(registry),
        capture_output=True,
        timeout=WITHIN_S,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")


def test_a_file_of_numbers_is_whole_or_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A write that breaks off leaves the old numbers, and nothing beside them."""
    path = tmp_path / "fdr.prom"
    write_file(numbers(RESULT, 3), path)
    before = path.read_text()

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.replace", full)
    monkeypatch.setattr("os.rename", full)
    with pytest.raises(UsageError, match="No space left"):
        write_file(numbers(RESULT, 0), path)
    assert path.read_text() == before
    assert list(tmp_path.iterdir()) == [path]


def test_what_cannot_be_handed_over_is_told_before_the_pass(tmp_path: Path) -> None:
    """A directory that is not there, or a URL that is none; its password is not shown."""
    with pytest.raises(UsageError, match="there is no directory"):
        check_file(tmp_path / "nowhere" / "fdr.prom")
    with pytest.raises(UsageError, match="is a directory"):
        check_file(tmp_path)
    for url in ("127.0.0.1:9091", f"ftp://u:{SECRET}@host", "http://", f"http://u:{SECRET}@host:port"):
        with pytest.raises(UsageError, match="write for example http") as refused:
            check_gateway(url)
        assert SECRET not in str(refused.value)
    check_gateway("https://u:p@gateway.example.org/prefix")


class _Refusing(BaseHTTPRequestHandler):
    """A gateway that takes nothing, and notes how the caller was authorised."""

    seen: ClassVar[list[str | None]] = []

    def do_PUT(self) -> None:
        self.seen.append(self.headers["Authorization"])
        self.send_response(503)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        return


def test_a_gateway_that_takes_nothing_is_told_without_its_password(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Neither in the message nor in the URL that it names; the password is sent as it should."""
    server = HTTPServer(("127.0.0.1", 0), _Refusing)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    url = f"http://user:{SECRET}@127.0.0.1:{server.server_port}"
    telling = Telling(Console(), Console(stderr=True), gateway=url)
    try:
        assert not telling.hand_over(numbers(RESULT, 3), "local")
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
    assert not telling.hand_over(numbers(RESULT, 3), "local")  # and now nobody is there
    told = capsys.readouterr()
    lines = told.err.splitlines()
    assert ["did not take the numbers" in line for line in lines] == [True, True]
    assert SECRET not in told.err + told.out
    assert _Refusing.seen == ["Basic dXNlcjpzM2NyM3Q="]
