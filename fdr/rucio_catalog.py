"""The catalog kept by a real Rucio, through rucio-clients."""

from __future__ import annotations

import asyncio
import logging
import os
import re
import tempfile
import threading
from collections import defaultdict
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, TypeVar

import requests

from fdr import __version__
from fdr.catalog import NewReplica, RseFacts, RuleState, Usage
from fdr.errors import LakeError, Refused, Unclear
from fdr.model import Did, Rule
from fdr.pace import Spacing

if TYPE_CHECKING:
    from fdr.connection import Connection

T = TypeVar("T")

THREADS = 8
CALL_TIMEOUT_S = 60
# Replies that a server gives before it has looked at the request: nothing happened.
SURELY_NOT_SENT = (requests.exceptions.ConnectTimeout, requests.exceptions.SSLError)


class RucioCatalog:
    """A Catalog (see ``fdr.catalog``) that a Rucio server keeps.

    Calls run on ``THREADS`` threads at most; each thread has a client of its own for each account, since a
    client is one HTTP session. Tokens lie in a private directory for the life of the process.
    """

    def __init__(self, connection: Connection, requests_per_second: float | None = None) -> None:
        """Take where Rucio is and how many requests a second it may be sent; nothing is sent yet."""
        self._connection = connection
        self._spacing = Spacing(requests_per_second)
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="rucio")
        self._local = threading.local()
        self._tokens = tempfile.TemporaryDirectory(prefix="fdr-tokens-")
        self._requests = 0
        os.environ["RUCIO_CONFIG"] = str(connection.rucio_cfg)

    @property
    def requests(self) -> int:
        """How many REST calls have been made, each counted once however often the client tried."""
        return self._requests

    async def close(self) -> None:
        """Give back threads and tokens; calls in flight are not waited for."""
        self._threads.shutdown(wait=False, cancel_futures=True)
        self._tokens.cleanup()

    async def version(self) -> str:
        """Return the version of the Rucio server."""
        answer = await self._call(self._connection.account, lambda client: client.ping())
        return str(answer["version"])

    async def log_in(self, account: str) -> None:
        """Authenticate as an account; Refused with reason ``unauthenticated`` when that fails."""
        await self._call(account, lambda client: client.whoami())

    async def scopes_of(self, account: str) -> frozenset[str]:
        """Return the scopes an account owns."""
        try:
            return frozenset(
                await self._call(account, lambda client: client.list_scopes_for_account(account))
            )
        except LakeError as error:
            if error.reason == "scope-not-found":
                return frozenset()
            raise

    async def all_scopes(self, account: str) -> frozenset[str]:
        """Return every scope there is."""
        return frozenset(await self._call(account, lambda client: client.list_scopes()))

    async def rse(self, account: str, rse: str) -> RseFacts | None:
        """Return what is known of an RSE, or None where there is none of that name."""
        try:
            settings = await self._call(account, lambda client: client.get_rse(rse))
        except LakeError as error:
            if error.reason == "rse-not-found":
                return None
            raise
        return RseFacts(
            name=rse,
            deterministic=bool(settings["deterministic"]),
            writable=bool(settings["availability_write"]),
            prefixes=_write_prefixes(settings["protocols"]),
            settings=settings,
        )

    async def matching_rses(self, account: str, expression: str) -> frozenset[str]:
        """Return the RSEs that an RSE expression matches now; none is an empty set."""
        try:
            rows = await self._call(account, lambda client: list(client.list_rses(expression)))
        except LakeError as error:
            if error.reason == "invalid-rse-expression":
                return frozenset()
            raise
        return frozenset(row["rse"] for row in rows)

    async def create_dataset(self, account: str, dataset: Did, lifetime_s: int) -> None:
        """Create a dataset that expires ``lifetime_s`` seconds from now."""
        row = {"scope": dataset.scope, "name": dataset.name, "type": "DATASET", "lifetime": lifetime_s}
        try:
            await self._call(account, lambda client: client.add_dids([row]))
        except LakeError as error:
            if error.reason != "data-identifier-already-exists":
                raise

    async def register(self, account: str, replicas: Sequence[NewReplica]) -> None:
        """Register replicas and attach the files to their datasets; all of them or none."""
        files: dict[tuple[Did, str], list[dict[str, object]]] = defaultdict(list)
        for replica in replicas:
            files[replica.dataset, replica.rse].append(
                {
                    "scope": replica.did.scope,
                    "name": replica.did.name,
                    "bytes": replica.size_bytes,
                    "adler32": replica.adler32,
                }
            )
        attachments = [
            {"scope": dataset.scope, "name": dataset.name, "rse": rse, "dids": dids}
            for (dataset, rse), dids in files.items()
        ]
        await self._call(
            account, lambda client: client.attach_dids_to_dids(attachments, ignore_duplicate=True)
        )

    async def close_dataset(self, account: str, dataset: Did) -> None:
        """Close a dataset: nothing more is attached to it."""
        try:
            await self._call(
                account, lambda client: client.set_status(dataset.scope, dataset.name, open=False)
            )
        except LakeError as error:
            if error.reason != "unsupported-status":
                raise

    async def add_rule(self, account: str, dataset: Did, rule: Rule) -> str:
        """Add a replication rule to a dataset and return its id."""
        did = {"scope": dataset.scope, "name": dataset.name}
        try:
            ids = await self._call(
                account,
                lambda client: client.add_replication_rule(
                    [did],
                    copies=rule.copies,
                    rse_expression=rule.to,
                    lifetime=rule.lifetime_s,
                    activity=rule.activity,
                    account=account,
                    comment="fdr rehearsal",
                ),
            )
            return str(ids[0])
        except LakeError as error:
            if error.reason != "duplicate-rule":
                raise
        rows = await self._call(
            account, lambda client: list(client.list_did_rules(dataset.scope, dataset.name))
        )
        for row in rows:
            same = row["account"], row["rse_expression"], row["copies"]
            if same == (account, rule.to, rule.copies):
                return str(row["id"])
        raise Unclear("duplicate-rule", f"{dataset}: Rucio has this rule already but does not list it")

    async def rules(self, account: str, scope: str, name_prefix: str) -> list[RuleState]:
        """Return the rules on the DIDs of a scope whose names begin with a prefix."""

        def ask(client: Any) -> list[RuleState]:
            return [
                _rule_state(row)
                for row in client.list_replication_rules({"scope": scope})
                if row["name"].startswith(name_prefix)
            ]

        return await self._call(account, ask)

    async def dataset_locks(
        self, account: str, datasets: Sequence[Did]
    ) -> dict[Did, frozenset[tuple[str, str]]]:
        """Return, for every dataset that a rule locks, the pairs (rule id, RSE) that lock it."""
        dids = [{"scope": did.scope, "name": did.name, "type": "dataset"} for did in datasets]
        rows = await self._call(account, lambda client: client.get_locks_for_dids(dids))
        locks: dict[Did, set[tuple[str, str]]] = defaultdict(set)
        for row in rows:
            locks[Did(row["scope"], row["name"])].add((row["rule_id"], row["rse"]))
        return {did: frozenset(pairs) for did, pairs in locks.items()}

    async def usage(self, account: str, rse: str) -> Usage | None:
        """Return what Rucio has counted at an RSE, None where it has not counted yet."""
        rows = await self._call(
            account, lambda client: list(client.get_rse_usage(rse, filters={"source": "rucio"}))
        )
        for row in rows:
            return Usage(rse, int(row["used"] or 0), int(row["files"] or 0))
        return None

    async def _call(self, account: str, ask: Callable[[Any], T]) -> T:
        await self._spacing.turn()
        self._requests += 1
        return await asyncio.get_running_loop().run_in_executor(self._threads, self._ask, account, ask)

    def _ask(self, account: str, ask: Callable[[Any], T]) -> T:
        from rucio.common.exception import RucioException

        try:
            return ask(self._client(account))
        except RucioException as error:
            raise _translate(account, error) from error
        except SURELY_NOT_SENT as error:
            raise Refused("connection", f"Rucio cannot be reached: {_first_line(error)}") from error
        except requests.exceptions.Timeout as error:
            raise Unclear("timeout", f"Rucio did not answer within {CALL_TIMEOUT_S} s") from error
        except (requests.exceptions.RequestException, OSError, ValueError, KeyError) as error:
            raise Unclear("bad-answer", f"Rucio's answer was broken: {_first_line(error)}") from error

    def _client(self, account: str) -> Any:
        clients = self._local.__dict__.setdefault("clients", {})
        if account not in clients:
            clients[account] = self._new_client(account)
        return clients[account]

    def _new_client(self, account: str) -> Any:
        from rucio.client.client import Client

        tokens = self._tokens.name

        class PrivateClient(Client):  # type: ignore[misc]  # rucio-clients has no types
            """A client whose tokens no other process and no other lake shares."""

            TOKEN_PATH_PREFIX = f"{tokens}/"

        quiet = logging.getLogger("fdr.rucio")
        quiet.setLevel(logging.CRITICAL)
        identity = self._connection.identities.get(account, self._connection.identity)
        return PrivateClient(
            rucio_host=self._connection.rucio_host,
            auth_host=self._connection.auth_host,
            account=account,
            ca_cert=self._connection.ca_cert,
            auth_type=identity.auth_type,
            creds=dict(identity.credentials),
            timeout=CALL_TIMEOUT_S,
            user_agent=f"fdr/{__version__}",
            logger=quiet,
        )


def _write_prefixes(protocols: Sequence[dict[str, Any]]) -> tuple[str, ...]:
    """Return the URL prefixes offered for writing over the wide area, lowest priority number first."""
    offered = [
        (row["domains"]["wan"]["write"], row) for row in protocols if row["domains"]["wan"].get("write")
    ]
    prefixes = []
    for _, row in sorted(offered, key=lambda item: int(item[0])):
        port = f":{row['port']}" if row["port"] else ""
        prefix = row["prefix"] if row["prefix"].startswith("/") else "/" + row["prefix"]
        prefixes.append(f"{row['scheme']}://{row['hostname']}{port}{prefix.rstrip('/')}/")
    return tuple(prefixes)


def _rule_state(row: dict[str, Any]) -> RuleState:
    return RuleState(
        rule_id=str(row["id"]),
        did=Did(row["scope"], row["name"]),
        copies=int(row["copies"]),
        state=str(row["state"]),
        locks_ok=int(row["locks_ok_cnt"]),
        locks_replicating=int(row["locks_replicating_cnt"]),
        locks_stuck=int(row["locks_stuck_cnt"]),
        error=str(row["error"] or ""),
    )


# What leaves it open whether the server acted: it, or something before it, broke off.
UNSURE = {"server-connection", "database", "service-unavailable", "resource-temporary-unavailable"}
UNAUTHENTICATED = {"cannot-authenticate", "missing-client-parameter", "account-not-found"}


def _translate(account: str, error: Exception) -> LakeError:
    """Turn a Rucio exception into ours; its class, in kebab case, is the countable reason."""
    name = re.sub(r"Exception$", "", type(error).__name__)
    reason = re.sub(r"(?<=[a-z])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "-", name).lower() or "rucio"
    message = _first_line(error)
    if reason in UNAUTHENTICATED:
        return Refused("unauthenticated", f"Rucio does not let {account} in: {message}")
    if reason in UNSURE or reason == "rucio":
        return Unclear(reason, f"Rucio: {message}")
    return Refused(reason, f"Rucio refused, as {account}: {message}")


def _first_line(error: Exception) -> str:
    text = " ".join(str(error).split())
    return text[:300]
