"""Make Rucio's database the first time, and forget the daemons of last time."""

from __future__ import annotations

import psycopg  # type: ignore[import-not-found]  # of the lake's environment
from rucio.common.config import config_get
from rucio.core import heartbeat
from rucio.db.sqla import util
from rucio.gateway import scope
from sqlalchemy.engine import make_url  # type: ignore[import-not-found]

PROBE_SCOPE = "fdr_probe"


def main() -> None:
    """Bring the database to where the server and the daemons can start; run it as often as you like."""
    url = make_url(config_get("database", "default", check_config_table=False))
    # the host is a host, or the directory of a socket
    host = {"host": str(url.host or url.query["host"]), "user": url.username, "password": url.password}
    with psycopg.connect(dbname="postgres", autocommit=True, **host) as connection:
        known = connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [url.database]).fetchone()
        if known is None:
            connection.execute(f'CREATE DATABASE "{url.database}"')
    with psycopg.connect(dbname=url.database, autocommit=True, **host) as connection:
        ready = connection.execute("SELECT to_regclass('fdr_ready')").fetchone()
        if ready == (None,):
            # a first filling that died half-way is begun anew
            connection.execute("DROP SCHEMA public CASCADE")
            connection.execute("CREATE SCHEMA public")
            util.build_database()
            util.create_base_vo()
            util.create_root_account()
            scope.add_scope(PROBE_SCOPE, account="root", issuer="root")
            connection.execute("CREATE TABLE fdr_ready ()")
            print("the database has been made")
    heartbeat.cardiac_arrest()
    print("ready")


if __name__ == "__main__":
    main()
