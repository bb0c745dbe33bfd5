"""Nobody outside this machine reads from or writes to the lake's storages."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import tempfile
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from fdr.lake import xrootd_cfg
from tests.xrootd_fixtures import Site, running_sites

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

pytestmark = pytest.mark.lake

SECRET = b"for this machine only"
INSIDE, OUTSIDE = "198.51.100.1", "198.51.100.2"  # a network that documentation may use and nobody has
INSIDE_6, OUTSIDE_6 = "fd5d:fd12::1", "fd5d:fd12::2"


@dataclass(frozen=True, slots=True)
class Client:
    """Runs commands inside or outside of this machine; says what came back."""

    prefix: tuple[str, ...]
    directory: Path
    site: Site

    def run(self, *arguments: str | Path) -> subprocess.CompletedProcess[bytes]:
        """Run a command that gives a server up soon."""
        environment = {
            **os.environ,
            "X509_CERT_DIR": str(self.site.certificates.ca_dir),
            "RES_OPTIONS": "attempts:0",
            "XRD_CONNECTIONWINDOW": "2",
            "XRD_CONNECTIONRETRY": "1",
            "XRD_REQUESTTIMEOUT": "5",
            "XRD_STREAMTIMEOUT": "5",
        }
        command = [*self.prefix, *map(str, arguments)]
        return subprocess.run(command, env=environment, capture_output=True, timeout=60, check=False)

    def curl(self, host: str, path: str, *options: str) -> bytes:
        """Return what curl gets over https, with any token, and whatever the certificate says."""
        url = f"https://{host}:{self.site.ports.http}/rucio/{path}"
        token = ("-H", "Authorization: Bearer any")
        return self.run("curl", "-gsSkf", "-m", "10", *token, *options, url).stdout

    def root(self, host: str, path: str = "") -> str:
        """Return a root:// URL of the server at one of its addresses."""
        return f"root://{host}:{self.site.ports.root}//rucio/{path}"


def listed(client: Client, host: str) -> bool:
    """List a directory over root://."""
    answer = client.run("xrdfs", f"{host}:{client.site.ports.root}", "ls", "/rucio")
    return b"secret" in answer.stdout


def stated(client: Client, host: str) -> bool:
    """Stat a file over root://."""
    answer = client.run("xrdfs", f"{host}:{client.site.ports.root}", "stat", "/rucio/secret")
    return b"Size" in answer.stdout


def read(client: Client, host: str) -> bool:
    """Read a file over root://."""
    return client.run("xrdcp", "-s", client.root(host, "secret"), "-").stdout == SECRET


def written(client: Client, host: str) -> bool:
    """Write a file over root://."""
    source = client.directory / "source"
    source.write_bytes(b"x")
    client.run("xrdcp", "-s", "-f", source, client.root(host, "written-root"))
    return (client.site.files / "written-root").exists()


def deleted(client: Client, host: str) -> bool:
    """Delete a file over root://."""
    victim = client.site.files / "victim"
    victim.write_bytes(b"x")
    client.run("xrdfs", f"{host}:{client.site.ports.root}", "rm", "/rucio/victim")
    return not victim.exists()


def read_over_https(client: Client, host: str) -> bool:
    """GET a file with a token."""
    return client.curl(host, "secret") == SECRET


def listed_over_https(client: Client, host: str) -> bool:
    """PROPFIND a directory with a token."""
    return b"secret" in client.curl(host, "", "-X", "PROPFIND", "-H", "Depth: 1")


def written_over_https(client: Client, host: str) -> bool:
    """PUT a file with a token."""
    client.curl(host, "written-https", "-X", "PUT", "-d", "x")
    return (client.site.files / "written-https").exists()


def read_with_gfal(client: Client, host: str) -> bool:
    """Stat a file over davs:// as fdr does, the certificate unchecked."""
    program = (
        "import gfal2, sys; context = gfal2.creat_context();"
        "context.set_opt_boolean('HTTP PLUGIN', 'INSECURE', True);"
        "context.set_opt_integer('HTTP PLUGIN', 'OPERATION_TIMEOUT', 5);"
        "context.cred_set(sys.argv[1], context.cred_new('BEARER', 'any'));"
        "print(context.stat(sys.argv[1]).st_size)"
    )
    url = f"davs://{host}:{client.site.ports.http}/rucio/secret"
    return client.run(sys.executable, "-c", program, url).stdout.split() == [str(len(SECRET)).encode()]


ATTEMPTS: tuple[Callable[[Client, str], bool], ...] = (
    listed,
    stated,
    read,
    written,
    deleted,
    read_over_https,
    listed_over_https,
    written_over_https,
    read_with_gfal,
)


def successes(client: Client, host: str) -> list[str]:
    """Return the names of the attempts that succeed at this address."""
    for left in ("written-root", "written-https"):
        (client.site.files / left).unlink(missing_ok=True)
    return [attempt.__name__ for attempt in ATTEMPTS if attempt(client, host)]


def has_ipv6() -> bool:
    """Tell whether this machine speaks IPv6 at all."""
    try:
        with socket.socket(socket.AF_INET6) as probe:
            probe.bind(("::1", 0))
    except OSError:
        return False
    return True


def skip_without_ipv6(address: str) -> None:
    """Skip what asks for an IPv6 address where there are none."""
    if ":" in address and not has_ipv6():
        pytest.skip("this machine has no IPv6")


EVERY_ATTEMPT = [attempt.__name__ for attempt in ATTEMPTS]


def ip(*arguments: str) -> None:
    """Run ip; skip the test where the machine does not let us."""
    done = subprocess.run(["ip", *arguments], capture_output=True, text=True, timeout=20, check=False)
    if done.returncode:
        pytest.skip(f"ip {' '.join(arguments)} is not possible here: {done.stderr.strip()}")


@pytest.fixture(scope="module")
def outside() -> Iterator[tuple[str, ...]]:
    """A network namespace that reaches this machine as another machine would; how to run in it."""
    if os.geteuid():
        pytest.skip("only root can make a network namespace to try from outside")
    if shutil.which("ip") is None:
        pytest.skip("ip is missing: install iproute2 to try from outside")
    name = f"fdr-{os.getpid()}"
    near, far = f"fdrn{os.getpid()}", f"fdrf{os.getpid()}"
    ip("netns", "add", name)
    try:
        ip("link", "add", near, "type", "veth", "peer", "name", far, "netns", name)
        ip("address", "add", f"{INSIDE}/30", "dev", near)
        ip("link", "set", near, "up")
        for arguments in (
            ("address", "add", f"{OUTSIDE}/30", "dev", far),
            ("link", "set", far, "up"),
            ("link", "set", "lo", "up"),
        ):
            ip("-n", name, *arguments)
        if has_ipv6():
            ip("address", "add", f"{INSIDE_6}/64", "dev", near, "nodad")
            ip("-n", name, "address", "add", f"{OUTSIDE_6}/64", "dev", far, "nodad")
        yield ("ip", "netns", "exec", name)
    finally:  # with the namespace goes its end of the pair, and with one end the other
        subprocess.run(["ip", "netns", "delete", name], check=False, timeout=20)
        subprocess.run(["ip", "link", "delete", near], check=False, timeout=20, capture_output=True)


@contextmanager
def one_site(restriction: str) -> Iterator[tuple[Site, Path]]:
    """Run a server with this restriction that holds the secret; give a directory of our own too."""
    with pytest.MonkeyPatch.context() as patch, tempfile.TemporaryDirectory(dir="/var/tmp") as name:
        patch.setattr(xrootd_cfg, "LOOPBACK_ONLY", restriction)
        home = Path(name)
        home.chmod(0o755)
        with running_sites(home, {"ALPHA": "127.0.1.1"}) as sites:
            (sites["ALPHA"].files / "secret").write_bytes(SECRET)
            yield sites["ALPHA"], home


@pytest.fixture(scope="module")
def closed() -> Iterator[tuple[Site, Path]]:
    """A server as the lake runs it."""
    with one_site(xrootd_cfg.LOOPBACK_ONLY) as made:
        yield made


@pytest.fixture(scope="module")
def open_to_all() -> Iterator[tuple[Site, Path]]:
    """The same server without the restriction: it shows that the attempts can succeed."""
    with one_site("") as made:
        yield made


@pytest.mark.parametrize("address", [INSIDE, f"[{INSIDE_6}]"])
def test_from_outside_nothing_can_be_read_written_or_listed(
    outside: tuple[str, ...], closed: tuple[Site, Path], address: str
) -> None:
    """Over root:// and davs://, by IPv4 and IPv6, with a token and without."""
    skip_without_ipv6(address)
    site, directory = closed
    assert successes(Client(outside, directory, site), address) == []


@pytest.mark.parametrize("address", [INSIDE, f"[{INSIDE_6}]"])
def test_without_the_restriction_every_attempt_from_outside_succeeds(
    outside: tuple[str, ...], open_to_all: tuple[Site, Path], address: str
) -> None:
    """The attempts are good ones, and the network between carries them."""
    skip_without_ipv6(address)
    site, directory = open_to_all
    assert successes(Client(outside, directory, site), address) == EVERY_ATTEMPT


@pytest.mark.parametrize("address", ["127.0.0.1", "127.0.1.1", "localhost", "[::1]"])
def test_from_this_machine_everything_works(closed: tuple[Site, Path], address: str) -> None:
    """By every loopback address."""
    skip_without_ipv6(address)
    site, directory = closed
    assert successes(Client((), directory, site), address) == EVERY_ATTEMPT


def test_from_this_machine_by_its_outer_address_nothing_works(
    outside: tuple[str, ...], closed: tuple[Site, Path]
) -> None:
    """Who calls the machine's own outer address comes from there, and is refused like anybody else."""
    site, directory = closed
    assert successes(Client((), directory, site), INSIDE) == []
