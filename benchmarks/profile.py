"""Where the CPU time of Python goes in an injection, by a sampling profiler: to which functions of fdr.

Usage: python -m benchmarks.profile [FILES] [CHECKOUT]

FILES of 1 kB are due within a second. A sample of the thread that holds Python's lock counts for the
innermost function of fdr on its stack, with what that calls of other libraries; what gfal2 does without the
lock is not seen. CHECKOUT is another checkout of fdr to look at, such as one of an earlier commit.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path

from benchmarks.stage import FDR, heading, one_experiment, stage

RATE = 200  # samples a second
SHOWN = 15
FRAME = re.compile(r"(?P<function>\S+) \((?P<file>.+?)(:\d+)?\)$")


def main() -> None:
    """Profile one run, and print the functions that took most of it."""
    files = int(sys.argv[1]) if len(sys.argv) > 1 else 5000
    checkout = Path(sys.argv[2]).resolve() if len(sys.argv) > 2 else Path(__file__).parents[1]
    with stage() as at:
        scenario = at.scenario("injection", one_experiment("injection", files, "1s"))
        stacks = at.folder / "stacks.txt"
        profiler = [
            FDR.with_name("py-spy"),
            "record",
            "--gil",
            "--rate",
            RATE,
            "--format",
            "raw",
            "--full-filenames",
        ]
        command = [sys.executable, "-m", "fdr", "run", scenario, "--run-dir", at.folder / "run"]
        done = subprocess.run(
            [str(word) for word in (*profiler, "--output", stacks, "--", *command)],
            cwd=checkout,
            env=at.environment | {"PYTHONPATH": str(checkout)},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        if not stacks.exists():
            sys.exit(done.stdout[-2000:] + done.stderr[-2000:])
        samples = by_function(stacks.read_text(), checkout / "fdr")
        report = json.loads((at.folder / "run" / "report.json").read_text())
    print(heading())
    total = samples.total()
    put = sum(experiment["files"]["ok"] for experiment in report["experiments"].values())
    print(f"{total / RATE:.2f} s of running Python, {total / RATE / put * 1000:.3f} ms for each of", end=" ")
    print(f"{put} files, of which")
    for function, count in samples.most_common(SHOWN):
        print(f"  {count / total:6.1%}  {count / RATE / put * 1000:.3f} ms  {function}")


def by_function(stacks: str, package: Path) -> Counter[str]:
    """Count the samples by the innermost function that lies in a package, from py-spy's collapsed stacks."""
    samples = Counter[str]()
    for line in stacks.splitlines():
        stack, _, count = line.rpartition(" ")
        frames = [found for frame in stack.split(";") if (found := FRAME.match(frame))]
        own = (
            f"{os.path.relpath(frame['file'], package.parent)} {frame['function']}"
            for frame in reversed(frames)
            if Path(frame["file"]).is_relative_to(package)
        )
        samples[next(own, "no function of fdr")] += int(count)
    return samples


if __name__ == "__main__":
    main()
