"""Run the services of docker-compose.yml without Docker, by their own words, with Debian's programs.

One mount namespace gives all of them the file's paths and host names; every storage has a network namespace
of its own on a bridge, since all listen at one port. What is not as in the images: PostgreSQL, Apache,
ActiveMQ and XRootD are Debian's, Rucio is the embedded lake's, and the stand-in serves for FTS3, behind an
Apache that asks for a certificate as FTS3's does.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from fdr.lake import install, postgres
from fdr.lake.compose.places import FTS, STORAGES, Places, Software
from fdr.lake.compose.write import write_all
from fdr.lake.fts.config import Config, config_text
from fdr.lake.settings import write_private
from tests import compose_file
from tests.compose_file import ROOT, ComposedService

READY_WITHIN_S = 90
MODULES = Path("/usr/lib/apache2/modules")
BRIDGE = "172.31.255"
FTS_STAND_IN_PORT = 8447
COPIES_AT_ONCE = 6  # with GSI a first connection costs half a second of CPU, and every worker has its own
NOT_HERE = {"configuration", "rucio-package", "delegation", "ftsdb"}  # done here, or part of FTS3
LOADED = ("mpm_event", "authz_core", "ssl", "alias")

FTS_FRONT = """\
{modules}
ServerName {host}
User www-data
Group www-data
PidFile {own}/fts.pid
DefaultRuntimeDir {own}
ErrorLog /proc/self/fd/2
Listen {port}
SSLSessionCache none
<VirtualHost *:{port}>
  SSLEngine on
  SSLCertificateFile {certificates}/{host}.pem
  SSLCertificateKeyFile {certificates}/{host}.key
  SSLCACertificatePath {certificates}/ca
  SSLVerifyClient require
  SSLVerifyDepth 3
  ProxyPass / http://127.0.0.1:{behind}/
</VirtualHost>
"""


def modules(*more: str) -> tuple[str, ...]:
    """Return the lines that load Debian's modules of Apache."""
    return tuple(f"LoadModule {name}_module {MODULES}/mod_{name}.so" for name in (*LOADED, *more))


def debian() -> Software:
    """Return where the embedded lake's Rucio and Debian's Apache are."""
    home = install.lake_environment()
    package = next(home.glob("lib/python*/site-packages/rucio"))
    return Software(PurePosixPath(package), PurePosixPath(home), "www-data", modules("wsgi"))


@dataclass
class Composed:
    """A composed lake below a directory."""

    directory: Path
    services: dict[str, ComposedService]
    holder: int
    running: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    def log(self, name: str) -> Path:
        """Return where a service's output is."""
        return self.directory / "logs" / f"{name}.log"

    def start(
        self,
        name: str,
        words: Sequence[str],
        environment: Mapping[str, str],
        user: str = "",
    ) -> subprocess.Popen[bytes]:
        """Start a process in the lake's namespaces; a storage has a network of its own."""
        inside = self._inside(name)
        if user:
            inside += ["setpriv", f"--reuid={user}", f"--regid={user}", "--init-groups"]
        with self.log(name).open("ab") as output:
            return subprocess.Popen(
                [*inside, *words],
                env={**self._path(name), **environment},
                cwd=ROOT,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def _inside(self, name: str) -> list[str]:
        network = _held(self.directory, name) if name in STORAGES else self.holder
        namespaces = [f"--mount=/proc/{self.holder}/ns/mnt", f"--net=/proc/{network}/ns/net"]
        return ["nsenter", *namespaces, f"--wdns={ROOT}", "--"]

    def _path(self, name: str) -> dict[str, str]:
        """Let fdr's own services find fdr's Python, and the others the one that has Rucio."""
        python = Path(sys.executable).parent if name == "fdr" else install.lake_python().parent
        return {
            "PATH": f"{self.directory / 'bin'}:{python}:{os.environ['PATH']}",
            "HOME": "/root",
            "TZ": "UTC",
        }

    def run(self, name: str, **environment: str) -> int:
        """Run a service by its own words to its end, with some of its variables set otherwise."""
        service = self.services[name]
        environment = {**service.environment, "FDR_RUNS": str(self.directory / "runs"), **environment}
        return self.start(name, _words(service), environment).wait(240)

    def is_well(self, name: str) -> bool:
        """Ask a service's own health check."""
        service = self.services[name]
        return self.start("health", service.health, service.environment).wait(30) == 0

    def bring_up(self) -> None:
        """Start every service but fdr, each when those that it depends on are ready."""
        left = {name: one for name, one in self.services.items() if name not in NOT_HERE | {"fdr"}}
        deadline = time.monotonic() + READY_WITHIN_S
        done: set[str] = set(NOT_HERE)
        while left:
            for name, service in list(left.items()):
                if all(self._is_met(*need, done) for need in service.depends_on.items()):
                    self._begin(name, service)
                    del left[name]
            ended = [name for name, process in self.running.items() if process.poll()]
            assert not ended, f"{ended[0]}: {self.log(ended[0]).read_text()[-3000:]}"
            done |= {name for name, process in self.running.items() if process.poll() == 0}
            assert time.monotonic() < deadline, f"not up: {', '.join(left)}"
            time.sleep(0.1)

    def _is_met(self, name: str, condition: str, done: set[str]) -> bool:
        if name in NOT_HERE:
            return True
        if condition == "service_completed_successfully":
            return name in done
        return name in self.running and (condition == "service_started" or self.is_well(name))

    def _begin(self, name: str, service: ComposedService) -> None:
        if name == "ruciodb":
            self.running[name] = self._database(service)
        elif name == "fts":
            self._fts(service)
        else:
            self.running[name] = self.start(name, _words(service), service.environment)

    def _database(self, service: ComposedService) -> subprocess.Popen[bytes]:
        """Do with Debian's PostgreSQL what the image does with its environment."""
        cluster, own = self.directory / "postgres", service.environment
        cluster.mkdir()
        shutil.chown(cluster, "postgres")
        programs = postgres.binaries()
        password = self.directory / "password"
        shutil.copy(self.directory / own["POSTGRES_PASSWORD_FILE"].lstrip("/"), password)
        shutil.chown(password, "postgres")
        making = [f"--username={own['POSTGRES_USER']}", f"--pwfile={password}", "--auth-host=scram-sha-256"]
        initdb = [str(programs / "initdb"), "-D", str(cluster), *making, "--no-sync", "--encoding=UTF8"]
        assert self.start("initdb", initdb, {}, "postgres").wait(60) == 0, self.log("initdb").read_text()
        with (cluster / "pg_hba.conf").open("a") as rules:
            rules.write("host all all 172.31.255.0/24 scram-sha-256\n")
        server = [str(programs / "postgres"), "-D", str(cluster), "-k", str(cluster), "-h", "*"]
        return self.start("ruciodb", [*server, *service.words], {}, "postgres")

    def _fts(self, service: ComposedService) -> None:
        """Put the stand-in where FTS3 would be, behind an Apache that wants a certificate."""
        places = Places()
        own = self.directory / "fts"
        ca_dir = Path(places.certificates / "ca")
        config = Config(FTS_STAND_IN_PORT, own / "state", x509_cert_dir=ca_dir, workers=COPIES_AT_ONCE)
        write_private(own / "fts.json", config_text(config))
        delegated = {
            **service.environment,
            "X509_USER_PROXY": str(places.certificates / "fdr.proxy"),
            "X509_CERT_DIR": str(places.certificates / "ca"),
        }
        python = [sys.executable, "-m", "fdr.lake.fts", str(own / "fts.json")]
        self.running["fts-stand-in"] = self.start("fts-stand-in", python, delegated)
        front = FTS_FRONT.format(
            modules="\n".join(modules("proxy", "proxy_http")),
            host=FTS[0],
            port=FTS[1],
            own=places.server,
            certificates=places.certificates,
            behind=FTS_STAND_IN_PORT,
        )
        (own / "httpd.conf").write_text(front)
        apache = ["/usr/sbin/apache2", "-D", "FOREGROUND", "-f", str(own / "httpd.conf")]
        self.running["fts"] = self.start("fts", apache, {})


def _words(service: ComposedService) -> list[str]:
    """Return what a service runs, with Debian's names of users and programs."""
    if service.name == "activemq":
        home = "/usr/share/activemq"
        java = ["java", "-Xmx256m", f"-Dactivemq.home={home}", "-Dactivemq.base=/srv/activemq"]
        return [*java, "-jar", f"{home}/bin/activemq.jar", "start", service.words[-1]]
    return [word.replace("-o apache -g apache", "-o www-data -g www-data") for word in service.words]


@contextmanager
def composed_lake(directory: Path) -> Iterator[Composed]:
    """Write the configuration, hold the namespaces, and end whatever runs in them with the block."""
    for part in ("srv/lake", "srv/rucio", "srv/storage", "srv/activemq", "logs", "networks", "bin", "fts"):
        (directory / part).mkdir(parents=True)
    install.install(print)
    (directory / "bin" / "httpd").symlink_to("/usr/sbin/apache2")
    write_all(directory / "srv" / "lake", Places(), debian())
    services = compose_file.read()
    addresses = dict.fromkeys(services, f"{BRIDGE}.1") | {
        name: f"{BRIDGE}.{number}" for number, name in enumerate(STORAGES, start=11)
    }
    hosts = ["127.0.0.1 localhost", *(f"{address} {name}" for name, address in addresses.items())]
    hosts.append(f"{BRIDGE}.1 {os.uname().nodename}")
    (directory / "hosts").write_text("\n".join(hosts) + "\n")
    holder = subprocess.Popen(
        ["unshare", "--net", "--mount", "sh", "-ec", _namespaces(directory, addresses)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
    )
    assert holder.stdout is not None
    lake = Composed(directory, services, holder.pid)
    try:
        assert holder.stdout.readline() == b"ready\n"
        yield lake
    finally:
        _end(lake.running)
        for name in STORAGES:
            os.kill(_held(directory, name), signal.SIGKILL)
        holder.kill()
        holder.wait()
        holder.stdout.close()


def _held(directory: Path, name: str) -> int:
    """Return the process that holds the network of a storage."""
    return int((directory / "networks" / name).read_text())


def _namespaces(directory: Path, addresses: Mapping[str, str]) -> str:
    """Return a shell script that makes the namespaces and then only holds them."""
    lines = [
        f"mount --bind {directory}/srv /srv",
        f"mount --bind {directory}/hosts /etc/hosts",
        "mount --bind /dev/null /etc/resolv.conf",  # there is no DNS to be asked
        "ip link set lo up",
        "ip link add lake type bridge",
        f"ip address add {BRIDGE}.1/24 dev lake",
        "ip link set lake up",
    ]
    for name in STORAGES:
        lines += [
            f"unshare --net sleep infinity & other=$!; echo $other >{directory}/networks/{name}",
            # the network is its own once it is another one than ours
            "while [ $(readlink /proc/$other/ns/net) = $(readlink /proc/$$/ns/net) ]; do sleep 0.01; done",
            f"ip link add {name} type veth peer name eth0 netns $other",
            f"ip link set {name} master lake up",
            f"nsenter --net=/proc/$other/ns/net ip address add {addresses[name]}/24 dev eth0",
            "nsenter --net=/proc/$other/ns/net sh -c 'ip link set lo up; ip link set eth0 up'",
        ]
    return "\n".join([*lines, "echo ready", "exec sleep infinity"])


def _end(running: Mapping[str, subprocess.Popen[bytes]]) -> None:
    """End every process with its children: all at once, and the database when the others have ended."""
    others = [process for name, process in running.items() if name != "ruciodb"]
    for group in (others, [process for name, process in running.items() if name == "ruciodb"]):
        for process in group:
            _tell(process, signal.SIGTERM)
        for process in group:
            with suppress(subprocess.TimeoutExpired):
                process.wait(10)
            _tell(process, signal.SIGKILL)
            process.wait()


def _tell(process: subprocess.Popen[bytes], number: signal.Signals) -> None:
    with suppress(ProcessLookupError):
        os.killpg(process.pid, number)
