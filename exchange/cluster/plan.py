"""What a cluster consists of, and the text of every file that its machines need: Patroni, etcd, roles, runbook."""

from __future__ import annotations

import base64
import hashlib
import hmac
import ipaddress
import re
import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from string import Template
from typing import Final, Self
from urllib.parse import quote

from exchange.embedded import APPLICATION, DATABASE, OWNER
from exchange.errors import Misconfigured

TEMPLATES: Final = Path(__file__).parent / "templates"
SCRAM_ITERATIONS: Final = 4096

_NAME: Final = re.compile(r"[a-z][a-z0-9-]{0,30}")
_ACCOUNT: Final = re.compile(r"[a-z_][a-z0-9_-]{0,30}")
_PATH: Final = re.compile(r"/[A-Za-z0-9._/@+-]*")


@dataclass(frozen=True, slots=True)
class Node:
    """A machine that runs PostgreSQL under Patroni: its name, its address, and the ports of both."""

    name: str
    address: str
    port: int = 5432
    api_port: int = 8008


@dataclass(frozen=True, slots=True)
class Member:
    """A machine that runs etcd; the same one as a node's where both have one name."""

    name: str
    address: str
    port: int = 2379
    peer_port: int = 2380


@dataclass(frozen=True, slots=True)
class Passwords:
    """One for each who logs in."""

    superuser: str = field(repr=False)
    replication: str = field(repr=False)
    rewind: str = field(repr=False)
    owner: str = field(repr=False)
    app: str = field(repr=False)
    api: str = field(repr=False)

    @classmethod
    def draw(cls) -> Self:
        """From the system's random source, 192 bits each."""
        return cls(*(secrets.token_urlsafe(24) for _ in range(6)))


@dataclass(frozen=True, slots=True)
class Plan:
    """A cluster before it exists. Raises `Misconfigured` for one that could not work, or that promises nothing.

    `config`, `data`, `binaries`, `patroni` and `etcd` are paths on the machines of the cluster; `exchanges` are the
    addresses from which the exchange comes, the nodes' own without; `archive` is where finished segments of the
    write-ahead log go, nowhere without.
    """

    nodes: Sequence[Node]
    members: Sequence[Member]
    config: Path
    data: Path
    binaries: Path
    patroni: Path
    etcd: Path
    account: str = "postgres"
    exchanges: Sequence[str] = ()
    archive: Path | None = None
    scope: str = DATABASE

    def __post_init__(self) -> None:
        for option, machines in (("--node", self.nodes), ("--etcd", self.members)):
            for machine in machines:
                if not _NAME.fullmatch(machine.name):
                    raise _refuse(
                        option,
                        f"is named {machine.name!r}",
                        "names are lower-case letters, digits and hyphens, at most 31",
                        "name it like db1",
                    )
                _check_address(option, machine.address)
            if len({machine.name for machine in machines}) < len(machines):
                raise _refuse(
                    option, "names a machine twice", "a machine has one name", "give each its own name"
                )
            if len({(machine.address, machine.port) for machine in machines}) < len(machines):
                raise _refuse(
                    option,
                    "names an address twice",
                    "two copies on one machine are lost together",
                    "name machines that do not share power, disk or network",
                )
        if len(self.nodes) < 2:
            raise _refuse(
                "--node",
                f"is given {len(self.nodes)} times",
                "a standby is another machine than the primary",
                "name two machines, or three so that the market goes on while one is gone",
            )
        if len(self.members) % 2 == 0:
            raise _refuse(
                "--etcd",
                f"is given {len(self.members)} times",
                "etcd decides by majority, and of an even number one more may fail than of the odd one below it: none",
                "name three machines (one is enough to try it)",
            )
        if not _ACCOUNT.fullmatch(self.account):
            raise _refuse(
                "--account",
                f"is {self.account!r}",
                "names an account of the machines",
                "name one such as postgres",
            )
        for address in self.exchanges:
            _check_address("--exchange", address)
        for option, path in (
            ("--config-dir", self.config),
            ("--data-dir", self.data),
            ("--bin-dir", self.binaries),
            ("--archive", self.archive or Path("/")),
        ):
            if not _PATH.fullmatch(str(path)):
                raise _refuse(
                    option,
                    f"is {str(path)!r}",
                    "a path on the machines of the cluster is absolute, of plain characters",
                    "name one such as /var/lib/exchange-cluster",
                )

    def warnings(self) -> list[str]:
        """What this plan does not survive, in words."""
        found = []
        if len(self.members) == 1:
            found.append(
                f"one etcd: while {self.members[0].name} is gone nobody takes over (the primary goes on as long as it"
                " reaches its standby); production has three"
            )
        if len(self.nodes) == 2:
            found.append(
                "two machines: while one is gone the other one takes over and then waits for its return, and the"
                " market waits with it; a third one keeps it going"
            )
        return found

    @property
    def machines(self) -> list[Node | Member]:
        """The nodes, then the members."""
        return [*self.nodes, *self.members]

    def url(self, role: str, password: str) -> str:
        """The exchange's address: libpq tries the machines in turn and stays with the primary."""
        hosts = ",".join(f"{_bracketed(node.address)}:{node.port}" for node in self.nodes)
        return (
            f"postgresql://{role}:{quote(password, safe='')}@{hosts}/{DATABASE}"
            "?target_session_attrs=read-write&connect_timeout=3"
        )

    def files(
        self, passwords: Passwords, *, chance: Callable[[int], bytes] = secrets.token_bytes
    ) -> dict[str, str]:
        """Every file by its path below the folder that is written; `exchange.env`, `patroni.yml` and `roles.sql` are
        private."""
        found = {
            "exchange.env": _fill(
                "exchange.env",
                app_url=self.url(APPLICATION, passwords.app),
                owner_url=self.url(OWNER, passwords.owner),
            ),
            **{name: self._runbook(name) for name in ("README.en.md", "README.zh.md")},
        }
        verifiers = {
            "owner_verifier": scram_verifier(passwords.owner, chance(16)),
            "app_verifier": scram_verifier(passwords.app, chance(16)),
        }
        shared = {
            "scope": self.scope,
            "account": self.account,
            "bin_dir": str(self.binaries),
            "patroni": str(self.patroni),
            "etcd": str(self.etcd),
        }
        for node in self.nodes:
            own = shared | self._folders(node.name) | {"name": node.name, "address": _bracketed(node.address)}
            found[f"{node.name}/patroni.yml"] = _fill(
                "patroni.yml",
                **own,
                port=str(node.port),
                api_port=str(node.api_port),
                api_password=passwords.api,
                superuser_password=passwords.superuser,
                replication_password=passwords.replication,
                rewind_password=passwords.rewind,
                node_hosts=", ".join(f"'{n.address}'" for n in self.nodes),
                etcd_hosts=", ".join(f"'{_bracketed(m.address)}:{m.port}'" for m in self.members),
                archive=_indent(
                    8,
                    "archive_library: basic_archive"
                    if self.archive
                    else "archive_command: /bin/true  # nobody takes the log away, so it is not kept",
                ),
                archive_directory=f"\n    basic_archive.archive_directory: {self.archive / node.name}"
                if self.archive
                else "",
                pg_hba=_indent(4, *(f"- {line}" for line in self._logins(node))),
            )
            found[f"{node.name}/roles.sql"] = _fill("roles.sql", **verifiers)
            found[f"{node.name}/roles.sh"] = _fill("roles.sh", **own)
            found[f"{node.name}/patroni.service"] = _fill("patroni.service", **own)
        initial = ",".join(f"{m.name}=http://{_bracketed(m.address)}:{m.peer_port}" for m in self.members)
        for member in self.members:
            own = (
                shared
                | self._folders(member.name)
                | {"name": member.name, "address": _bracketed(member.address)}
            )
            found[f"{member.name}/etcd.yml"] = _fill(
                "etcd.yml",
                **own,
                port=str(member.port),
                peer_port=str(member.peer_port),
                initial_cluster=initial,
            )
            found[f"{member.name}/etcd.service"] = _fill("etcd.service", **own)
        return found

    def _folders(self, name: str) -> dict[str, str]:
        """Where one machine's files lie; nodes that share a machine, as in a drill, have one each."""
        return {"config": str(self.config / name), "data": str(self.data / name)}

    def _logins(self, node: Node) -> list[str]:
        nodes = dict.fromkeys(n.address for n in self.nodes)
        exchanges = dict.fromkeys(self.exchanges or nodes)
        return [
            f"host all postgres {_network(node.address)} scram-sha-256",
            *(f"host replication replicator {_network(a)} scram-sha-256" for a in nodes),
            *(f"host postgres rewinder {_network(a)} scram-sha-256" for a in nodes),
            *(f"host {DATABASE} {OWNER},{APPLICATION} {_network(a)} scram-sha-256" for a in exchanges),
        ]

    def _runbook(self, name: str) -> str:
        first, second = self.nodes[0], self.nodes[1]
        return _fill(
            name,
            scope=self.scope,
            account=self.account,
            config=str(self.config),
            data=str(self.data),
            bin_dir=str(self.binaries),
            patronictl=str(self.patroni.with_name("patronictl")),
            first=first.name,
            second=second.name,
            machines="\n".join(
                [
                    *(f"| {n.name} | {n.address} | PostgreSQL {n.port}, Patroni {n.api_port} |" for n in self.nodes),
                    *(f"| {m.name} | {m.address} | etcd {m.port}, {m.peer_port} |" for m in self.members),
                ]
            ),
            apis=" ".join(f"{_bracketed(n.address)}:{n.api_port}" for n in self.nodes),
            archive=str(self.archive or "—"),
        )  # fmt: skip


def scram_verifier(password: str, salt: bytes) -> str:
    """What PostgreSQL keeps of a password for SCRAM-SHA-256 (RFC 5803): whoever reads it cannot log in with it.

    The password has to be ASCII, which SASLprep leaves as it is.
    """
    salted = hashlib.pbkdf2_hmac("sha256", password.encode("ascii"), salt, SCRAM_ITERATIONS)
    client = hmac.digest(salted, b"Client Key", "sha256")
    stored = hashlib.sha256(client).digest()
    server = hmac.digest(salted, b"Server Key", "sha256")
    return "SCRAM-SHA-256${}:{}${}:{}".format(
        SCRAM_ITERATIONS, *(base64.b64encode(part).decode() for part in (salt, stored, server))
    )


def _fill(template: str, /, **values: str) -> str:
    return Template((TEMPLATES / template).read_text(encoding="utf-8")).substitute(values)


def _indent(width: int, *lines: str) -> str:
    return "\n".join(" " * width + line for line in lines)


def _bracketed(address: str) -> str:
    return f"[{address}]" if ":" in address else address


def _network(address: str) -> str:
    return str(ipaddress.ip_network(address))


def _check_address(option: str, address: str) -> None:
    try:
        found = ipaddress.ip_address(address)
        if not (found.is_unspecified or found.is_multicast or "%" in address):
            return
    except ValueError:
        pass
    raise _refuse(
        option,
        f"has the address {address!r}",
        "machines are named by their own IP address: a cluster that asks a name server who it is fails with it",
        "give an address such as 10.0.0.11, for a machine of the cluster behind its name: db1=10.0.0.11",
    )


def _refuse(option: str, problem: str, rule: str, remedy: str) -> Misconfigured:
    return Misconfigured("cluster.plan", f"{option} {problem}", field=option, rule=rule, remedy=remedy)
