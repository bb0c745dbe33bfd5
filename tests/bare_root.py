"""Follow a Dockerfile step by step in a bare Debian root, and run commands in what it makes; without Docker.

Each step's files are a layer of an overlay file system, kept in a cache under a name that follows from all
that went into it, as Docker keeps them. Steps and commands run in a chroot with mounts of their own, which
are gone with the process. Needs root, mmdebstrap and Linux.
"""

from __future__ import annotations

import glob
import hashlib
import json
import os
import re
import shlex
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

CACHE = Path("/var/cache/fdr/layers")
KEPT_S = 7 * 86400  # a layer that nobody used for so long goes
STEP_WITHIN_S = 600
MIRROR = "http://deb.debian.org/debian"
RELEASES = {"debian:12": "bookworm"}
PROGRAMS = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
# How this machine reaches the registries: no part of an image, and so not of a layer's name either.
REGISTRIES = {name: value for name, value in os.environ.items() if name.startswith("PIP_")}
TRUSTED = "/etc/ssl/certs/ca-certificates.crt"

IN_ROOT = """\
set -e
mount -t tmpfs tmpfs "$work"
mkdir "$work/root" "$work/upper" "$work/work"
if [ -n "$upper" ]; then
  mount -t overlay overlay -o "lowerdir=$lower,upperdir=$upper/files,workdir=$upper/work" "$work/root"
elif [ -n "$readonly" ]; then
  mount -t overlay overlay -o "lowerdir=$work/upper:$lower" "$work/root"
else
  mount -t overlay overlay -o "lowerdir=$lower,upperdir=$work/upper,workdir=$work/work" "$work/root"
fi
cd "$work/root"
"""


@dataclass(frozen=True)
class Image:
    """What a Dockerfile makes: layers, the lowest first, and how commands run on them."""

    layers: tuple[Path, ...]
    environment: Mapping[str, str] = field(default_factory=lambda: {"PATH": PROGRAMS})
    directory: str = "/"
    user: str = "0:0"
    entrypoint: tuple[str, ...] = ()
    command: tuple[str, ...] = ()
    health: tuple[str, ...] = ()

    def start(
        self,
        arguments: Sequence[str] | None = None,
        *,
        entrypoint: Sequence[str] | None = None,
        environment: Mapping[str, str] | None = None,
        mounts: Mapping[Path, str] | None = None,
        read_only: bool = False,
        within_s: float = 300,
    ) -> subprocess.CompletedProcess[str]:
        """Run a container's command to its end; standard error goes where standard output does.

        ``mounts`` are directories or files of this machine, by where the command finds them; their places
        must be there in the image where it is ``read_only``. The network is this machine's.
        """
        words = [
            *(self.entrypoint if entrypoint is None else entrypoint),
            *(self.command if arguments is None else arguments),
        ]
        script = IN_ROOT + _mounting(mounts or {}, read_only) + _chroot(self, words, environment or {})
        return _shell(script, self.layers, None, within_s, read_only=read_only)


def build(dockerfile: Path) -> Image:
    """Follow a Dockerfile, its directory being the context, and return the image.

    Raises AssertionError with the end of the output when a step fails, ValueError for what is not known.
    """
    dockerfile = dockerfile.resolve()
    image, key = Image(()), "2"
    for word, rest in instructions(dockerfile.read_text()):
        key = hashlib.sha256(f"{key}\n{word} {rest}\n{image.environment}\n{image.user}".encode()).hexdigest()
        match word:
            case "FROM":
                image = replace(image, layers=(_layer(key, partial(_debian, rest)),))
            case "RUN":
                image = _with(image, key, "", rest)
            case "COPY":
                *sources, target = rest.split()
                key = _with_contents(key, dockerfile.parent, sources)
                copying = _copying(dockerfile.parent, sources, target, image.directory)
                image = _with(image, key, copying, "true")
            case "ENV":
                new = dict(part.split("=", 1) for part in shlex.split(rest))
                image = replace(image, environment={**image.environment, **new})
            case "WORKDIR":
                image = replace(image, directory=rest)
                image = _with(image, key, f"mkdir -p .{shlex.quote(rest)}\n", "true")
            case "USER":
                image = replace(image, user=rest)
            case "ENTRYPOINT":
                image = replace(image, entrypoint=tuple(json.loads(rest)))
            case "CMD":
                image = replace(image, command=tuple(json.loads(rest)))
            case "HEALTHCHECK":
                image = replace(image, health=tuple(json.loads(rest.partition("CMD ")[2])))
            case _:
                raise ValueError(f"{dockerfile}: {word} is not known here")
    _forget_old()
    return image


def instructions(text: str) -> list[tuple[str, str]]:
    """Return the instructions of a Dockerfile, each with the rest of its lines."""
    lines = "\n".join(line for line in text.splitlines() if not line.lstrip().startswith("#"))
    whole = re.sub(r"\\\n\s*", " ", lines)
    words = (line.split(maxsplit=1) for line in whole.splitlines() if line.strip())
    return [(word.upper(), rest.strip()) for word, rest in words]


def _with(image: Image, key: str, before: str, command: str) -> Image:
    """Return the image with a layer more: what a shell command changed in it."""

    def make(new: Path) -> None:
        machine = _mounting({Path("/etc/resolv.conf"): "/etc/resolv.conf"}, False)
        # The CAs of this machine: its way to the registries may have one of its own.
        machine += f"mkdir -p ./run/machine\nmount --bind {TRUSTED} ./run/machine/cas 2>/dev/null || "
        machine += f"{{ touch ./run/machine/cas; mount --bind {TRUSTED} ./run/machine/cas; }}\n"
        registries = REGISTRIES | ({"PIP_CERT": "/run/machine/cas"} if Path(TRUSTED).exists() else {})
        words = ["/bin/sh", "-c", command]
        extra = {**registries, "DEBIAN_FRONTEND": "noninteractive"}
        script = IN_ROOT + before + (machine + _chroot(image, words, extra) if command != "true" else "")
        done = _shell(script, image.layers, new, STEP_WITHIN_S)
        assert done.returncode == 0, f"{command}\n{done.stdout[-3000:]}"
        shutil.rmtree(new / "files" / "run" / "machine", ignore_errors=True)

    return replace(image, layers=(*image.layers, _layer(key, make)))


def _layer(key: str, make: Callable[[Path], None]) -> Path:
    kept = CACHE / key
    if not kept.exists():
        CACHE.mkdir(parents=True, exist_ok=True)
        new = Path(tempfile.mkdtemp(dir=CACHE, prefix="new-"))
        new.chmod(0o755)
        (new / "files").mkdir()
        (new / "work").mkdir()
        try:
            make(new)
            new.rename(kept)
        except OSError:
            if not kept.exists():  # else somebody else was as quick
                raise
        finally:
            shutil.rmtree(new, ignore_errors=True)
    os.utime(kept)
    return kept / "files"


def _debian(name: str, new: Path) -> None:
    release = next(release for tag, release in RELEASES.items() if tag in name)
    options = ["--quiet", "--variant=minbase", "--dpkgopt=path-exclude=/usr/share/doc/*"]
    command = ["mmdebstrap", *options, release, str(new / "files"), MIRROR]
    # Where a test before this one has loaded gfal2 for a lake on loopback, this process does without DNS.
    environment = {name: value for name, value in os.environ.items() if name != "RES_OPTIONS"}
    done = subprocess.run(
        command, env=environment, capture_output=True, text=True, timeout=STEP_WITHIN_S, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]


def _with_contents(key: str, context: Path, sources: Sequence[str]) -> str:
    digest = hashlib.sha256(key.encode())
    for source in sources:
        path = context / source
        for file in sorted(path.rglob("*")) if path.is_dir() else [path]:
            if file.is_file() and "__pycache__" not in file.parts:
                digest.update(
                    f"{file.relative_to(context)} {file.stat().st_mode}".encode() + file.read_bytes()
                )
    return digest.hexdigest()


def _copying(context: Path, sources: Sequence[str], target: str, directory: str) -> str:
    lines = []
    place = shlex.quote("." + os.path.join(directory, target))
    for source in sources:
        path = context / source
        if path.is_dir():
            ignored = "--exclude=__pycache__ --owner=0 --group=0"
            lines.append(
                f"mkdir -p {place}; tar -C {shlex.quote(str(path))} {ignored} -c . | tar -C {place} -x"
            )
        else:
            lines.append(f"install -m 644 {shlex.quote(str(path))} {place}")
    return "\n".join(lines) + "\n"


def _mounting(mounts: Mapping[Path, str], read_only: bool) -> str:
    lines = [
        "mount -t tmpfs tmpfs ./tmp; chmod 1777 ./tmp",
        "mount --bind /dev ./dev",
        "mount -t proc proc ./proc",
    ]
    for source, target in mounts.items():
        place = shlex.quote(f".{target}")
        if not read_only:
            make = "mkdir -p" if source.is_dir() else "touch"
            lines.append(f"[ -e {place} ] || {{ mkdir -p $(dirname {place}); {make} {place}; }}")
        lines.append(f"mount --bind {shlex.quote(str(source))} {place}")
    return "\n".join(lines) + "\n"


def _chroot(image: Image, words: Sequence[str], extra: Mapping[str, str]) -> str:
    home = {"HOME": "/root" if image.user == "0:0" else "/home/fdr"}
    environment = {**home, **image.environment, **extra}
    settings = [f"{name}={value}" for name, value in environment.items()]
    inside = shlex.join(["/bin/sh", "-c", f"cd {shlex.quote(image.directory)} && exec {shlex.join(words)}"])
    return f"exec chroot --userspec={image.user} . /usr/bin/env -i {shlex.join(settings)} {inside}\n"


def _shell(
    script: str, layers: Sequence[Path], upper: Path | None, within_s: float, *, read_only: bool = False
) -> subprocess.CompletedProcess[str]:
    with tempfile.TemporaryDirectory(prefix="fdr-root-") as work:
        return subprocess.run(
            ["unshare", "--mount", "--pid", "--fork", "--kill-child", "/bin/sh", "-c", script],
            env={
                "PATH": PROGRAMS,
                "lower": ":".join(str(layer) for layer in reversed(layers)),
                "upper": str(upper or ""),
                "readonly": "yes" if read_only else "",
                "work": work,
            },
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=within_s,
            check=False,
        )


def _forget_old() -> None:
    for name in glob.glob(f"{CACHE}/*"):
        if time.time() - os.stat(name).st_mtime > KEPT_S:
            shutil.rmtree(name, ignore_errors=True)
