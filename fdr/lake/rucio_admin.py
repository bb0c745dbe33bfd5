"""What an administrator does to Rucio before a rehearsal: each change only where it is needed."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from fdr.errors import LakeError, LakeUnusable
from fdr.rucio_door import RucioDoor

T = TypeVar("T")
EMAIL = "fdr@localhost"
UNLIMITED = -1
STORAGE = "storage"
PROBE_LIFETIME_S = 60


@dataclass(frozen=True, slots=True)
class WantedRse:
    """An RSE as it should be; bytes where a size is, None where nothing is asked."""

    name: str
    protocols: tuple[Mapping[str, Any], ...]
    attributes: Mapping[str, str]
    total_bytes: int | None
    min_free_bytes: int | None


@dataclass(frozen=True, slots=True)
class WantedAccount:
    """An account as it should be: its identities, its scopes, its limits by RSE.

    An identity with a password is one of Rucio's own; one with None is the subject of an X.509 certificate.
    """

    name: str
    scopes: tuple[str, ...]
    limits: Mapping[str, int]
    identities: Mapping[str, str | None] = field(repr=False)


@dataclass(frozen=True, slots=True)
class Change:
    """One call that alters Rucio, in words and as a deed."""

    text: str
    make: Callable[[Any], object]


class RucioAdmin:
    """Brings Rucio to what is wanted, as an account that may. Every method raises LakeUnusable."""

    def __init__(self, door: RucioDoor, account: str) -> None:
        """Take the door and the account to act as."""
        self._door = door
        self._account = account

    async def prove_writing(self, scope: str) -> list[str]:
        """Write a dataset that Rucio deletes again within minutes."""
        name = f"up-{time.time_ns()}"
        return await self._make(
            [
                Change(
                    f"dataset {scope}:{name}",
                    lambda client: client.add_dataset(scope, name, lifetime=PROBE_LIFETIME_S),
                )
            ]
        )

    async def rses(self) -> dict[str, dict[str, Any]]:
        """Return every RSE as Rucio exports it, by name, with its distances by name of the other."""
        exported = await self._ask(lambda client: client.export_data())
        names = {id_: rse["rse"] for id_, rse in exported["rses"].items()}
        for id_, rse in exported["rses"].items():
            rse["distances"] = {
                names[other] for other in exported["distances"].get(id_, {}) if other in names
            }
        return {rse["rse"]: rse for rse in exported["rses"].values()}

    async def rse_names(self) -> set[str]:
        """Return the names of the RSEs; anyone may ask."""
        return {row["rse"] for row in await self._ask(lambda client: list(client.list_rses()))}

    async def prepare_rses(self, wanted: Iterable[WantedRse]) -> list[str]:
        """Add what is missing of these RSEs, and all distances between them; return what was done."""
        wanted = list(wanted)
        known = await self.rses()
        done = await self._make([_add_rse(rse.name) for rse in wanted if rse.name not in known])
        known = await self.rses() if done else known
        changes = [change for rse in wanted for change in _rse_changes(rse, known[rse.name])]
        changes += [change for rse in wanted for change in await self._usage_changes(rse)]
        names = [rse.name for rse in wanted]
        changes += [
            _add_distance(source, destination)
            for source in names
            for destination in names
            if source != destination and destination not in known[source]["distances"]
        ]
        return done + await self._make(changes)

    async def prepare_attributes(self, rse: str, attributes: Mapping[str, str]) -> list[str]:
        """Add the attributes that an RSE lacks altogether; never alter one. Return what was done."""
        known = await self._ask(lambda client: client.list_rse_attributes(rse))
        return await self._make(
            _set_attribute(rse, key, value) for key, value in attributes.items() if key not in known
        )

    async def prepare_accounts(self, wanted: Iterable[WantedAccount]) -> list[str]:
        """Add what is missing of these accounts, and set their limits; return what was done."""
        wanted = list(wanted)
        known = await self._ask(lambda client: {row["account"] for row in client.list_accounts()})
        done = await self._make(_add_account(one.name) for one in wanted if one.name not in known)
        lists = await asyncio.gather(*(self._account_changes(one) for one in wanted))
        return done + await self._make(change for changes in lists for change in changes)

    async def _account_changes(self, wanted: WantedAccount) -> list[Change]:
        name = wanted.name
        identities, scopes, limits = await asyncio.gather(
            self._ask(lambda client: {row["identity"] for row in client.list_identities(name)}),
            self._scopes(name),
            self._ask(lambda client: client.get_local_account_limits(name)),
        )
        return [
            *(
                _add_identity(name, identity, password)
                for identity, password in wanted.identities.items()
                if identity not in identities
            ),
            *(_add_scope(name, scope) for scope in wanted.scopes if scope not in scopes),
            *(
                _set_limit(name, rse, limit)
                for rse, limit in wanted.limits.items()
                if _plain_limit(limits.get(rse)) != limit
            ),
        ]

    async def _scopes(self, account: str) -> set[str]:
        try:
            return await self._door.call(
                self._account, lambda client: set(client.list_scopes_for_account(account))
            )
        except LakeError as error:
            if error.reason == "scope-not-found":  # Rucio's way to say that there is none
                return set()
            raise LakeUnusable(f"preparing the lake: {error}") from error

    async def _usage_changes(self, wanted: WantedRse) -> list[Change]:
        total = wanted.total_bytes
        if total is None:
            return []
        rows = await self._ask(
            lambda client: list(client.get_rse_usage(wanted.name, filters={"source": STORAGE}))
        )
        if any(row["source"] == STORAGE and row["total"] == total for row in rows):
            return []
        return [
            Change(
                f"RSE {wanted.name}: storage of {total} bytes",
                lambda client: client.set_rse_usage(wanted.name, source=STORAGE, used=0, free=total),
            )
        ]

    async def _make(self, changes: Iterable[Change]) -> list[str]:
        changes = list(changes)
        await asyncio.gather(*(self._ask(change.make, change.text) for change in changes))
        return [change.text for change in changes]

    async def _ask(self, ask: Callable[[Any], T], doing: str = "asking Rucio") -> T:
        try:
            return await self._door.call(self._account, ask)
        except LakeError as error:
            raise LakeUnusable(f"preparing the lake: {doing}: {error}") from error


def _plain_limit(limit: float | str | None) -> float | None:
    """Return a limit as Rucio takes it: it tells unlimited as infinity."""
    if limit is None:
        return None
    return UNLIMITED if float(limit) in (UNLIMITED, float("inf")) else float(limit)


def _rse_changes(wanted: WantedRse, known: Mapping[str, Any]) -> list[Change]:
    name = wanted.name
    changes = []
    for protocol in wanted.protocols:
        same_scheme = [row for row in known["protocols"] if row["scheme"] == protocol["scheme"]]
        if any(_same(protocol, row) for row in same_scheme):
            continue
        if same_scheme:
            changes.append(_replace_protocol(name, protocol))
        else:
            changes.append(_add_protocol(name, protocol))
    schemes = {protocol["scheme"] for protocol in wanted.protocols}
    changes += [
        _drop_protocol(name, row["scheme"]) for row in known["protocols"] if row["scheme"] not in schemes
    ]
    changes += [
        _set_attribute(name, key, value)
        for key, value in wanted.attributes.items()
        if _plain(known["attributes"].get(key)) != _plain(value)
    ]
    if wanted.min_free_bytes is not None and known["MinFreeSpace"] != wanted.min_free_bytes:
        limit = wanted.min_free_bytes
        changes.append(
            Change(
                f"RSE {name}: at least {limit} bytes free",
                lambda client: client.set_rse_limits(name, "MinFreeSpace", limit),
            )
        )
    return changes


def _plain(value: object) -> str | None:
    """Return an attribute as text: Rucio turns numbers and truth values into its own types."""
    return None if value is None else str(value).lower()


def _same(wanted: Mapping[str, Any], known: Mapping[str, Any]) -> bool:
    plain = ("scheme", "hostname", "port", "prefix", "impl")
    if any(wanted[key] != known[key] for key in plain):
        return False
    return all(
        (known["domains"].get(domain, {}).get(operation) or None) == (priority or None)
        for domain, operations in wanted["domains"].items()
        for operation, priority in operations.items()
    )


def _add_rse(name: str) -> Change:
    return Change(f"RSE {name}", lambda client: client.add_rse(name, deterministic=True, rse_type="DISK"))


def _add_protocol(name: str, protocol: Mapping[str, Any]) -> Change:
    text = f"RSE {name}: {protocol['scheme']}://{protocol['hostname']}:{protocol['port']}"
    return Change(text, lambda client: client.add_protocol(name, dict(protocol)))


def _replace_protocol(name: str, protocol: Mapping[str, Any]) -> Change:
    def replace(client: Any) -> None:
        client.delete_protocols(name, protocol["scheme"])
        client.add_protocol(name, dict(protocol))

    return Change(
        f"RSE {name}: {protocol['scheme']}://{protocol['hostname']}:{protocol['port']} now", replace
    )


def _drop_protocol(name: str, scheme: str) -> Change:
    return Change(f"RSE {name}: no {scheme}", lambda client: client.delete_protocols(name, scheme))


def _set_attribute(name: str, key: str, value: str) -> Change:
    return Change(f"RSE {name}: {key}={value}", lambda client: client.add_rse_attribute(name, key, value))


def _add_distance(source: str, destination: str) -> Change:
    return Change(
        f"distance {source} to {destination}",
        lambda client: client.add_distance(source, destination, {"distance": 1}),
    )


def _add_account(name: str) -> Change:
    return Change(f"account {name}", lambda client: client.add_account(name, "SERVICE", EMAIL))


def _add_identity(account: str, identity: str, password: str | None) -> Change:
    kind = {"authtype": "X509"} if password is None else {"authtype": "USERPASS", "password": password}
    return Change(
        f"account {account}: identity {identity}",
        lambda client: client.add_identity(account, identity, email=EMAIL, **kind),
    )


def _add_scope(account: str, scope: str) -> Change:
    return Change(f"account {account}: scope {scope}", lambda client: client.add_scope(account, scope))


def _set_limit(account: str, rse: str, limit: int) -> Change:
    return Change(
        f"account {account}: limit {limit} bytes at {rse}",
        lambda client: client.set_local_account_limit(account, rse, limit),
    )
