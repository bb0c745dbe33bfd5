"""The programs that the keeper forks: Rucio's daemons, its server, its database's filling, the broker."""

from __future__ import annotations

import importlib
import os
import signal
import socket
import sys
import threading
import time
from datetime import timedelta
from functools import partial
from typing import Any

from fdr.lake.keeper.frames import FrameBuffer

# Daemon name -> module under rucio.daemons, and the arguments of its run(). The pauses are those of a
# rehearsal that lasts a minute: a production lake sleeps ten to six hundred seconds instead.
DAEMONS: dict[str, tuple[str, dict[str, Any]]] = {
    "judge-evaluator": ("judge.evaluator", {"sleep_time": 1, "did_limit": 1000}),
    "judge-repairer": ("judge.repairer", {"sleep_time": 3}),
    "judge-cleaner": ("judge.cleaner", {"sleep_time": 3}),
    "judge-injector": ("judge.injector", {"sleep_time": 3}),
    "conveyor-submitter": ("conveyor.submitter", {"sleep_time": 1, "bulk": 1000, "group_bulk": 50}),
    "conveyor-poller": ("conveyor.poller", {"sleep_time": 1, "older_than": 0, "db_bulk": 1000}),
    "conveyor-finisher": ("conveyor.finisher", {"sleep_time": 1, "bulk": 1000, "db_bulk": 1000}),
    "abacus-account": ("abacus.account", {"sleep_time": 2}),
    "abacus-rse": ("abacus.rse", {"sleep_time": 2}),
    "abacus-collection-replica": ("abacus.collection_replica", {"sleep_time": 2}),
    "reaper": ("reaper.reaper", {"sleep_time": 5, "chunk_size": 1000}),
    "undertaker": ("undertaker.undertaker", {"sleep_time": 3, "chunk_size": 500}),
    "transmogrifier": ("transmogrifier.transmogrifier", {"sleep_time": 3, "bulk": 1000}),
    "hermes": ("hermes.hermes", {"sleep_time": 1, "bulk": 1000}),
}
SERVER = "rucio-server"
SERVER_APPLICATION = "rucio.web.rest.flaskapi.v1.main"
BOOTSTRAP = "bootstrap"
BROKER = "broker"
BROKER_HOST_HEADER = "fdr-lake"
# A daemon that met a row which another one held leaves it alone for so long. Rucio's conveyor waits ten
# minutes, its judge and undertaker one to forty: on a production lake nobody notices, in a rehearsal of a
# minute everybody does.
TRY_AGAIN_S = 2
# What a submitter was submitting when it died is taken for lost after so long; in Rucio, after two hours.
SUBMISSION_LOST_S = 30
DATABASE_EVERY_S = 0.5


def load() -> None:
    """Import everything once, before the first fork. Raises RuntimeError if that left a thread."""
    load_daemons()
    for module in (SERVER_APPLICATION, "gunicorn.app.base", "gunicorn.workers.gthread", "coilmq.start"):
        importlib.import_module(module)
    _ready_to_fork()


def load_daemons() -> None:
    """Import the daemons once, before the first fork. Raises RuntimeError if that left a thread."""
    common: Any = importlib.import_module("rucio.daemons.common")
    common.db_workqueue = _without_partition_wait(common.db_workqueue)
    requests: Any = importlib.import_module("rucio.core.request")
    for name in ("get_and_mark_next", "list_and_mark_transfer_requests_and_source_replicas"):
        setattr(requests, name, partial(getattr(requests, name), processed_at_delay=TRY_AGAIN_S))
    for module, _ in DAEMONS.values():
        daemon: Any = importlib.import_module(f"rucio.daemons.{module}")
        if hasattr(daemon, "randint"):  # draws such a pause, and nothing else
            daemon.randint = lambda _least, _most: TRY_AGAIN_S
    finisher: Any = importlib.import_module("rucio.daemons.conveyor.finisher")
    finisher.FAILED_DURING_SUBMISSION_DELAY = timedelta(seconds=SUBMISSION_LOST_S)
    _ready_to_fork()


def _ready_to_fork() -> None:
    _forget_database_connections()
    if threading.active_count() != 1:
        raise RuntimeError(f"importing Rucio started threads: {threading.enumerate()}; forks would be unsafe")


def run(name: str) -> None:
    """Be the program of this name until it ends. Raises LookupError for a name it does not know."""
    _forget_database_connections()
    if name == SERVER:
        _serve()
    elif name == BOOTSTRAP:
        from fdr.lake.keeper import bootstrap

        bootstrap.main()
    elif name == BROKER:
        _broker()
    elif name in DAEMONS:
        module, arguments = DAEMONS[name]
        daemon = importlib.import_module(f"rucio.daemons.{module}")
        _await_database()
        signal.signal(signal.SIGTERM, daemon.stop)
        signal.signal(signal.SIGINT, daemon.stop)
        daemon.run(**arguments)
    else:
        raise LookupError(f"the keeper has no program {name!r}")


def _without_partition_wait(db_workqueue: Any) -> Any:
    """Wrap Rucio's work queue: every daemon is alone, so there is no partition to settle before work."""

    def wrapped(**arguments: Any) -> Any:
        return db_workqueue(**{**arguments, "partition_wait_time": 0})

    return wrapped


def _forget_database_connections() -> None:
    """Drop pooled connections without closing them, as SQLAlchemy asks of a forked process."""
    session = sys.modules.get("rucio.db.sqla.session")
    if session is not None and session._ENGINE is not None:
        session._ENGINE.dispose(close=False)


def _await_database() -> None:
    """Wait until the database takes connections.

    A daemon that starts without it ends at once; a few times in a row, and supervisord would give it up, so
    that a lake whose database was away for ten seconds would have no daemon left.
    """
    engine: Any = importlib.import_module("rucio.db.sqla.session").get_engine()
    unreachable: Any = importlib.import_module("sqlalchemy.exc").OperationalError
    while True:
        try:
            engine.connect().close()
        except unreachable:
            time.sleep(DATABASE_EVERY_S)
        else:
            return


def _serve() -> None:
    """Run the Rucio server under gunicorn, the workers forked from here."""
    base = importlib.import_module("gunicorn.app.base")
    application = importlib.import_module(SERVER_APPLICATION).application

    class Server(base.BaseApplication):  # type: ignore[misc, name-defined]
        def load_config(self) -> None:
            settings = {
                "bind": os.environ["FDR_BIND"],
                "workers": 2,
                "threads": 8,
                "worker_class": "gthread",
                "timeout": 120,
                "graceful_timeout": 3,
                "keepalive": 30,
                "control_socket_disable": True,
                "limit_request_line": 8190,  # as Apache's, behind which Rucio usually runs
                "worker_tmp_dir": os.environ.get("FDR_RUN"),
                "proc_name": SERVER,
                "post_fork": lambda _server, _worker: _forget_database_connections(),
            }
            for key, value in settings.items():
                self.cfg.set(key, value)

        def load(self) -> Any:
            return application

    Server().run()


def _broker() -> None:
    """Run the STOMP broker.

    coilmq takes a STOMP 1.2 client only when its ``host`` header is the machine's full name, which
    changes with the network the machine is in; here it is a name of our own.
    """
    socket.getfqdn = lambda name="": BROKER_HOST_HEADER
    start = importlib.import_module("coilmq.start")
    socket_server: Any = importlib.import_module("coilmq.server.socket_server")
    frame = importlib.import_module("coilmq.util.frames").Frame
    socket_server.FrameBuffer = partial(FrameBuffer, frame)
    start.ThreadedStompServer.daemon_threads = True  # a client that stays must not keep the broker
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    start._main(config=os.environ["FDR_BROKER_CFG"])
