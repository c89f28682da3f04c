"""Whether a running cluster keeps what the exchange promises on its behalf: asked of Patroni, and of the database."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal

import httpx
import psycopg
from psycopg.conninfo import conninfo_to_dict

from exchange.errors import Misconfigured

Lang = Literal["zh", "en"]

ANSWER_S: Final = 3.0
LAG_LIMIT: Final = 1 << 20
"""Bytes by which a standby may be behind before it counts as one that does not keep up."""

_WORDS: Final[Mapping[str, Mapping[Lang, str]]] = {
    "answers": {"en": "Patroni answers on every machine", "zh": "每台机器上的 Patroni 均有答复"},
    "leader": {"en": "exactly one machine leads, and all agree which", "zh": "恰有一台主库,且各机器看法一致"},
    "standby": {
        "en": "a synchronous standby streams on the same timeline",
        "zh": "同步备库在同一时间线上流复制",
    },
    "lag": {"en": "the standby keeps up", "zh": "备库没有落后"},
    "strict": {"en": "nothing commits without a standby (strict mode)", "zh": "没有备库就不提交(严格模式)"},
    "durable": {"en": "a commit is on the disk, here and there", "zh": "提交在两边都已落盘"},
    "rewind": {"en": "a primary that was replaced can come back", "zh": "被替换的主库可以回来"},
    "failsafe": {"en": "a loss of etcd alone does not stop the primary", "zh": "仅失去 etcd 不会使主库停止"},
    "automatic": {"en": "take-over is not switched off (paused)", "zh": "自动接管没有被暂停"},
    "etcd": {"en": "every machine sees etcd", "zh": "每台机器都能联系到 etcd"},
    "address": {"en": "the exchange's address names every machine", "zh": "交易所的地址列出了每台机器"},
    "primary": {"en": "that address leads to the primary", "zh": "该地址通向主库"},
    "waits": {"en": "the server there waits for a standby", "zh": "该服务器在等待备库确认"},
}


@dataclass(frozen=True, slots=True)
class Finding:
    """One promise, whether it holds, and what was seen."""

    code: str
    holds: bool
    seen: str

    def words(self, lang: Lang) -> str:
        """The promise in words."""
        return _WORDS[self.code][lang]


@dataclass(frozen=True, slots=True)
class Server:
    """What the database said to the exchange's role."""

    hosts: frozenset[tuple[str, int]]
    """Every host and port that the address names."""
    port: int
    synchronous_standby_names: str
    synchronous_commit: str
    in_recovery: bool


@dataclass(frozen=True, slots=True)
class Seen:
    """What the machines said, by their Patroni's address: None for one that did not answer."""

    statuses: Mapping[str, Mapping[str, Any] | None]
    clusters: Mapping[str, Mapping[str, Any] | None]
    config: Mapping[str, Any]
    now_s: float
    server: Server | None = None
    refusal: str = field(default="")


def look(apis: Sequence[str], database_url: str | None) -> list[Finding]:
    """Ask every machine's Patroni, at addresses such as `http://10.0.0.11:8008`, and the database itself.

    Without a database address what concerns it is left out. Raises Misconfigured where no machine is named.
    """
    if not apis:
        raise Misconfigured(
            "cluster.unnamed",
            "no machine of the cluster is named",
            field="API",
            rule="each machine of a cluster runs Patroni, whose port answers whoever asks",
            remedy="name them, ADDRESS[:PORT] each, or set EXCHANGE_DATABASE_URL to the cluster's address",
        )
    with httpx.Client(timeout=ANSWER_S) as http:
        statuses = {api: _json(http, api, "/patroni") for api in apis}
        clusters = {api: _json(http, api, "/cluster") for api in apis}
        config = next((found for api in apis if (found := _json(http, api, "/config")) is not None), {})
    server, refusal = _server(database_url) if database_url is not None else (None, "")
    return judge(Seen(statuses, clusters, config, time.time(), server, refusal))


def judge(seen: Seen) -> list[Finding]:
    """What holds and what does not, in the order in which a person would look."""
    silent = [api for api, status in seen.statuses.items() if status is None]
    members: dict[str, Mapping[str, Any]] = {
        member["name"]: member for cluster in seen.clusters.values() if cluster for member in cluster["members"]
    }  # fmt: skip
    leaders = {
        member["name"]
        for cluster in seen.clusters.values()
        if cluster
        for member in cluster["members"]
        if member["role"] == "leader" and member["state"] == "running"
    }
    claims = [api for api, status in seen.statuses.items() if status and status.get("role") == "primary"]
    timelines = {member.get("timeline") for member in members.values() if member["role"] == "leader"}
    standbys = [member for member in members.values() if member["role"] == "sync_standby"]
    streaming = [m for m in standbys if m["state"] == "streaming" and m.get("timeline") in timelines]
    lags = [m.get("lag") for m in streaming]
    parameters = seen.config.get("postgresql", {}).get("parameters", {})
    durable = {
        name: parameters.get(name, "on") for name in ("fsync", "full_page_writes", "synchronous_commit")
    }
    paused = [api for api, cluster in seen.clusters.items() if cluster and cluster.get("pause")]
    ttl = seen.config.get("ttl", 30)
    blind = [
        api
        for api, status in seen.statuses.items()
        if status and seen.now_s - float(status.get("dcs_last_seen", 0)) > ttl
    ]
    found = [
        Finding("answers", not silent, ", ".join(silent) or f"{len(seen.statuses)}"),
        Finding("leader", len(leaders) == 1 == len(claims), ", ".join(sorted(leaders)) or "—"),
        Finding(
            "standby",
            bool(streaming),
            ", ".join(f"{m['name']} {m['state']}, timeline {m.get('timeline')}" for m in standbys) or "—",
        ),
        Finding(
            "lag",
            bool(lags) and all(isinstance(lag, int) and lag <= LAG_LIMIT for lag in lags),
            ", ".join(f"{lag} B" for lag in lags) or "—",
        ),
        Finding(
            "strict",
            seen.config.get("synchronous_mode") is True and seen.config.get("synchronous_mode_strict") is True,
            f"synchronous_mode {seen.config.get('synchronous_mode', False)}, "
            f"synchronous_mode_strict {seen.config.get('synchronous_mode_strict', False)}",
        ),
        Finding(
            "durable",
            all(_on(value) for value in durable.values()),
            ", ".join(f"{name} {value}" for name, value in durable.items() if not _on(value)) or "on",
        ),
        Finding(
            "rewind",
            seen.config.get("postgresql", {}).get("use_pg_rewind") is True,
            f"use_pg_rewind {seen.config.get('postgresql', {}).get('use_pg_rewind', False)}",
        ),
        Finding(
            "failsafe",
            seen.config.get("failsafe_mode") is True,
            f"failsafe_mode {seen.config.get('failsafe_mode', False)}",
        ),
        Finding("automatic", not paused, ", ".join(paused) or "—"),
        Finding("etcd", not blind, ", ".join(blind) or f"{len(seen.statuses) - len(silent)}"),
    ]  # fmt: skip
    if seen.server is None and not seen.refusal:
        return found
    if seen.server is None:
        return [*found, Finding("primary", False, seen.refusal)]
    server = seen.server
    left_out = {
        f"{m['host']}:{m['port']}"
        for m in members.values()
        if (str(m["host"]), int(m["port"])) not in server.hosts
    }
    led = next((m for m in members.values() if m["name"] in leaders), None)
    return [
        *found,
        Finding("address", not left_out, ", ".join(sorted(left_out)) or f"{len(server.hosts)}"),
        Finding(
            "primary",
            not server.in_recovery and led is not None and led["port"] == server.port,
            f"port {server.port}" + (", in recovery" if server.in_recovery else ""),
        ),
        Finding(
            "waits",
            bool(server.synchronous_standby_names) and server.synchronous_commit == "on",
            f"synchronous_standby_names {server.synchronous_standby_names!r}, "
            f"synchronous_commit {server.synchronous_commit}",
        ),
    ]


def _on(value: object) -> bool:
    return value is True or str(value).lower() in {"on", "true", "yes", "1"}


def _json(http: httpx.Client, api: str, path: str) -> Mapping[str, Any] | None:
    try:
        answer = http.get(api.rstrip("/") + path)
        found = answer.json()
    except (httpx.HTTPError, ValueError):
        return None
    # Patroni says 503 of a machine that is neither primary nor a running standby, with the same body.
    return found if isinstance(found, dict) else None


def _server(url: str) -> tuple[Server | None, str]:
    given = conninfo_to_dict(url)
    hosts = str(given.get("host", "")).split(",")
    ports = str(given.get("port", 5432)).split(",")
    pairs = frozenset(zip(hosts, map(int, ports if len(ports) > 1 else ports * len(hosts)), strict=True))
    try:
        with psycopg.connect(
            url, connect_timeout=int(ANSWER_S), target_session_attrs="read-write", autocommit=True
        ) as connection:
            row = connection.execute(
                "SELECT inet_server_port(), current_setting('synchronous_standby_names'),"
                " current_setting('synchronous_commit'), pg_is_in_recovery()"
            ).fetchone()
    except psycopg.Error as error:
        # libpq names host, port and role, never the password.
        return None, " ".join(str(error).split())
    assert row is not None
    return Server(pairs, *row), ""
