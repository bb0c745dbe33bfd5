"""Hand numbers to Prometheus: a file for node_exporter, or a push to a Pushgateway."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from http.client import HTTPException
from pathlib import Path
from urllib.parse import unquote, urlsplit, urlunsplit

from prometheus_client import CollectorRegistry, Gauge, push_to_gateway, write_to_textfile
from prometheus_client.exposition import basic_auth_handler, default_handler

from fdr.errors import UsageError
from fdr.rundir import writing

PUSH_TIMEOUT_S = 10.0


class Gauges:
    """Makes gauges whose names begin with the job's and that all have the label of the lake."""

    def __init__(self, job: str, lake: str) -> None:
        """Take the name of the job, such as ``fdr_noise``, and of the lake; there are no numbers yet."""
        self.registry = CollectorRegistry()
        self._job = job
        self._lake = lake

    def set(self, name: str, text: str, value: float) -> None:
        """Set a gauge without labels of its own; ``text`` is its help."""
        self.each(name, text, (), [((), value)])

    def each(
        self, name: str, text: str, labels: tuple[str, ...], values: Iterable[tuple[tuple[str, ...], float]]
    ) -> None:
        """Set a gauge for each of these values of its labels."""
        gauge = Gauge(f"{self._job}_{name}", text, ("lake", *labels), registry=self.registry)
        for key, value in values:
            gauge.labels(self._lake, *key).set(value)


@dataclass(frozen=True, slots=True)
class Prometheus:
    """Where a command's numbers go: to a file, to a Pushgateway, to both or to neither."""

    file: Path | None = None
    gateway: str | None = None

    def check(self) -> None:
        """Raise UsageError where numbers could not be handed over."""
        if self.file is not None:
            check_file(self.file)
        if self.gateway is not None:
            check_gateway(self.gateway)

    def hand_over(self, numbers: CollectorRegistry, job: str, lake: str) -> Iterator[str]:
        """Hand numbers over, and yield what went wrong wherever that failed."""
        deeds: list[Callable[[], None]] = []
        if self.file is not None:
            deeds.append(partial(write_file, numbers, self.file))
        if self.gateway is not None:
            deeds.append(partial(push, numbers, self.gateway, job, lake))
        for deed in deeds:
            try:
                deed()
            except UsageError as error:
                yield str(error)


def check_file(path: Path) -> None:
    """Raise UsageError where a file of numbers could not be put in the place of another."""
    if not path.parent.is_dir():
        raise UsageError(f"--prometheus-file {path}: there is no directory {path.parent}")
    if path.is_dir():
        raise UsageError(f"--prometheus-file {path}: is a directory (write for example {path}/fdr.prom)")


def check_gateway(url: str) -> None:
    """Raise UsageError where a URL is not one of a Pushgateway; its password is not shown."""
    try:
        parts = urlsplit(url)
        good = parts.scheme in {"http", "https"} and parts.hostname and (parts.port or True)
    except ValueError:
        good = False
    if not good:
        raise UsageError("--pushgateway: is not a URL (write for example http://127.0.0.1:9091)")


def write_file(registry: CollectorRegistry, path: Path) -> None:
    """Put the numbers in a file at once, so that nobody ever reads half of it; raises UsageError."""
    with writing(path):
        write_to_textfile(str(path), registry)


def push(registry: CollectorRegistry, url: str, job: str, lake: str) -> None:
    """Put the numbers in the place of those that this machine pushed before for a lake.

    The URL may hold a user and a password. Raises UsageError, which tells neither.
    """
    bare, handler = _without_password(url)
    group = {"instance": socket.gethostname(), "lake": lake}
    try:
        push_to_gateway(bare, job, registry, group, timeout=PUSH_TIMEOUT_S, handler=handler)
    except (OSError, ValueError, HTTPException) as error:
        why = getattr(error, "reason", None) or error
        raise UsageError(f"{bare}: the Pushgateway did not take the numbers: {why}") from error


def _without_password(url: str) -> tuple[str, Callable[..., Callable[[], None]]]:
    """Return a URL without user and password, and what pushes with them."""
    parts = urlsplit(url)
    bare = urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))
    if parts.username is None:
        return bare, default_handler
    user, password = unquote(parts.username), unquote(parts.password or "")
    return bare, partial(basic_auth_handler, username=user, password=password)
