"""The catalog kept by a real Rucio."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from fdr.catalog import NewDataset, NewReplica, RseFacts, RuleState, Usage
from fdr.connection import Connection
from fdr.errors import LakeError, Unclear
from fdr.model import Did, Rule
from fdr.rucio_door import CALL_TIMEOUT_S, RucioDoor

RULE_COMMENT = "fdr rehearsal"
UPLOAD_COMMENT = "fdr rehearsal: keeps uploads until their dataset expires"


class RucioCatalog:
    """A Catalog (see ``fdr.catalog``) that a Rucio server keeps."""

    def __init__(
        self,
        connection: Connection,
        requests_per_second: float | None = None,
        timeout_s: float = CALL_TIMEOUT_S,
    ) -> None:
        """Take where Rucio is and how many requests a second it may be sent; nothing is sent yet.

        A call ends when the server was silent for ``timeout_s``.
        """
        self._door = RucioDoor(connection, requests_per_second, timeout_s)
        self._call = self._door.call

    @property
    def door(self) -> RucioDoor:
        """The door to Rucio that every call goes through, for what else is asked of the same lake."""
        return self._door

    @property
    def requests(self) -> int:
        """How many REST calls have been made, each counted once however often the client tried."""
        return self._door.requests

    async def close(self) -> None:
        """Give back threads and tokens; calls in flight are not waited for."""
        self._door.close()

    async def version(self) -> str:
        """Return the version of the Rucio server."""
        answer = await self._call(self._door.connection.account, lambda client: client.ping())
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

    async def account_limits(self, account: str) -> Mapping[str, float] | None:
        """Return an account's limit in bytes at every RSE where it has one, None where it needs none."""

        def ask(client: Any) -> Mapping[str, float] | None:
            rows = next(iter(client.list_account_attributes(account)), ())
            if any(row["key"] == "admin" and row["value"] for row in rows):
                return None
            return {rse: float(limit) for rse, limit in client.get_local_account_limits(account).items()}

        return await self._call(account, ask)

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
            readable=bool(settings["availability_read"]),
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

    async def create_dataset(self, account: str, dataset: NewDataset) -> None:
        """Create a dataset with its rule and metadata."""
        # Grouping NONE lets Rucio choose for each file by itself, and it prefers where the file is.
        rules = (
            [{**_terms(account, dataset.upload_rule), "comment": UPLOAD_COMMENT, "grouping": "NONE"}]
            if dataset.upload_rule
            else []
        )
        try:
            await self._call(
                account,
                lambda client: client.add_dataset(
                    dataset.did.scope,
                    dataset.did.name,
                    meta=dict(dataset.metadata),
                    rules=rules,
                    lifetime=dataset.lifetime_s,
                ),
            )
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
                    **({"meta": dict(replica.metadata)} if replica.metadata else {}),
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
            if error.reason != "unsupported-operation":  # closed already
                raise

    async def add_rule(self, account: str, dataset: Did, rule: Rule) -> str:
        """Add a replication rule to a dataset and return its id."""
        did = {"scope": dataset.scope, "name": dataset.name}
        try:
            ids = await self._call(
                account,
                lambda client: client.add_replication_rule(
                    [did], **_terms(account, rule), comment=RULE_COMMENT
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
        """Return the rules on the DIDs of a scope whose names begin with a prefix, but for upload rules."""

        def ask(client: Any) -> list[RuleState]:
            return [
                _rule_state(row)
                for row in client.list_replication_rules({"scope": scope})
                if row["name"].startswith(name_prefix) and row["comments"] != UPLOAD_COMMENT
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

    async def rule_rses(self, account: str, rule_id: str) -> frozenset[str]:
        """Return the RSEs where a rule locks files; reads every lock of the rule."""
        return await self._call(
            account, lambda client: frozenset(row["rse"] for row in client.list_replica_locks(rule_id))
        )

    async def usage(self, account: str, rse: str) -> Usage | None:
        """Return what Rucio has counted at an RSE, None where it has not counted yet."""
        rows = await self._call(
            account, lambda client: list(client.get_rse_usage(rse, filters={"source": "rucio"}))
        )
        for row in rows:
            return Usage(rse, int(row["used"] or 0), int(row["files"] or 0))
        return None


def _terms(account: str, rule: Rule) -> dict[str, Any]:
    """Return what Rucio is asked for with a rule; replicas that it alone keeps are deleted when it ends."""
    return {
        "account": account,
        "copies": rule.copies,
        "rse_expression": rule.to,
        "lifetime": rule.lifetime_s,
        "activity": rule.activity,
        "purge_replicas": True,
    }


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
