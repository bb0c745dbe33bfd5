"""What FTS knows of a URL: which storage it is on, and whether two name the same file. Pure."""

from __future__ import annotations

import re
from urllib.parse import SplitResult, parse_qsl, urlencode, urlsplit, urlunsplit

DEFAULT_PORTS = {"root": 1094, "davs": 443, "https": 443, "http": 80, "dav": 80}


def storage(url: str) -> str:
    """Return the storage a URL is on: scheme and host, without the port, as FTS3 tells them apart."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.hostname}"


def check_url(url: str) -> str:
    """Return the URL without surrounding blanks; raise ValueError when FTS3 would not take it."""
    url = url.strip()
    parts = urlsplit(url)
    if not parts.scheme:
        raise ValueError(f"Missing scheme ({url})")
    if parts.scheme == "file":
        raise ValueError(f"Can not transfer local files ({url})")
    if not parts.path or (parts.path == "/" and not parts.query):
        raise ValueError(f"Missing path ({url})")
    if not parts.hostname:
        raise ValueError(f"Missing host ({url})")
    _port(parts)  # raises for a port that is no number
    return url


def with_activity(url: str, activity: str) -> str:
    """Return a root:// URL that names its activity, as FTS3 asks a tape system to bring a file online."""
    parts = urlsplit(url)
    if parts.scheme != "root":
        return url
    query = urlencode([*parse_qsl(parts.query), ("activity", activity)])
    return urlunsplit(parts._replace(query=query))


def is_same_file(one: str, other: str) -> bool:
    """Return whether two URLs may name the same file: one host and path, and not two ports of one scheme.

    Two schemes on one host are taken for two doors of one storage. It is better to refuse a copy
    that would have worked than to lose a file by overwriting it with itself.
    """
    a, b = urlsplit(one), urlsplit(other)
    if a.hostname != b.hostname or _path(a) != _path(b):
        return False
    return a.scheme != b.scheme or _port(a) == _port(b)


def _path(parts: SplitResult) -> str:
    return re.sub(r"/+", "/", parts.path)


def _port(parts: SplitResult) -> int | None:
    return parts.port or DEFAULT_PORTS.get(parts.scheme)
