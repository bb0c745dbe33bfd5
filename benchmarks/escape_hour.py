"""The whole 2020 rehearsal in an hour, with files of 1 kB: does the lake carry it, and what gives in first?

Usage: python -m benchmarks.escape_hour [MINUTES] [DIRECTORY] [GRACE]

All nine sciences on fourteen RSEs at 24 times the speed of 2020: 228 files a second are due, and copies are
streamed. MINUTES below 60 take as much less of the day, at the same rate. The report is kept in DIRECTORY;
rules are followed for GRACE (10m) after the last file, and then every file is audited.
"""

from __future__ import annotations

import json
import shutil
import sys
from collections import Counter
from pathlib import Path

import yaml

from benchmarks.stage import heading, stage
from fdr.journal.reader import read_journal
from fdr.model import GeneratorUsage, Note, Outcome

ESCAPE = Path(__file__).parents[1] / "scenarios" / "escape-fdr-2020.yaml"
SPEED = 24
SAMPLES_S = 10  # a sample is taken within so long


def main() -> None:
    """Run, and print what became of it."""
    minutes = float(sys.argv[1]) if len(sys.argv) > 1 else 60
    kept = Path(sys.argv[2]) if len(sys.argv) > 2 else None
    experiments = yaml.safe_load(ESCAPE.read_text())["experiments"]
    sets = [f"--set=experiments.{name}.inject.size=1 kB" for name in experiments]
    sets += [
        f"--set=grace={sys.argv[3] if len(sys.argv) > 3 else '10m'}",
        "--set=limits.requests_per_second=1_000",
    ]
    share = minutes / 60
    with stage(copy_mode="streamed") as at:
        run_dir = at.folder / "run"
        options = [f"--speed={SPEED}", f"--scale={share}", f"--duration={share * 24 * 3600:.0f}s", *sets]
        done = at.fdr("run", ESCAPE, "--run-dir", run_dir, *options)
        print(done.stdout[-6000:], done.stderr[-2000:])
        tell(run_dir)
        if kept is not None:
            kept.mkdir(parents=True, exist_ok=True)
            for name in ("report.html", "report.json"):
                shutil.copy(run_dir / name, kept)


def tell(run_dir: Path) -> None:
    """Print the rates at which files were put and registered, the busiest services, and fdr's own share."""
    report = json.loads((run_dir / "report.json").read_text())
    with read_journal(run_dir / "journal.sqlite") as reader:
        begun = reader.started.started_at
        events = list(reader.events())
    over = next(event.at for event in events if isinstance(event, Note) and event.kind == "injected")
    by_minute: dict[str, Counter[int]] = {"put": Counter(), "register": Counter()}
    for event in events:
        if isinstance(event, Outcome) and event.step in by_minute and event.ending == "ok":
            by_minute[event.step][int((event.ended_at - begun) / 60)] += 1
    print(heading())
    for step, counts in by_minute.items():
        rates = " ".join(f"{counts[minute] / 60:.0f}" for minute in range(int((over - begun) / 60)))
        print(f"{step} a second, minute by minute: {rates}")
    files = Counter[str]()
    for told in report["experiments"].values():
        files.update({key: told["files"][key] for key in ("planned", "ok", "failed", "unknown", "dropped")})
    print(dict(files))
    usage = [event for event in events if isinstance(event, GeneratorUsage) and event.at <= over + SAMPLES_S]
    cores = (usage[-1].cpu_seconds - usage[0].cpu_seconds) / (usage[-1].at - usage[0].at)
    done = sum(counts.total() for counts in by_minute.values()) / 2
    print(
        f"fdr while it injected: {cores:.2f} of a core,"
        f" about {cores * (over - begun) / done * 1000:.2f} ms a file"
    )
    for service in sorted(report["services"], key=lambda one: -one["cpu_mean"])[:8]:
        print(
            f"  {service['service']:28} {service['cpu_mean']:.2f} of a core, peak {service['cpu_peak']:.2f}"
        )


if __name__ == "__main__":
    main()
