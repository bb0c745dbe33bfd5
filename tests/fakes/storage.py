"""A storage in memory that keeps the promises of ``fdr.storage.base.Storage``."""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING

from fdr.errors import LakeError, Refused, Unclear
from fdr.storage.base import Entry, Stat

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fdr.payload import Payload


class FakeStorage:
    """Remembers size and adler32 of every file. Prefixes of URLs can be made read-only, or hung."""

    def __init__(self) -> None:
        """Begin empty and well."""
        self.files: dict[str, Stat] = {}
        self.read_only: set[str] = set()
        self.hung: set[str] = set()
        self.closed = False

    async def put(self, payload: Payload, url: str, *, overwrite: bool = False) -> None:
        """Compute what a storage would, from the bytes."""
        self._begin(url)
        if not overwrite and self._is_there(url):
            raise Refused("exists", f"{url}: the file exists")
        self._check_may_write(url)
        adler32, size_bytes = 1, 0
        for chunk in payload.chunks():
            adler32, size_bytes = zlib.adler32(chunk, adler32), size_bytes + len(chunk)
        if f"{adler32:08x}" != payload.adler32():
            self.files.pop(url, None)
            raise Refused("checksum", f"{url}: adler32 is {adler32:08x}, not {payload.adler32()}")
        self.files[url] = Stat(size_bytes, f"{adler32:08x}")

    async def stat(self, url: str, *, with_checksum: bool = False) -> Stat | None:
        """Return what was put."""
        self._begin(url)
        found = self.files.get(url)
        return found if found is None or with_checksum else Stat(found.size_bytes)

    async def list(self, url: str) -> tuple[Entry, ...]:
        """Return what is directly below, in no promised order."""
        self._begin(url)
        prefix = url.rstrip("/") + "/"
        below = {
            file.removeprefix(prefix): stat for file, stat in self.files.items() if file.startswith(prefix)
        }
        if not below:
            raise Refused("not-found", f"{url}: no such directory")
        files = [Entry(name, False, stat.size_bytes) for name, stat in below.items() if "/" not in name]
        directories = {name.split("/")[0] for name in below if "/" in name}
        return (*files, *(Entry(name, True, 0) for name in directories))

    async def delete(self, urls: Sequence[str]) -> dict[str, LakeError]:
        """Forget the files."""
        failed: dict[str, LakeError] = {}
        for url in urls:
            try:
                self._begin(url)
                if url in self.files:
                    self._check_may_write(url)
                    del self.files[url]
            except LakeError as error:
                failed[url] = error
        return failed

    async def check_writable(self, url: str) -> None:
        """Refuse where a put would be refused."""
        self._begin(url)
        self._check_may_write(url)

    async def close(self) -> None:
        """Note that it was closed."""
        self.closed = True

    def _is_there(self, url: str) -> bool:
        return url in self.files or any(file.startswith(url + "/") for file in self.files)

    def _begin(self, url: str) -> None:
        if any(url.startswith(prefix) for prefix in self.hung):
            raise Unclear("timeout", f"{url}: no answer")

    def _check_may_write(self, url: str) -> None:
        if any(url.startswith(prefix) for prefix in self.read_only):
            raise Refused("permission", f"{url}: permission denied")
