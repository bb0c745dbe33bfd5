"""Put, sum, read back and delete one file at each URL given, and print what went wrong as JSON.

It runs in the lake's environment, as a program of its own: gfal2 keeps what it found in the process's
environment for good.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
import zlib
from concurrent.futures import ThreadPoolExecutor, wait
from pathlib import Path

import gfal2

CONTENT = b"A file that fdr puts, reads back and deletes to see whether a storage works.\n" * 64


AT_ONCE = 16
WITHIN_S = 30  # an idle machine takes 3 s for thirty URLs


def main(urls: list[str]) -> None:
    """Probe every URL, and print {URL: reason} for those that failed; null if there was no answer in time."""
    with tempfile.TemporaryDirectory(prefix="fdr-probe-") as directory:
        source = Path(directory) / "file"
        source.write_bytes(CONTENT)
        pool = ThreadPoolExecutor(AT_ONCE)
        probes = {url: pool.submit(probe, url, source) for url in urls}
        wait(probes.values(), WITHIN_S)
        reasons = {url: future.result() if future.done() else None for url, future in probes.items()}
    print(json.dumps({url: reason for url, reason in reasons.items() if reason != ""}), flush=True)
    os._exit(0)  # what hangs is left behind


def probe(url: str, source: Path) -> str:
    """Return why the storage does not work, empty when it does."""
    context = gfal2.creat_context()
    step = "put"
    try:
        parameters = context.transfer_parameters()
        parameters.overwrite = True
        parameters.create_parent = True
        parameters.timeout = 30
        context.filecopy(parameters, source.as_uri(), url)
        step = "checksum"
        found = context.checksum(url, "ADLER32")
        if int(found, 16) != zlib.adler32(CONTENT):
            return f"the file has the wrong checksum {found}"
        step = "read"
        with tempfile.TemporaryDirectory(prefix="fdr-probe-") as directory:
            copy = Path(directory) / "copy"
            context.filecopy(parameters, url, copy.as_uri())
            if copy.read_bytes() != CONTENT:
                return "the file came back altered"
        step = "delete"
        context.unlink(url)
    except gfal2.GError as error:
        return f"{step}: {error}"
    return ""


if __name__ == "__main__":
    main(sys.argv[1:])
