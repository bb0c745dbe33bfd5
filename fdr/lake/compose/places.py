"""Where the services of docker-compose.yml find each other, and their configuration."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import PurePosixPath

DATABASE = ("ruciodb", 5432)
BROKER = ("activemq", 61613)
RUCIO = ("rucio", 443)
FTS = ("fts", 8446)
FTS_DATABASE = ("ftsdb", 3306)
STORAGES = ("xrd1", "xrd2", "xrd3")
STORAGE_PORT = 1094
HOSTS = (RUCIO[0], FTS[0], *STORAGES)  # those with a certificate
ROBOT = "fdr"  # whom Rucio, FTS and the storages know
LAKE, STORAGE, SERVER = (PurePosixPath("/srv") / name for name in ("lake", "storage", "rucio"))
RUCIO_PACKAGE = PurePosixPath("/opt/rucio/lib/rucio")


@dataclass(frozen=True, slots=True)
class Places:
    """Directories, the same in every container.

    ``lake`` holds the configuration, written once; ``storage`` the files of the storages; ``server`` what the
    Rucio server has for itself.
    """

    lake: PurePosixPath = LAKE
    storage: PurePosixPath = STORAGE
    server: PurePosixPath = SERVER

    @property
    def certificates(self) -> PurePosixPath:
        """The CA, and the certificates of hosts and of the robot."""
        return self.lake / "certificates"

    @property
    def rucio_cfg(self) -> PurePosixPath:
        """The rucio.cfg of the server and the daemons."""
        return self.lake / "rucio" / "rucio.cfg"

    @property
    def server_cfg(self) -> PurePosixPath:
        """The same, where only the user that the server runs as can read it."""
        return self.server / "rucio.cfg"

    @property
    def client_cfg(self) -> PurePosixPath:
        """The rucio.cfg of fdr."""
        return self.lake / "client" / "rucio.cfg"

    @property
    def code(self) -> PurePosixPath:
        """The little of fdr that the Rucio image runs."""
        return self.lake / "code"


@dataclass(frozen=True, slots=True)
class Software:
    """What differs from system to system: where Rucio's package is, and how Apache is set up.

    ``apache`` are the lines that load Apache's modules, ``python_home`` the environment that has Rucio if it
    is not the system's. As it stands it is Rucio's development image.
    """

    rucio: PurePosixPath = RUCIO_PACKAGE
    python_home: PurePosixPath | None = None
    web_user: str = "apache"
    apache: tuple[str, ...] = ("ServerRoot /etc/httpd", "Include conf.modules.d/*.conf")


@dataclass(frozen=True, slots=True)
class Passwords:
    """The passwords of a lake; never shown."""

    database: str = field(repr=False)
    broker: str = field(repr=False)
    fts_database: str = field(repr=False)

    def files(self) -> Mapping[str, str]:
        """Return them by the name of the file that each service reads its own from."""
        return {"database": self.database, "broker": self.broker, "fts-database": self.fts_database}
