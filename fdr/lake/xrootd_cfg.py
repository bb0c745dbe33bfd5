"""The configuration of an XRootD server, as text, from the parts that a lake wants. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import PurePath

MOST_COPIES_AT_ONCE = 64  # third-party copies over root:// that one server pulls at a time; the rest wait
COPY_WAIT_S = 600  # how long a third-party copy may wait for its turn

HEAD = "# Written by fdr; changes are lost at the next start of the lake."

STORAGE = """\
all.export /rucio
oss.localroot {data}
all.adminpath {admin}
all.pidpath {admin}
xrd.port {port}
xrootd.chksum max 100 adler32
"""

THIRD_PARTY = "ofs.tpc autorm ttl {wait} {wait} xfr {copies}{credentials} pgm {puller}\n"

LOOPBACK_ONLY = """\
# Nobody else may connect, over any protocol: by address, for a name could be forged in the DNS.
xrd.allow host 127.0.0.1
xrd.allow host [::1]
"""

HTTPS = """\
xrd.protocol http:{port} libXrdHttp.so
xrd.tls {cert} {key}
xrd.tlsca certdir {ca_dir}
http.desthttps yes
http.exthandler xrdtpc libXrdHttpTPC.so
"""

# Whoever shows a certificate of the lake's CA is let in; a proxy is asked for, so that this server can pull
# a file from another one in the name of who wants it copied.
GSI = """\
xrootd.seclib libXrdSec.so
sec.protocol gsi -certdir:{ca_dir} -cert:{cert} -key:{key} -crl:0 -gmapopt:10 -dlgpxy:1 -exppxy:=creds
"""


def text(*parts: str) -> str:
    """Return the file that these parts make."""
    return "\n".join([HEAD, *parts])


def storage(data: PurePath, admin: PurePath, port: int) -> str:
    """Offer what is below ``data`` as root://HOST:PORT//rucio/…; ``admin`` is for the server's own files."""
    return STORAGE.format(data=data, admin=admin, port=port)


def third_party(puller: str, *, with_credentials: bool) -> str:
    """Let other servers' files be pulled by a program, with the credentials of who asked if so wanted."""
    credentials = " fcreds gsi =X509_USER_PROXY" if with_credentials else ""
    return THIRD_PARTY.format(
        wait=COPY_WAIT_S, copies=MOST_COPIES_AT_ONCE, credentials=credentials, puller=puller
    )


def https(port: int, cert: PurePath, key: PurePath, ca_dir: PurePath) -> str:
    """Offer the same files over davs://, copies between servers included."""
    return HTTPS.format(port=port, cert=cert, key=key, ca_dir=ca_dir)


def gsi(cert: PurePath, key: PurePath, ca_dir: PurePath) -> str:
    """Let in only who shows a certificate, or a proxy of one."""
    return GSI.format(cert=cert, key=key, ca_dir=ca_dir)
